import t from 'tap'
import { PROMPT_WRITES, WritePace } from '../../src/stream/write-pace.ts'

t.test('few are written at the end of the turn, of many the others later, each once and in order', async (t) => {
  const pace = new WritePace()
  for (const round of ['first', 'next']) {
    const written: number[] = []
    const { promise: last, resolve } = Promise.withResolvers<void>()
    for (let i = 0; i < PROMPT_WRITES + 2; i++) {
      pace.soon(() => {
        written.push(i)
        if (i === PROMPT_WRITES + 1) resolve()
      })
    }
    t.equal(written.length, 0, `${round}: nothing within the turn`)
    await new Promise<void>((next) => process.nextTick(next))
    t.equal(written.length, PROMPT_WRITES, `${round}: few at its end`)
    await last
    t.same(
      written,
      Array.from({ length: PROMPT_WRITES + 2 }, (_, i) => i),
      round,
    )
  }
})

import t, { type Test } from 'tap'
import { PROMPT_WRITES, WritePace } from '../../src/stream/write-pace.ts'

/** Lets so many write; how many did so in each turn of the event loop, and that each did once and in order. */
async function turnsOf(t: Test, pace: WritePace, count: number): Promise<number[]> {
  const turns: number[] = []
  const written: number[] = []
  let isOpen = false
  const { promise, resolve } = Promise.withResolvers<void>()
  for (let i = 0; i < count; i++) {
    pace.soon(() => {
      written.push(i)
      if (!isOpen) {
        isOpen = true
        turns.push(0)
        setImmediate(() => {
          isOpen = false
          if (written.length === count) resolve()
        })
      }
      turns[turns.length - 1]! += 1
    })
  }
  t.equal(written.length, 0, 'nothing within the turn')
  await promise
  t.same(
    written,
    Array.from({ length: count }, (_, i) => i),
  )
  return turns
}

t.test('few are written at the end of the turn, of many the others when the interval is over', async (t) => {
  const pace = new WritePace()
  t.same(await turnsOf(t, pace, PROMPT_WRITES + 2), [PROMPT_WRITES, 2])
  t.same(await turnsOf(t, pace, PROMPT_WRITES), [PROMPT_WRITES - 2, 2], 'what waited counts for the next interval')
})

t.test('however many there are, all have had their turn after five intervals', async (t) => {
  const many = PROMPT_WRITES * 10
  t.same(await turnsOf(t, new WritePace(), PROMPT_WRITES + many), [PROMPT_WRITES, ...Array(5).fill(many / 5)])
})

import t from 'tap'
import { SystemClock } from '../../src/engine/clock.ts'

t.test('the time is what the quickest answers of the database say, not what the last one did', async (t) => {
  const clock = new SystemClock()
  const start = clock.monotonic()
  const truth = 4_000_000_000_000
  const isAhead = (ms: number): boolean => {
    const before = clock.monotonic()
    const now = clock.now()
    return now >= Math.floor(truth + ms + before - start) && now <= truth + ms + clock.monotonic() - start
  }
  clock.synchronise(truth, start, 0)
  t.ok(isAhead(0))
  clock.synchronise(truth + 300, start, 400)
  t.ok(isAhead(0), 'a slow one that may mean the same changes nothing')
  clock.synchronise(truth + 300, start, 100)
  t.ok(isAhead(200), 'one that cannot moves it as little as it must')
  clock.synchronise(truth + 1_000, start, 0)
  t.ok(isAhead(1_000))
})

t.test("ids carry the database's time, also when this machine's clock is ahead of it or behind", async (t) => {
  const timeOf = (id: string): number => Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
  for (const offset of [-3_600_000, 3_600_000]) {
    const clock = new SystemClock()
    clock.newId()
    clock.synchronise(Date.now() + offset, clock.monotonic(), 0)
    const before = clock.now()
    const made = timeOf(clock.newId())
    t.ok(made >= before && made <= clock.now(), `${offset}`)
  }
})

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

import t from 'tap'
import { FailureWindow } from '../../src/engine/failure-window.ts'

/** A window of 1 s with these calls in it, at the times given. */
function windowOf(calls: readonly (readonly [at: number, hasFailed: boolean])[]): FailureWindow {
  const window = new FailureWindow(1_000)
  for (const [at, hasFailed] of calls) window.record(hasFailed, at)
  return window
}

t.test('it trips when enough calls have failed, and at least half of all', async (t) => {
  const failures = [0, 10, 20].map((at) => [at, true] as const)
  t.notOk(windowOf(failures.slice(1)).hasTripped(3, 20), 'too few')
  t.ok(windowOf(failures).hasTripped(3, 20))
  const answers = [1, 2, 3].map((at) => [at, false] as const)
  t.ok(windowOf([...answers, ...failures]).hasTripped(3, 20), 'just half')
  t.notOk(windowOf([...answers, [4, false], ...failures]).hasTripped(3, 20), 'less than half')
})

t.test('what is older than the window does not count, however long nothing was called', async (t) => {
  const failures = [0, 10, 20].map((at) => [at, true] as const)
  t.ok(windowOf(failures).hasTripped(3, 899))
  t.notOk(windowOf(failures).hasTripped(3, 1_000))
  t.notOk(windowOf(failures).hasTripped(1, 1_000_000_000))
  const spread = windowOf([
    [0, true],
    [500, true],
    [1_050, true],
  ])
  t.notOk(spread.hasTripped(3, 1_050))
  t.ok(spread.hasTripped(2, 1_050))
})

t.test('times that go back count as the newest, and clear() forgets all', async (t) => {
  const window = windowOf([
    [5_000, true],
    [4_000, true],
  ])
  t.ok(window.hasTripped(2, 5_000))
  window.clear()
  t.notOk(window.hasTripped(1, 5_000))
})

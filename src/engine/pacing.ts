import type { Clock } from './clock.ts'

/** For each ms that a batch takes, housekeeping rests this many: most of the database's time belongs to the executions. */
const REST = 2

/** Runs batches one after another until one says that nothing is left, or `isStopped()`; rests after each. */
export async function runBatches(
  clock: Pick<Clock, 'monotonic' | 'after'>,
  isStopped: () => boolean,
  batch: () => Promise<'more' | 'done'>,
): Promise<void> {
  while (!isStopped()) {
    const startedAt = clock.monotonic()
    if ((await batch()) === 'done') return
    const restMs = REST * (clock.monotonic() - startedAt)
    await new Promise<void>((resolve) => void clock.after(restMs, resolve))
  }
}

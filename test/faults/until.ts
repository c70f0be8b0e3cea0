import { setTimeout as delay } from 'node:timers/promises'

/** Waits for a condition that nothing signals; fails with its name when it has not come true for a minute. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 60_000
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`did not come true: ${what}`)
    await delay(20)
  }
}

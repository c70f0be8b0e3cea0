import type { Clock, Timer } from './clock.ts'

/** The timers of one execution by name. They live in memory only: what they stand for is in the journal. */
export class Timers {
  readonly #clock: Clock
  readonly #timers = new Map<string, { dueAt: number; timer: Timer }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Calls back when `dueAt` (ms since 1970, the database's clock) has come; replaces a timer of the same name. */
  set(name: string, dueAt: number, callback: () => void): void {
    this.clear(name)
    const timer = this.#clock.after(dueAt - this.#clock.now(), () => {
      this.#timers.delete(name)
      callback()
    })
    this.#timers.set(name, { dueAt, timer })
  }

  clear(name: string): void {
    const set = this.#timers.get(name)
    if (set === undefined) return
    set.timer.cancel()
    this.#timers.delete(name)
  }

  clearAll(): void {
    for (const { timer } of this.#timers.values()) timer.cancel()
    this.#timers.clear()
  }

  /** The earliest due time, or null when there is none. */
  earliest(): number | null {
    let earliest: number | null = null
    for (const { dueAt } of this.#timers.values()) if (earliest === null || dueAt < earliest) earliest = dueAt
    return earliest
  }
}

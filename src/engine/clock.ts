import { TimeOrderedIds } from './time-ordered-ids.ts'

/**
 * Where the shell gets its time from, and everything else that a second run of the same program would see differently: its
 * turns of the event loop, its ids, its dice. The simulation has one of its own, and so repeats a run exactly. All times are ms.
 */
export interface Clock {
  /** The database's clock, in ms since 1970, as well as this process knows it. Never goes back. */
  now(): number
  /** Time that only goes forward, from an arbitrary start: for leases and durations. */
  monotonic(): number
  /** Corrects `now()` by what the database said its time was while `monotonic()` was `at`, give or take `within`. */
  synchronise(databaseNow: number, at: number, within: number): void
  /** Calls back once, `delayMs` from now. Keeps no process alive. */
  after(delayMs: number, callback: () => void): Timer
  /** Calls back once in a later turn of the event loop, when what is due now has had its turn. */
  soon(callback: () => void): Timer
  /** A UUIDv7 of `now()`: unique everywhere, and in about the order in which they were made. */
  newId(): string
  /** 0 ≤ random < 1. */
  random(): number
}

export interface Timer {
  cancel(): void
}

/** What makes an LRUCache's entries age by the clock. */
export const timedBy = (clock: Clock) => ({ perf: { now: () => clock.monotonic() }, ttlResolution: 0 })

/** Round trips on busy machines put a node's idea of the database's clock wrong by no more than this. */
const CLOCK_ERROR_MS = 1_000

/** A time that the database's clock has passed, even if `now()` is ahead of it: for what is to be claimed at once. */
export const alreadyDue = (clock: Pick<Clock, 'now'>): number => clock.now() - CLOCK_ERROR_MS

/** setTimeout's own limit: 2³¹ − 1 ms, about 24.8 days. */
const LONGEST_TIMEOUT_MS = 2_147_483_647

export class SystemClock implements Clock {
  #ids = new TimeOrderedIds()
  #offset = Date.now() - performance.now()
  #latest = 0
  #isSynchronised = false

  now(): number {
    const now = Math.floor(performance.now() + this.#offset)
    if (now > this.#latest) this.#latest = now
    return this.#latest
  }

  monotonic(): number {
    return performance.now()
  }

  synchronise(databaseNow: number, at: number, within: number): void {
    const said = databaseNow - at
    // Only what the database said may hold the time back: this machine's clock can be minutes ahead.
    if (!this.#isSynchronised) {
      this.#latest = 0
      this.#ids = new TimeOrderedIds()
    }
    // What a slow round trip does not contradict is better known already: its middle was 360 ms wrong on a busy machine.
    this.#offset = this.#isSynchronised ? Math.min(Math.max(this.#offset, said - within), said + within) : said
    this.#isSynchronised = true
  }

  after(delayMs: number, callback: () => void): Timer {
    if (delayMs > LONGEST_TIMEOUT_MS) {
      let timer = this.after(LONGEST_TIMEOUT_MS, () => {
        timer = this.after(delayMs - LONGEST_TIMEOUT_MS, callback)
      })
      return { cancel: () => timer.cancel() }
    }
    const timeout = setTimeout(callback, Math.max(0, delayMs))
    timeout.unref()
    return { cancel: () => clearTimeout(timeout) }
  }

  soon(callback: () => void): Timer {
    const immediate = setImmediate(callback)
    return { cancel: () => clearImmediate(immediate) }
  }

  newId(): string {
    return this.#ids.next(this.now())
  }

  random(): number {
    return Math.random()
  }
}

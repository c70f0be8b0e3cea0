import type { Clock } from './clock.ts'

/** How long one piece of work may keep the event loop. */
const LONGEST_TURN_MS = 10

/** For work that is long together: lets the event loop turn whenever it has been kept for 10 ms. */
export class Pace {
  readonly #clock: Clock
  #until: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#until = clock.monotonic() + LONGEST_TURN_MS
  }

  /** To be awaited between two pieces. */
  async breathe(): Promise<void> {
    if (this.#clock.monotonic() < this.#until) return
    await new Promise<void>((resolve) => void this.#clock.soon(resolve))
    this.#until = this.#clock.monotonic() + LONGEST_TURN_MS
  }
}

/** The first sockets of an interval, so many, are written at the end of the event loop's turn. */
export const PROMPT_WRITES = 200
const INTERVAL_MS = 50
/** The others are written when an interval ends, those first that have waited longest, and each within so many intervals. */
const MOST_INTERVALS = 5

/**
 * When what sockets have to say leaves. A write takes some 5 µs of the event loop, and as much of the system, however little it
 * carries: on 28 November a thousand on one fast execution left a fortieth of the engine's speed (perf/subscribers.ts). So long as few are written they are written at the
 * end of the turn; of more, each gathers what comes until its turn, a quarter of a second at most. One for all sockets of a server.
 */
export class WritePace {
  #left = PROMPT_WRITES
  /** How many of those that wait are written at an interval's end. */
  #quota = PROMPT_WRITES
  #waiting: (() => void)[] = []
  #timer: NodeJS.Timeout | null = null

  /** Calls back once: at the end of this turn, or of an interval. */
  soon(write: () => void): void {
    this.#timer ??= setTimeout(this.#turn, INTERVAL_MS)
    if (this.#left === 0) {
      this.#waiting.push(write)
      return
    }
    this.#left -= 1
    process.nextTick(write)
  }

  #turn = (): void => {
    this.#quota = Math.max(this.#quota, Math.ceil(this.#waiting.length / MOST_INTERVALS))
    const due = this.#waiting.splice(0, this.#quota)
    if (this.#waiting.length === 0) this.#quota = PROMPT_WRITES
    this.#left = Math.max(0, PROMPT_WRITES - due.length)
    this.#timer = due.length === 0 ? null : setTimeout(this.#turn, INTERVAL_MS)
    for (const write of due) write()
  }
}

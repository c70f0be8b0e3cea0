/** So many sockets in an interval are written at the end of the turn. */
export const PROMPT_WRITES = 200
const INTERVAL_MS = 50

/**
 * When what sockets have to say leaves. A write takes some 5 µs of the event loop, and as much of the system, however little it
 * carries: a thousand sockets on one fast execution took nine tenths of the engine. So long as few are written they are written at the
 * end of the turn; of more, the others gather what comes until the interval is over. One for all sockets of a server.
 */
export class WritePace {
  #left = PROMPT_WRITES
  #waiting: (() => void)[] = []
  #timer: NodeJS.Timeout | null = null

  /** Calls back once: at the end of this turn, or of the interval. */
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
    const waiting = this.#waiting
    this.#waiting = []
    this.#timer = null
    this.#left = PROMPT_WRITES
    for (const write of waiting) write()
  }
}

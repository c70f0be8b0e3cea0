/** Into how many parts a window is cut: it moves on by one of them. */
const PARTS = 10

/**
 * Calls and failures of the last `windowMs`, in constant memory: whole parts of the window leave it at once. Times are the
 * caller's, ms, and never go back.
 */
export class FailureWindow {
  readonly #partMs: number
  readonly #calls = new Uint32Array(PARTS)
  readonly #failures = new Uint32Array(PARTS)
  /** Number of the newest part since the beginning of time. */
  #newest = 0

  constructor(windowMs: number) {
    this.#partMs = Math.max(1, windowMs / PARTS)
  }

  record(hasFailed: boolean, now: number): void {
    this.#moveTo(now)
    const part = this.#newest % PARTS
    this.#calls[part]! += 1
    if (hasFailed) this.#failures[part]! += 1
  }

  /** At least so many calls have failed, and no fewer than half of all: a busy target has failures without being down. */
  hasTripped(failureThreshold: number, now: number): boolean {
    this.#moveTo(now)
    const failures = sum(this.#failures)
    return failures >= failureThreshold && failures * 2 >= sum(this.#calls)
  }

  clear(): void {
    this.#calls.fill(0)
    this.#failures.fill(0)
  }

  #moveTo(now: number): void {
    const part = Math.floor(now / this.#partMs)
    if (part - this.#newest >= PARTS) this.clear()
    else {
      for (let passed = this.#newest + 1; passed <= part; passed++) {
        this.#calls[passed % PARTS] = 0
        this.#failures[passed % PARTS] = 0
      }
    }
    this.#newest = Math.max(this.#newest, part)
  }
}

const sum = (counts: Uint32Array): number => counts.reduce((total, count) => total + count, 0)

/** How many attempts a node performs at once. Who finds no slot waits in line; nothing is lost, it only begins later. */
export class AttemptSlots {
  #free: number
  readonly #waiting = new Set<() => void>()

  constructor(count: number) {
    this.#free = count
  }

  /** Takes a slot when one is free. */
  take(): boolean {
    if (this.#free === 0) return false
    this.#free -= 1
    return true
  }

  /** Runs `begin` when a slot is free for it, and not before this has answered: with a function that leaves the line. */
  wait(begin: () => void): () => void {
    this.#waiting.add(begin)
    return () => void this.#waiting.delete(begin)
  }

  /** Gives a slot back; the first in line gets it. */
  release(): void {
    const next = this.#waiting.values().next()
    if (next.done) {
      this.#free += 1
      return
    }
    this.#waiting.delete(next.value)
    next.value()
  }
}

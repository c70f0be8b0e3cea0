/** How many attempts a node performs at once. Who finds no slot waits in line; nothing is lost, it only begins later. */
export class AttemptSlots {
  #free: number
  readonly #waiting = new Set<() => void>()

  constructor(count: number) {
    this.#free = count
  }

  /** Runs `begin` as soon as there is a slot, at once when one is free. Answers a function that leaves the line. */
  take(begin: () => void): () => void {
    if (this.#free > 0) {
      this.#free -= 1
      begin()
      return () => {}
    }
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

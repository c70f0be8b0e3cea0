import type { Fact } from './core/event.ts'

/** A fact that waits for its turn, and the inbox item that it answers. */
export interface QueuedFact {
  readonly fact: Fact
  readonly inboxId: string | undefined
}

/**
 * Ids that were dealt with lately. A read of the inbox that was sent before the answer's commit may come back after it, with
 * rows that are gone: they must not be answered twice. Rotated every half minute; no read takes as long.
 */
export class RecentIds {
  #young = new Set<string>()
  #old = new Set<string>()

  add(ids: readonly string[]): void {
    for (const id of ids) this.#young.add(id)
  }

  has(id: string): boolean {
    return this.#young.has(id) || this.#old.has(id)
  }

  rotate(): void {
    this.#old = this.#young
    this.#young = new Set()
  }
}

/** The facts of one execution that wait, and the items of its inbox that are being answered: each is taken once. */
export class FactQueue {
  #facts: QueuedFact[] = []
  readonly #taken = new Set<string>()

  get isEmpty(): boolean {
    return this.#facts.length === 0
  }

  push(fact: Fact, inboxId?: string): void {
    this.#facts.push({ fact, inboxId })
  }

  shift(): QueuedFact | undefined {
    return this.#facts.shift()
  }

  /** False when the item is being answered already: the inbox is read more often than it changes. */
  take(inboxId: string): boolean {
    if (this.#taken.has(inboxId)) return false
    this.#taken.add(inboxId)
    return true
  }

  /** The items are answered and gone. */
  answered(inboxIds: readonly string[]): void {
    for (const id of inboxIds) this.#taken.delete(id)
  }

  /** Forgets what waits; the items that it would have answered may be taken again. */
  clear(): void {
    this.answered(this.#facts.splice(0).flatMap(({ inboxId }) => inboxId ?? []))
  }
}

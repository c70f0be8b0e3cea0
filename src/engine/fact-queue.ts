import type { InboxKey } from '../repository/inbox.ts'
import type { Fact } from './core/event.ts'
import type { Answered } from './facts.ts'

/** What waits for its turn: a fact, and the inbox item that it answers, or a question whose answer is one. */
export type Queued =
  | { readonly fact: Fact; readonly inboxKey: InboxKey | undefined }
  | { readonly question: Answered; readonly inboxKey?: undefined }

/**
 * Requests that were dealt with lately. A read of the inbox that was sent before the answer's commit may come back after it, with
 * rows that are gone: they must not be answered twice. Rotated every half minute; no read takes as long.
 */
export class RecentRequests {
  #young = new Set<string>()
  #old = new Set<string>()

  add(inboxKeys: readonly InboxKey[]): void {
    for (const { requestId } of inboxKeys) this.#young.add(requestId)
  }

  has({ requestId }: InboxKey): boolean {
    return this.#young.has(requestId) || this.#old.has(requestId)
  }

  rotate(): void {
    this.#old = this.#young
    this.#young = new Set()
  }
}

/**
 * The facts of one execution that wait, and the items of its inbox that are being answered: each is taken once. A question waits
 * as such, and is answered in its turn: what two steps evaluate that go on at once must not be blind to each other.
 */
export class FactQueue {
  #facts: Queued[] = []
  readonly #taken = new Set<string>()

  get isEmpty(): boolean {
    return this.#facts.length === 0
  }

  push(fact: Fact, inboxKey?: InboxKey): void {
    this.#facts.push({ fact, inboxKey })
  }

  ask(question: Answered): void {
    this.#facts.push({ question })
  }

  shift(): Queued | undefined {
    return this.#facts.shift()
  }

  /** False when the item is being answered already: the inbox is read more often than it changes. */
  take({ requestId }: InboxKey): boolean {
    if (this.#taken.has(requestId)) return false
    this.#taken.add(requestId)
    return true
  }

  /** The items are answered and gone. */
  answered(inboxKeys: readonly InboxKey[]): void {
    for (const { requestId } of inboxKeys) this.#taken.delete(requestId)
  }

  /** Forgets what waits; the items that it would have answered may be taken again. */
  clear(): void {
    this.answered(this.#facts.splice(0).flatMap(({ inboxKey }) => inboxKey ?? []))
  }
}

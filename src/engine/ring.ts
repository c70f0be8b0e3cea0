import { eventBytes } from './event-pages.ts'
import type { EventMessage, StartedHint } from './stream-message.ts'

/** Bounds of what one execution's watchers together may leave behind. One message is held whatever its size. */
const MAX_MESSAGES = 2_000
const MAX_BYTES = 4 * 1024 * 1024
/** Bound of all rings of a feed together. */
const MAX_TOTAL_BYTES = 64 * 1024 * 1024
/** Hints between two events; more of them are dropped. */
const MAX_HINTS = 256

const none: readonly StartedHint[] = []

/** What all rings that share it hold, in bytes. */
export interface RingBudget {
  used: number
}

/** Consecutive events, held once for all subscribers of an execution until the last has taken them or the bounds are met. */
export class Ring {
  /** seq of the oldest message held; of the next to come when none is. */
  first = 0
  readonly #held = new Map<number, { readonly message: EventMessage; readonly bytes: number }>()
  readonly #hints = new Map<number, StartedHint[]>()
  readonly #budget: RingBudget
  #bytes = 0

  constructor(budget: RingBudget) {
    this.#budget = budget
  }

  get isFull(): boolean {
    if (this.#held.size === 0) return false
    return this.#held.size >= MAX_MESSAGES || this.#bytes >= MAX_BYTES || this.#budget.used >= MAX_TOTAL_BYTES
  }

  /** The message with a seq that is held. */
  at(seq: number): EventMessage {
    return this.#held.get(seq)!.message
  }

  push(message: EventMessage): void {
    const bytes = eventBytes(message.event)
    this.#held.set(message.seq, { message, bytes })
    this.#count(bytes)
  }

  /** Keeps a hint for those who wait for the event `seq`, which comes next. */
  hint(seq: number, message: StartedHint): void {
    const hints = this.#hints.get(seq)
    if (hints === undefined) this.#hints.set(seq, [message])
    else if (hints.length < MAX_HINTS) hints.push(message)
  }

  /** What was hinted between the event before `seq` and that one. */
  hintsAt(seq: number): readonly StartedHint[] {
    return this.#hints.get(seq) ?? none
  }

  /** Lets go of all below `seq`. */
  dropBelow(seq: number): void {
    for (; this.first < seq && this.#held.size > 0; this.first++) {
      this.#count(-this.#held.get(this.first)!.bytes)
      this.#held.delete(this.first)
      this.#hints.delete(this.first)
    }
  }

  /** Makes room for some time, so that a full ring is not cut at every push. */
  dropOldest(): void {
    while (this.isFull) this.dropBelow(this.first + Math.ceil(this.#held.size / 4))
  }

  /** Lets go of all and goes on at `seq`. */
  restart(seq: number): void {
    this.#held.clear()
    this.#hints.clear()
    this.#count(-this.#bytes)
    this.first = seq
  }

  #count(bytes: number): void {
    this.#bytes += bytes
    this.#budget.used += bytes
  }
}

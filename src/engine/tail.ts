import type { JournalEvent } from './core/event.ts'
import { PageSize } from './event-pages.ts'
import { Ring, type RingBudget } from './ring.ts'
import { messageOf, type StartedHint } from './stream-message.ts'
import type { Subscriber } from './subscriber.ts'

/** What tails and subscribers ask of the feed that they belong to. */
export interface TailContext {
  /** ms that only go forward. */
  readonly monotonic: () => number
  readonly budget: RingBudget
  /** A page of committed events after a seq. */
  readonly read: (executionId: string, after: number, limit: number) => Promise<readonly JournalEvent[]>
  /** There is something to deliver: soon, in the feed's own turn. */
  readonly schedule: (tail: Tail) => void
  /** A read failed: try again at the next poll. */
  readonly stalled: (again: () => void, error: unknown) => void
}

/**
 * The end of one execution's journal as its subscribers here see it, shared by all of them.
 *
 *   unplaced ──place(seq)──▶ following ──an event beyond `next` is offered──▶ filling ──▶ following
 *
 * A seq has no hole, so `next` alone tells a repeat (lower), the expected (equal) and a gap (higher), which is read.
 */
export class Tail {
  readonly executionId: string
  readonly subscribers = new Set<Subscriber>()
  /** seq of the event that comes next; null before the first subscriber has found out. */
  next: number | null = null
  readonly ring: Ring
  /** Polls left in which it is read even though it is owned here: a commit may have overtaken the subscription. */
  youth = 4
  /** Time of the newest event seen. */
  at = 0
  /** The newest seq heard of. */
  #heard = 0
  /** Offered while filling: consecutive events that join on as soon as the gap is closed. */
  #ahead: JournalEvent[] = []
  #filling = false
  /** How often it lost its place: a page that was asked for before may be of a journal that is no more. */
  #displaced = 0
  /** Where a delivery goes on that had to stop for others. */
  #round: Iterator<Subscriber> | null = null
  readonly #context: TailContext

  constructor(executionId: string, context: TailContext) {
    this.executionId = executionId
    this.#context = context
    this.ring = new Ring(context.budget)
  }

  /** Says where the tail begins: `next` must not be beyond the first event that is not committed yet. */
  place(next: number): void {
    if (this.next !== null) return
    this.next = next
    this.ring.restart(next)
    this.#join()
    if (this.#heard >= this.next) this.fill()
  }

  /** Loses its place and what it held; the snapshots of its subscribers, if it has any, place it anew. */
  displace(): void {
    this.#displaced += 1
    this.next = null
    this.ring.restart(0)
    this.#heard = 0
    this.#ahead = []
    this.youth = 4
  }

  /** True when all from `seq` on is at hand or still to come. */
  covers(seq: number): boolean {
    return this.next !== null && seq >= this.ring.first
  }

  /** Takes committed, consecutive events; what it has already is dropped. */
  offer(events: readonly JournalEvent[]): void {
    const first = events[0]
    if (first === undefined) return
    this.#heard = Math.max(this.#heard, events.at(-1)!.seq)
    if (this.next !== null && !this.#filling && first.seq <= this.next) {
      for (const event of events) this.#push(event)
      return
    }
    const joins = this.#ahead.at(-1)?.seq === first.seq - 1 && this.#ahead.length < AHEAD
    this.#ahead = joins ? [...this.#ahead, ...events] : [...events]
    this.fill()
  }

  /** Events up to `seq` are committed elsewhere. True when it does not have them yet and nobody reads them already. */
  hear(seq: number): boolean {
    this.#heard = Math.max(this.#heard, seq)
    return this.next !== null && seq >= this.next && !this.#filling
  }

  /** Takes what is not in the journal; it is heard between the last event and the next one, or not at all. */
  hint(message: StartedHint): void {
    if (this.next === null) return
    this.ring.hint(this.next, message)
    this.#context.schedule(this)
  }

  /** Reads what is committed beyond `next`, until nothing that was heard of is missing. */
  fill(): void {
    if (this.#filling || this.next === null) return
    this.#filling = true
    this.#read().catch((error: unknown) => this.#context.stalled(() => this.fill(), error))
  }

  get isFilling(): boolean {
    return this.#filling
  }

  async #read(): Promise<void> {
    const size = new PageSize()
    try {
      while (this.next !== null && this.subscribers.size > 0) {
        const limit = size.limit
        const heard = this.#heard
        const displaced = this.#displaced
        const page = await this.#context.read(this.executionId, this.next - 1, limit)
        if (this.#displaced !== displaced) continue
        size.note(page)
        for (const event of page) this.#push(event)
        this.#join()
        const isMissing = this.#heard >= this.next && (page.length > 0 || this.#heard > heard)
        if (page.length < limit && !isMissing) return
      }
    } finally {
      this.#filling = false
    }
  }

  /** Appends what was offered, as far as it joins on. */
  #join(): void {
    const ahead = this.#ahead
    if (ahead.length === 0 || ahead[0]!.seq > this.next!) return
    this.#ahead = []
    for (const event of ahead) this.#push(event)
  }

  #push(event: JournalEvent): void {
    if (this.next === null || event.seq < this.next) return
    if (this.ring.isFull) this.#makeRoom()
    // A hole in what the store gave: compacted away. Who waited for it is told that it lags.
    if (event.seq > this.next) this.ring.restart(event.seq)
    this.ring.push(messageOf(event))
    this.next = event.seq + 1
    this.at = event.at
    this.#heard = Math.max(this.#heard, event.seq)
    this.#context.schedule(this)
  }

  /** Whoever keeps up takes what there is before the oldest is let go, so only slow subscribers lose anything. */
  #makeRoom(): void {
    this.#round = null
    this.deliver()
    this.ring.dropOldest()
  }

  /**
   * Gives every subscriber what it will take. False when `deadline` (of the monotonic clock, ms) came first, or did before: it
   * goes on with the others then, and those who were served first may have got behind meanwhile.
   */
  deliver(deadline = Number.POSITIVE_INFINITY): boolean {
    const isWhole = this.#round === null
    this.#round ??= this.subscribers.values()
    for (let next = this.#round.next(); next.done !== true; next = this.#round.next()) {
      next.value.deliver()
      if (this.#context.monotonic() > deadline) return false
    }
    this.#round = null
    let needed = this.next ?? 0
    for (const subscriber of this.subscribers) if (subscriber.needs < needed) needed = subscriber.needs
    this.ring.dropBelow(needed)
    return isWhole
  }
}

/** How many offered events may wait while a gap is read; beyond that the oldest of them are read too. */
const AHEAD = 1_000

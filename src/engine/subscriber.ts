import { CairnError } from '../errors.ts'
import type { JournalEvent } from './core/event.ts'
import { PageSize } from './event-pages.ts'
import {
  type EventMessage,
  type Listener,
  messageOf,
  type SnapshotMessage,
  type StreamMessage,
} from './stream-message.ts'
import type { Tail, TailContext } from './tail.ts'

export interface SubscriberContext extends TailContext {
  readonly snapshot: (executionId: string) => Promise<SnapshotMessage>
  /** The listener threw. */
  readonly broken: (executionId: string, error: unknown) => void
  /** The subscription cannot go on. */
  readonly end: (subscriber: Subscriber, error: CairnError) => void
}

type Mode = 'opening' | 'replaying' | 'live' | 'closed'

/**
 * One subscription's place in a journal.
 *
 *   opening ──snapshot──▶ replaying (pages from the store) ──caught up with the tail──▶ live (messages from its ring)
 *      └── without one ──────▲            any ──close──▶ closed
 *
 * `ready()` is asked before each message; while it is false nothing is read and nothing held for this subscriber alone. A live
 * one that comes back too late for the ring is told what it missed by one `lagged`.
 */
export class Subscriber {
  readonly tail: Tail
  readonly #listener: Listener
  readonly #ready: () => boolean
  readonly #context: SubscriberContext
  #mode: Mode
  /** seq of the event that it gets next; null: the one after the snapshot's. */
  #next: number | null
  /** The newest event that it was given. */
  #seen: Pick<JournalEvent, 'seq' | 'at' | 'type'> | null = null
  /** How many of the hints before the next event it was given. */
  #hinted = 0
  /** The ring keeps what follows a page that is being read. */
  #hold = Number.POSITIVE_INFINITY
  readonly #size = new PageSize()
  #busy = false
  /** How often the tail lost its place: what was read before counts no more. */
  #reopened = 0

  constructor(
    tail: Tail,
    context: SubscriberContext,
    options: { next: number | null; snapshot: boolean; ready: () => boolean },
    listener: Listener,
  ) {
    this.tail = tail
    this.#context = context
    this.#next = options.next
    this.#ready = options.ready
    this.#listener = listener
    this.#mode = options.snapshot ? 'opening' : 'replaying'
  }

  /** The oldest seq that the ring must keep for it. */
  get needs(): number {
    return this.#mode === 'live' ? this.#next! : this.#hold
  }

  /** Delivers what can be delivered at once; used when the tail has moved. */
  deliver(): void {
    if (this.#busy) return
    this.#busy = true
    while (this.#hasMore() && this.#ready()) this.#deliverOne()
    this.#busy = false
  }

  /** Goes on in whatever it was doing: after it was made, after `ready()` was false, after a read failed. */
  resume(): void {
    if (this.#mode === 'live') {
      this.deliver()
      this.#context.schedule(this.tail)
    } else if (!this.#busy && this.#mode !== 'closed') void this.#work()
  }

  /** The tail lost its place: a new snapshot tells where the journal is now. */
  reopen(): void {
    if (this.#mode === 'closed') return
    this.#mode = 'opening'
    this.#reopened += 1
    this.resume()
  }

  close(last?: StreamMessage): void {
    if (this.#mode === 'closed') return
    this.#mode = 'closed'
    if (last !== undefined) this.#send(last)
  }

  async #work(): Promise<void> {
    this.#busy = true
    try {
      while (this.#isBehind() && this.#ready()) {
        if (this.#mode === 'opening') await this.#open()
        else await this.#replay()
      }
    } catch (error) {
      if (error instanceof CairnError && error.status !== 503) this.#context.end(this, error)
      else this.#context.stalled(() => this.resume(), error)
    } finally {
      this.#hold = Number.POSITIVE_INFINITY
      this.#busy = false
    }
    this.deliver()
    this.#context.schedule(this.tail)
  }

  async #open(): Promise<void> {
    const reopened = this.#reopened
    const snapshot = await this.#context.snapshot(this.tail.executionId)
    const isLost = await this.#hasSeenLostEvent()
    if (this.#mode !== 'opening' || this.#reopened !== reopened || !this.#ready()) return
    this.tail.place(snapshot.seq + 1)
    this.#next ??= snapshot.seq + 1
    // What comes now has seqs that this subscriber has seen already, with other events: the snapshot is where it goes on.
    if (isLost) this.#next = snapshot.seq + 1
    this.#mode = 'replaying'
    this.#send(snapshot)
  }

  /** True when the journal lost its end in a failover, and something that was given to this subscriber with it. */
  async #hasSeenLostEvent(): Promise<boolean> {
    const seen = this.#seen
    if (seen === null) return false
    const [found] = await this.#context.read(this.tail.executionId, seen.seq - 1, 1)
    if (found === undefined) return true
    // Compacted away: what comes after it stands.
    return found.seq === seen.seq && (found.at !== seen.at || found.type !== seen.type)
  }

  async #replay(): Promise<void> {
    if (this.tail.covers(this.#next!)) {
      this.#mode = 'live'
      return
    }
    const { next } = this.tail
    if (next !== null) this.#hold = next
    const limit = this.#size.limit
    const page = await this.#context.read(this.tail.executionId, this.#next! - 1, limit)
    this.#size.note(page)
    for (const [taken, event] of page.entries()) {
      if (this.#mode !== 'replaying') return
      if (!this.#ready()) {
        // The rest is read again: held for each slow subscriber, pages would add up. From now on, what it can take.
        this.#size.limit = Math.max(1, taken)
        return
      }
      this.#sendEvent(messageOf(event))
    }
    if (this.#mode !== 'replaying') return
    // All below `next` is committed: what a page that is not full does not hold of it was compacted away.
    if (page.length === 0 && next !== null && next > this.#next!) this.#skipTo(next, this.tail.at)
  }

  #hasMore(): boolean {
    if (this.#mode !== 'live' || this.#next! > this.tail.next!) return false
    return this.#next! < this.tail.next! || this.#hinted < this.tail.ring.hintsAt(this.#next!).length
  }

  #deliverOne(): void {
    const { ring, at } = this.tail
    const next = this.#next!
    const hint = ring.hintsAt(next)[this.#hinted]
    if (next < ring.first) this.#skipTo(ring.first, at)
    else if (hint === undefined) this.#sendEvent(ring.at(next))
    else {
      this.#hinted += 1
      this.#send(hint)
    }
  }

  #sendEvent(message: EventMessage): void {
    if (message.seq < this.#next!) return
    if (message.seq > this.#next!) this.#skipTo(message.seq, message.at)
    this.#next = message.seq + 1
    const { seq, at, type } = message.event
    this.#seen = { seq, at, type }
    this.#hinted = 0
    this.#send(message)
  }

  #skipTo(seq: number, at: number): void {
    const fromSeq = this.#next!
    this.#next = seq
    this.#hinted = 0
    this.#send({ type: 'lagged', executionId: this.tail.executionId, fromSeq, toSeq: seq - 1, at })
  }

  #send(message: StreamMessage): void {
    try {
      this.#listener(message)
    } catch (error) {
      this.#context.broken(this.tail.executionId, error)
    }
  }

  #isBehind(): boolean {
    return this.#mode === 'opening' || this.#mode === 'replaying'
  }
}

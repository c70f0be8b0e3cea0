import type { Append, Basis } from '../repository/append.ts'
import type { ExecutionRow } from '../repository/execution-row.ts'
import type { ExecutionState } from './core/state.ts'
import { Draft, type Effect } from './draft.ts'
import type { AppendSink } from './journal.ts'
import { imageOf, type RowImage } from './row-image.ts'
import type { Services } from './services.ts'
import { statusChange } from './statistics.ts'

/** Hears what became of the appends of one execution. */
export interface WriterOutcomes {
  committed(append: Append, effects: readonly Effect[]): void
  rejected(append: Append, error: Error): void
  abandoned(error: Error): void
}

interface Waiter {
  resolve(): void
  reject(error: Error): void
}

/** What one execution writes: one append is in flight at a time, the next one gathers in the draft meanwhile. */
export class ExecutionWriter implements AppendSink {
  readonly #row: ExecutionRow
  readonly #services: Services
  readonly #outcomes: WriterOutcomes
  /** Who waits for the append that is in flight, and for the one that gathers. */
  #waiters: Waiter[] = []
  #nextWaiters: Waiter[] = []
  /** When the newest event was that is in the journal or on its way there; ms since 1970. A rollback does not turn it back. */
  #lastAt: number
  #draft = new Draft()
  #inFlight: readonly Effect[] | null = null
  /** The row as the first append inserts it. */
  #inserted: ExecutionRow | null = null
  /** What the row will say once all that was sent is committed; null: the first append inserts it. */
  #image: RowImage | null
  /** The last event that was read; null once an append was acknowledged here, which stands on it. */
  #basis: Basis | null

  /** `basis`: the last event that was read after a claim; null for a new execution. */
  constructor(row: ExecutionRow, basis: Basis | null, services: Services, outcomes: WriterOutcomes) {
    this.#row = row
    this.#image = basis === null ? null : { status: row.status, requested: row.requested }
    this.#basis = basis
    this.#lastAt = basis?.at ?? 0
    this.#services = services
    this.#outcomes = outcomes
  }

  /** A new execution's row as it was written; null before that. */
  get inserted(): ExecutionRow | null {
    return this.#inserted
  }

  get draft(): Draft {
    return this.#draft
  }

  get isInFlight(): boolean {
    return this.#inFlight !== null
  }

  /** All that was recorded is committed. */
  get isIdle(): boolean {
    return this.#inFlight === null && this.#draft.isEmpty
  }

  /** When the next event is: never before the one before it, whatever the clock says and wherever the state was turned back to. */
  timeAfter(state: ExecutionState): number {
    return Math.max(this.#services.clock.now(), state.at, this.#lastAt)
  }

  /** Resolves when all that was recorded so far is committed; rejects when it never will be. */
  written(): Promise<void> {
    if (this.isIdle) return Promise.resolve()
    const waiters = this.#draft.isEmpty ? this.#waiters : this.#nextWaiters
    return new Promise((resolve, reject) => waiters.push({ resolve, reject }))
  }

  /** Sends the draft unless it is empty or another append is in flight. Answers true when it gives the execution away. */
  send(state: ExecutionState): boolean {
    if (this.#inFlight !== null || this.#draft.isEmpty) return false
    const draft = this.#draft
    this.#draft = new Draft()
    this.#waiters = this.#nextWaiters
    this.#nextWaiters = []
    this.#lastAt = draft.events.at(-1)!.at
    const before = this.#image
    const image = imageOf(state, draft, before, this.#services)
    if (image !== null) this.#image = image
    this.#inFlight = draft.takeEffects()
    const append = draft.toAppend(this.#row, image, before === null, statusChange(before, state), this.#basis)
    if (append.insert !== undefined) this.#inserted = append.insert
    this.#services.journal.append(append, this)
    return image?.owner === null
  }

  /** Nobody waits for it any more. */
  giveUp(error: Error): void {
    for (const waiter of [...this.#waiters.splice(0), ...this.#nextWaiters.splice(0)]) waiter.reject(error)
  }

  committed(append: Append): void {
    const effects = this.#inFlight!
    this.#basis = null
    this.#inFlight = null
    // Mostly nobody waits.
    if (this.#waiters.length > 0) for (const waiter of this.#waiters.splice(0)) waiter.resolve()
    this.#outcomes.committed(append, effects)
  }

  /** The draft stands on what was refused: it is thrown away, all but the requests that it was to answer. */
  rejected(append: Append, error: Error): void {
    this.#inFlight = null
    this.#nextWaiters.unshift(...this.#waiters.splice(0))
    const { inboxKeys } = this.#draft
    this.#draft = new Draft()
    for (const key of [...append.inboxKeys, ...inboxKeys]) this.#draft.answer(key)
    this.#outcomes.rejected(append, error)
  }

  abandoned(error: Error): void {
    this.#outcomes.abandoned(error)
  }
}

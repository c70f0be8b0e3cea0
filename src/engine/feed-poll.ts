import type { ExecutionChange } from '../repository/executions.ts'
import type { Store } from '../repository/store.ts'
import type { Clock } from './clock.ts'
import type { Log } from './log.ts'
import type { Tail } from './tail.ts'
import type { WorkflowWatch } from './workflow-watch.ts'

export interface FeedPollOptions {
  readonly store: Pick<Store, 'tailMany' | 'executionsChangedSince' | 'missingExecutions'>
  /** True while this node publishes the execution's commits itself. */
  readonly isOwnedHere: (executionId: string) => boolean
  /** The database's clock: changes are found by the times that it gave them. */
  readonly clock: Clock
  readonly log: Log
}

/**
 * Every so many polls all tails are read, owned here or not: nothing that was overlooked stays so for long. And it is looked
 * whether the executions are still there: retention leaves no event behind.
 */
const FULL_POLL = 20
/** Executions asked for in one query, and events that it brings of all of them together. */
const POLL_TAILS = 500
const POLL_EVENTS = 2_000
/** Executions whose status changed, for all watched workflows together. */
const POLL_CHANGES = 1_000
/** A change may become visible this long after the time that it carries, when its flush had to wait. */
const LATE_COMMIT_MS = 5_000

/** Who hears what a poll finds out beside events. */
export interface FeedPollHears {
  changed(change: ExecutionChange): void
  /** There is no such execution any more. */
  gone(executionId: string): void
}

/** Reads what other nodes committed to what is watched here: one query for the journals, one for the workflows. */
export class FeedPoll {
  readonly #options: FeedPollOptions
  readonly #tails: ReadonlyMap<string, Tail>
  readonly #workflows: WorkflowWatch
  readonly #hears: FeedPollHears
  readonly #nudged = new Set<Tail>()
  #isReading = false
  #polls = 0
  #changedSince: number | null = null

  constructor(
    options: FeedPollOptions,
    tails: ReadonlyMap<string, Tail>,
    workflows: WorkflowWatch,
    hears: FeedPollHears,
  ) {
    this.#options = options
    this.#tails = tails
    this.#workflows = workflows
    this.#hears = hears
  }

  /** Never rejects: what fails is read by the next poll. */
  async run(): Promise<void> {
    this.#polls += 1
    try {
      await this.#pollTails(this.#polls % FULL_POLL === 0)
      if (this.#polls % FULL_POLL === 0) await this.#lookForGone()
      await this.#pollWorkflows()
    } catch (error) {
      this.#options.log.warn({ err: error }, 'polling for subscribers failed; it is tried again')
    }
  }

  /** Reads this tail at once, together with what is nudged meanwhile; what fails is read by the next poll. */
  nudge(tail: Tail): void {
    this.#nudged.add(tail)
    if (!this.#isReading) void this.#readNudged()
  }

  async #readNudged(): Promise<void> {
    this.#isReading = true
    try {
      while (this.#nudged.size > 0) {
        const tails = [...this.#nudged]
        this.#nudged.clear()
        const asked = tails.flatMap(({ executionId, next }) => (next === null ? [] : { executionId, after: next - 1 }))
        await this.#pollAll(asked)
      }
    } catch (error) {
      this.#nudged.clear()
      this.#options.log.debug({ err: error }, 'reading what another node told of failed; the next poll will')
    } finally {
      this.#isReading = false
    }
  }

  async #pollTails(all: boolean): Promise<void> {
    const asked: { executionId: string; after: number }[] = []
    for (const tail of this.#tails.values()) {
      if (tail.next === null || tail.isFilling) continue
      const isYoung = tail.youth > 0
      if (isYoung) tail.youth -= 1
      if (!all && !isYoung && this.#options.isOwnedHere(tail.executionId)) continue
      asked.push({ executionId: tail.executionId, after: tail.next - 1 })
    }
    await this.#pollAll(asked)
  }

  async #pollAll(asked: readonly { executionId: string; after: number }[]): Promise<void> {
    for (let i = 0; i < asked.length; i += POLL_TAILS) {
      await this.#pollBatch(asked.slice(i, i + POLL_TAILS))
    }
  }

  async #pollBatch(batch: readonly { executionId: string; after: number }[]): Promise<void> {
    const events = await this.#options.store.tailMany(batch, POLL_EVENTS)
    const found = Map.groupBy(events, (event) => event.executionId)
    for (const [executionId, own] of found) this.#tails.get(executionId)?.offer(own)
    if (events.length < POLL_EVENTS) return
    // The limit cut off the last one's and whatever the others have: each reads its own.
    const last = events.at(-1)!.executionId
    for (const { executionId } of batch) {
      if (executionId === last || !found.has(executionId)) this.#tails.get(executionId)?.fill()
    }
  }

  async #lookForGone(): Promise<void> {
    const placed = [...this.#tails.values()].filter((tail) => tail.next !== null).map((tail) => tail.executionId)
    for (let i = 0; i < placed.length; i += POLL_TAILS) {
      const gone = await this.#options.store.missingExecutions(placed.slice(i, i + POLL_TAILS))
      for (const executionId of gone) this.#hears.gone(executionId)
    }
  }

  async #pollWorkflows(): Promise<void> {
    const { workflowIds } = this.#workflows
    if (workflowIds.length === 0) {
      this.#changedSince = null
      return
    }
    const { store, clock } = this.#options
    const horizon = clock.now() - LATE_COMMIT_MS
    const since = this.#changedSince ?? horizon
    const changes = await store.executionsChangedSince(workflowIds, since, POLL_CHANGES)
    for (const change of changes) this.#hears.changed(change)
    // A full page goes on behind its last row; otherwise the last seconds are looked through again for late commits.
    const isFull = changes.length >= POLL_CHANGES
    this.#changedSince = isFull ? Math.max(changes.at(-1)!.updatedAt, since + 1) : Math.max(since, horizon)
  }
}

import { CairnError } from '../errors.ts'
import type { Append } from '../repository/append.ts'
import type { ExecutionRow } from '../repository/execution-row.ts'
import type { LaneWriter } from '../repository/lane.ts'
import type { Notifications } from '../repository/notifications.ts'
import type { Store } from '../repository/store.ts'
import type { ActionRegistry } from './actions/registry.ts'
import type { AttemptSlots } from './attempt-slots.ts'
import type { Breakers } from './breakers.ts'
import { Claiming } from './claiming.ts'
import type { Clock } from './clock.ts'
import type { Compaction } from './compaction.ts'
import type { ExecutionState } from './core/state.ts'
import type { EngineSettings } from './engine-options.ts'
import { logCommitted } from './execution-log.ts'
import type { Executor } from './executor.ts'
import { lossOf } from './failover.ts'
import type { Feed } from './feed.ts'
import { HeldBytes } from './held-bytes.ts'
import { Hints } from './hints.ts'
import type { History } from './history.ts'
import { Journal } from './journal.ts'
import type { Log } from './log.ts'
import type { Observer } from './observer.ts'
import type { Outage } from './outage.ts'
import { OwnedExecutions } from './owned-executions.ts'
import { Ownership } from './ownership.ts'
import type { Plans } from './plans.ts'
import type { RateLimits } from './rate-limits.ts'
import type { Secrets } from './secrets.ts'
import { linesOf } from './slot-rows.ts'
import { SlotSettling } from './slot-settling.ts'

/** What outlives a life of the node. */
export interface NodeParts {
  readonly store: Store
  /** null: nodes find each other's work by polling alone. */
  readonly notifications: Notifications | null
  readonly clock: Clock
  /** Formats that this release can fold, oldest first; new executions take the last. */
  readonly formats: readonly number[]
  /** See `Snapshots`. */
  readonly snapshotBytes: number
  readonly actions: ActionRegistry
  readonly slots: AttemptSlots
  readonly breakers: Breakers | null
  readonly rateLimits: RateLimits
  readonly secrets: Secrets
  readonly history: History
  readonly plans: Plans
  readonly feed: Feed
  readonly compaction: Compaction
  readonly observer: Observer
  readonly log: Log
  readonly outage: Outage
  readonly settings: EngineSettings
}

/** How long a stop waits for a flush that is under way: PostgreSQL may be away. */
const LAST_FLUSH_MS = 2_000

/**
 * One life of this node, from its registration to its end: the id, the lanes with their journal, the executions that it
 * owns. A node that learns that it is dead ends this life and begins another under a new id.
 */
export class NodeLife {
  readonly journal: Journal
  readonly owned: OwnedExecutions
  readonly ownership: Ownership
  readonly claiming: Claiming
  readonly hints: Hints | null
  readonly slotSettling: SlotSettling
  readonly #lanes: readonly LaneWriter[]
  readonly #parts: NodeParts
  #draining: Promise<void> | null = null

  constructor(parts: NodeParts, onDeath: (reason: string) => void) {
    const { store, clock, log, observer, outage, settings } = parts
    const { leaseMs, pollMs, lanes, maxRunning, maxHeldBytes } = settings
    this.#parts = parts
    const onRenewed = (): void => outage.answered()
    this.ownership = new Ownership({ store, clock, log, leaseMs, pollMs, lanes, onDeath, onRenewed })
    this.#lanes = Array.from({ length: lanes }, (_, lane) => store.openLane(this.ownership.node, lane))
    this.journal = new Journal({
      lanes: this.#lanes,
      clock,
      onFenced: onDeath,
      onFlush: (flush) => observer.flushed(flush),
      onSinkError: (executionId, err) => log.error({ executionId, err }, 'an executor failed on its own commit'),
      onRetry: ({ error, appends, attempt }) =>
        log.warn({ err: error, appends, attempt }, 'flush not answered; the same rows are sent again'),
    })
    const tellOwner = (executionId: string): void => this.tellOwner(executionId)
    this.slotSettling = new SlotSettling({ store, clock, log, tellOwner, everyMs: 4 * pollMs })
    this.owned = new OwnedExecutions(this.#services(), parts.plans)
    this.claiming = new Claiming({
      ...{ store, clock, log, maxRunning, maxHeldBytes },
      plans: parts.plans,
      formats: parts.formats,
      history: parts.history,
      node: this.node,
      owned: this.owned,
      mayClaim: () => this.ownership.mayClaim,
    })
    const { feed, notifications, breakers } = parts
    const { node, owned, ownership } = this
    this.hints = notifications && new Hints({ node, notifications, clock, log, feed, owned, ownership, breakers })
  }

  get node(): string {
    return this.ownership.node
  }

  async start(): Promise<void> {
    // Now, while the server has connections left; lanes that cannot connect do so with their first flush.
    await Promise.all(this.#lanes.map((lane) => lane.open?.()))
    try {
      await this.ownership.start(this.owned, this.claiming)
    } catch (error) {
      await this.#closeLanes()
      throw error
    }
    this.hints?.start()
  }

  /** PostgreSQL has failed over: when it lost what this life stands on, the life ends. */
  async checkLoss(): Promise<void> {
    const { store, log } = this.#parts
    try {
      const loss = await lossOf(store, this.node, this.#lanes, this.owned)
      if (loss !== null) this.ownership.die(loss)
    } catch (error) {
      log.warn({ err: error }, 'not known what the failover lost; the next flush tells')
    }
  }

  /** Takes nothing up any more and gives all executions away; resolves when it has, as far as `drainMs` allows. */
  drain(): Promise<void> {
    this.#draining ??= this.#drain()
    return this.#draining
  }

  async #drain(): Promise<void> {
    this.owned.beginNothingNew()
    await this.ownership.drain()
    await this.owned.drain(this.#parts.settings.drainMs)
  }

  /** Gives all executions away and lets the node go. */
  async stop(): Promise<void> {
    await this.drain()
    // What was written last, starts for other nodes among it, is not to be left in doubt.
    await Promise.race([this.journal.idle(), this.#after(LAST_FLUSH_MS)])
    const isAllGiven = this.owned.size === 0
    const error = new CairnError('ENGINE_STOPPING')
    this.owned.drop(error)
    this.journal.close(error)
    await Promise.all([this.#closeLanes(), this.slotSettling.stop()])
    await this.ownership.stop()
    if (!isAllGiven) this.hints?.claimable()
    await this.hints?.stop()
  }

  /** The end of a dead node: it forgets everything and tells nobody. */
  async end(error: Error): Promise<void> {
    this.ownership.end()
    this.journal.close(error)
    this.owned.drop(error)
    await Promise.all([this.#closeLanes(), this.hints?.end(), this.slotSettling.stop()])
  }

  #after(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#parts.clock.after(ms, resolve))
  }

  async #closeLanes(): Promise<void> {
    await Promise.all(this.#lanes.map((lane) => lane.close()))
  }

  #services() {
    const { snapshotBytes, settings } = this.#parts
    const { parkAfterMs, maxPayloadBytes, maxStateBytes } = settings
    return {
      ...this.#parts,
      node: this.ownership.node,
      limits: { parkAfterMs, maxPayloadBytes, maxStateBytes, snapshotBytes },
      held: new HeldBytes(),
      journal: this.journal,
      mayPerform: this.ownership.mayPerform,
      onCommitted: (executor: Executor, append: Append) => this.#tell(executor, append),
      onLeft: (executor: Executor) => this.#forget(executor),
      settleSlots: (row: ExecutionRow, state: ExecutionState) => this.slotSettling.settle(linesOf(row, state)),
      pokeInbox: (executionId: string) => this.owned.poke(executionId),
    }
  }

  #forget(executor: Executor): void {
    this.owned.forget(executor)
    this.hints?.left(executor.id)
  }

  /** Something waits in the inbox of an execution. Only a hint: it is durable, and whoever lives polls for it. */
  tellOwner(executionId: string): void {
    if (this.owned.has(executionId)) return this.owned.poke(executionId)
    this.hints?.posted(executionId)
    this.claimSoon()
  }

  /** Something may be claimed, here or, when there is no room, elsewhere. */
  claimSoon(): void {
    this.ownership.claimSoon()
    if (!this.ownership.isAlive || this.owned.size >= this.#parts.settings.maxRunning) this.hints?.claimable()
  }

  /** Only now may anybody hear of it. */
  #tell({ id, row }: Executor, append: Append): void {
    const { feed, observer, log } = this.#parts
    this.owned.answered(append.inboxKeys)
    feed.publish(id, append.events)
    this.hints?.committed(id, append.events.at(-1)!.seq)
    if (append.sends !== undefined) for (const { executionId } of append.sends) this.tellOwner(executionId)
    if (append.also !== undefined) this.claimSoon()
    if (append.asks !== undefined) this.slotSettling.committed(append)
    logCommitted(log, row, append)
    observer.committed(row, append)
    const image = append.insert ?? append.row
    if (image === undefined) return
    const { status, lastSeq, updatedAt } = image
    const { type, percentage } = append.events.at(-1)!
    const change = { id, workflowId: row.workflowId, status, lastSeq, percentage, updatedAt }
    feed.executionChanged(change)
    this.hints?.changed(change)
    if (type === 'execution.released') this.hints?.claimable()
  }
}

import type { Append } from '../repository/append.ts'
import type { ExecutionRow } from '../repository/execution-row.ts'
import type { Store } from '../repository/store.ts'
import type { AttemptServices } from './attempt.ts'
import type { Compaction } from './compaction.ts'
import type { ExecutionState } from './core/state.ts'
import type { Executor } from './executor.ts'
import type { Feed } from './feed.ts'
import type { HeldBytes } from './held-bytes.ts'
import type { History } from './history.ts'
import type { Journal } from './journal.ts'
import type { Plans } from './plans.ts'
import type { Secrets } from './secrets.ts'

/** Bounds that the operator sets; see README's table of settings. */
export interface Limits {
  readonly parkAfterMs: number
  readonly maxPayloadBytes: number
  readonly maxStateBytes: number
  /** See `Snapshots`. */
  readonly snapshotBytes: number
}

/** What the executors of one node share. A node that is reborn makes a new one. */
export interface Services extends AttemptServices {
  /** This node's id, the `owner` of its executions. */
  readonly node: string
  readonly journal: Journal
  readonly store: Store
  readonly history: History
  readonly feed: Pick<Feed, 'isWatched' | 'hint'>
  readonly plans: Pick<Plans, 'forStartNamed'>
  readonly secrets: Secrets
  readonly compaction: Compaction
  readonly limits: Limits
  readonly held: HeldBytes
  readonly onCommitted: (executor: Executor, append: Append) => void
  /** The execution has been given away, and that is committed. */
  readonly onLeft: (executor: Executor) => void
  /** Lines that an execution stands in, which was taken over: its former node may have left them unsettled. */
  readonly settleSlots: (row: ExecutionRow, state: ExecutionState) => void
  /** Something may wait in an execution's inbox: look now instead of at the next poll. */
  readonly pokeInbox: (executionId: string) => void
}

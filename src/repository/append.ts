import type { ApprovalChanges } from './approvals.ts'
import type { SlotAsk, SlotRelease } from './concurrency-slots.ts'
import type { AppendedEvent } from './events.ts'
import type { ExecutionImage, ExecutionRow } from './execution-row.ts'
import type { InboxKey, NewInboxItem } from './inbox.ts'
import type { StatisticsDelta } from './tally.ts'

/** What one execution writes at once: all of it or nothing. An execution appears in a flush at most once. */
export interface Append {
  readonly executionId: string
  /** At least one, in order of seq. */
  readonly events: readonly AppendedEvent[]
  /** A start: the row as it is after these events. */
  readonly insert?: ExecutionRow
  /** The row after these events, when any of it has changed. Not together with `insert`: a statement does not see its own rows. */
  readonly row?: ExecutionImage
  /** Inbox rows that these events answer. */
  readonly inboxKeys: readonly InboxKey[]
  /**
   * With the first append since this node claimed the execution: the last event that was read. It is fenced when the table does
   * not say that we are the owner, or that event is not there: a failover lost the claim, or what was read. The owner alone
   * proves nothing, since this node may have claimed it again before it knew (docs/adr/0018).
   */
  readonly basis?: Basis
  /** Starts of other executions that are written with it or not at all: their rows and first events. They bring none themselves. */
  readonly also?: readonly Append[]
  /**
   * What it leaves in the inboxes of other executions, in this order: for each only if there is such an execution, which this
   * very flush may start, and it has not ended.
   */
  readonly sends?: readonly NewInboxItem[]
  /** What the list of approvals is told. */
  readonly approvals?: ApprovalChanges
  /** Places that it takes in the lines of slots, and slots that it gives back, asked for in earlier appends: both or neither. */
  readonly asks?: readonly SlotAsk[]
  readonly releases?: readonly SlotRelease[]
  /** What the journal bounds its flushes by. */
  readonly bytes: number
  readonly statistics: readonly StatisticsDelta[]
}

/** An event of an execution; its time tells it from one that somebody else has written in its place. */
export interface Basis {
  readonly seq: number
  /** ms since 1970. */
  readonly at: number
}

/** Each append with the starts that it brings. */
export const withStarts = (appends: readonly Append[]): readonly Append[] =>
  appends.some(({ also }) => also !== undefined)
    ? appends.flatMap((append) => [append, ...(append.also ?? [])])
    : appends

import type { ErrorCode } from '../errors.ts'
import type { JournalEvent } from './core/event.ts'
import type { Progress } from './core/progress.ts'
import type { ExecutionStatus } from './core/state.ts'

/**
 * What a subscriber hears. Times (`at`) are ms since 1970 here and RFC 3339 on the wire. A message object is shared by all
 * who hear it and must not be changed.
 */
export type StreamMessage = { [FRAME]?: Buffer } & (
  | SnapshotMessage
  | EventMessage
  | StartedHint
  | LaggedMessage
  | ExecutionMessage
  | WorkflowLaggedMessage
  | FailureMessage
)

/**
 * Where a message keeps the WebSocket frame that is made of it once for all who hear it; no JSON shows it. It is kept here since the
 * message is what they share: a WeakMap of messages took 1.3 µs each.
 */
export const FRAME = Symbol('frame')

/** Always the first of a subscription: the progress as of `seq`. */
export interface SnapshotMessage {
  readonly type: 'snapshot'
  readonly executionId: string
  readonly seq: number
  readonly at: number
  readonly progress: Progress
}

/** One committed event; per subscription the seqs only rise, and none is missing that no `lagged` names. */
export interface EventMessage {
  readonly type: 'event'
  readonly executionId: string
  readonly seq: number
  readonly at: number
  readonly percentage: number
  readonly event: JournalEvent
}

/** An attempt began: a hint, not durable, without a seq, and dropped where it cannot be delivered at once. */
export interface StartedHint {
  readonly type: 'step.started'
  readonly executionId: string
  readonly path: string
  readonly attempt: number
  readonly at: number
}

/** Stands in place of the events `fromSeq` to `toSeq`: the subscriber was too slow for them, or they were compacted away. */
export interface LaggedMessage {
  readonly type: 'lagged'
  readonly executionId: string
  readonly fromSeq: number
  readonly toSeq: number
  readonly at: number
}

/** An execution of a watched workflow changed its status; sent at least once for each change. */
export interface ExecutionMessage {
  readonly type: 'execution'
  readonly executionId: string
  readonly workflowId: string
  readonly seq: number
  readonly status: ExecutionStatus
  readonly percentage: number
  readonly at: number
}

/** A subscriber of a workflow was too slow for `missed` messages: the list of executions tells what there is now. */
export interface WorkflowLaggedMessage {
  readonly type: 'lagged'
  readonly workflowId: string
  readonly missed: number
  readonly at: number
}

/** The last message of a subscription that cannot be served (any longer). */
export interface FailureMessage {
  readonly type: 'error'
  readonly executionId: string
  readonly code: ErrorCode
  readonly message: string
  readonly at: number
}

/** Hears the messages of one subscription, one at a time; what it throws is logged and otherwise ignored. */
export type Listener = (message: StreamMessage) => void

/** Ends the subscription when called. `resume()` goes on delivering after `ready()` was false. */
export type Subscription = (() => void) & { resume(): void }

export interface SubscribeOptions {
  /** Events after this seq are sent; by default those after the snapshot's. */
  readonly after?: number
  /** Asked before every message; false holds the delivery back until `resume()`. */
  readonly ready?: () => boolean
}

/** A committed event as subscribers hear it. */
export function messageOf(event: JournalEvent): EventMessage {
  const { executionId, seq, at, percentage } = event
  return { type: 'event', executionId, seq, at, percentage, event }
}

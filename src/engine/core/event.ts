import type { Json, JsonObject } from '../../definition/json.ts'
import type { OnLimit } from '../../definition/slot.ts'
import type { Regrouped } from './children.ts'
import type { SlotsRegrouped } from './slots.ts'

/** Why a step or an execution failed. `type` follows the taxonomy in docs/errors.md. */
export interface ExecutionError {
  readonly type: string
  readonly message: string
  /** Unique per failure: the same id stands in the log line and in the answer. */
  readonly errorId?: string
  readonly stepPath?: string
  readonly attempt?: number
  /** What the policy goes by when it names no types. */
  readonly retryable?: boolean
  /** Facts for a program: HTTP status, SQLSTATE, pointers. */
  readonly details?: JsonObject
  readonly cause?: { readonly type: string; readonly message: string }
}

/** A signal as it is kept until a step takes it. */
export interface Signal {
  readonly id: string
  readonly name: string
  readonly payload: Json
  readonly at: number
}

/** What every event has. `at` is the database's clock in ms since 1970 and never goes back within an execution. */
interface EventBase {
  /** 1, 2, 3 … without a hole. */
  readonly seq: number
  readonly at: number
}
interface StepEventBase extends EventBase {
  readonly path: string
  readonly attempt?: number
}

/** The answer to a request from the inbox carries its id and, where given, the caller's reason. */
interface Answer {
  readonly requestId?: string
  readonly reason?: string
}

/** Why a request from the inbox was turned down: a row of errors.ts with its parameters. */
export interface Refusal {
  readonly action: string
  readonly code: string
  readonly parameters: Json[]
}

/** One fact in an execution's journal, past tense. The `type` names are part of the public contract. */
export type Event =
  | (EventBase & { readonly type: 'execution.scheduled'; readonly data: Scheduled })
  | (EventBase & { readonly type: 'execution.started'; readonly data: { readonly traceparent?: string } })
  | (EventBase & { readonly type: 'execution.recovered'; readonly data: { readonly from: string | null } })
  | (EventBase & { readonly type: 'execution.parked'; readonly data: { readonly wakeAt: number | null } })
  | (EventBase & { readonly type: 'execution.released'; readonly data: { readonly reason: 'drain' | 'idle' } })
  | (EventBase & { readonly type: 'execution.pause_requested'; readonly data: Answer })
  | (EventBase & { readonly type: 'execution.paused'; readonly data: Answer })
  | (EventBase & { readonly type: 'execution.resumed'; readonly data: Answer })
  | (EventBase & { readonly type: 'execution.cancelled'; readonly data: Answer })
  | (EventBase & { readonly type: 'execution.retried'; readonly data: Answer })
  | (EventBase & { readonly type: 'execution.compensating'; readonly data: Compensating })
  | (EventBase & { readonly type: 'execution.rolled_back'; readonly data: RolledBack })
  | (EventBase & { readonly type: 'execution.completed'; readonly data: { readonly output?: Json } })
  /** Not by a step's failure: compensations and onFailure run first. */
  | (EventBase & { readonly type: 'execution.failing'; readonly data: { readonly error: ExecutionError } })
  | (EventBase & {
      readonly type: 'execution.failed'
      readonly data: { readonly error: ExecutionError; readonly requestId?: string }
    })
  | (EventBase & { readonly type: 'execution.quarantined'; readonly data: Quarantine })
  | (EventBase & { readonly type: 'control.refused'; readonly data: Refusal & { readonly requestId: string } })
  | (EventBase & {
      readonly type: 'signal.received'
      readonly data: { readonly signal: Signal; readonly requestId?: string }
    })
  | (EventBase & { readonly type: 'child.ended'; readonly data: ChildEnded })
  | (EventBase & { readonly type: 'execution.queued'; readonly data: Queued })
  /** `path` is the step's; without it the slot is the execution's own. */
  | (EventBase & { readonly type: 'slot.granted'; readonly path?: string; readonly data: { readonly ticket: number } })
  | (EventBase & { readonly type: 'slot.refused'; readonly path?: string; readonly data: SlotRefused })
  | (StepEventBase & { readonly type: 'step.queued'; readonly data: Queued })
  | (StepEventBase & { readonly type: 'child.started'; readonly data: ChildStarted })
  | (StepEventBase & { readonly type: 'step.entered'; readonly data: Record<string, never> })
  | (StepEventBase & { readonly type: 'step.skipped'; readonly data: { readonly reason: 'when' } })
  | (StepEventBase & { readonly type: 'step.started'; readonly data: Record<string, never> })
  | (StepEventBase & { readonly type: 'step.completed'; readonly data: StepResult })
  | (StepEventBase & { readonly type: 'step.failed'; readonly data: StepFailure })
  | (StepEventBase & { readonly type: 'step.decided'; readonly data: JsonObject })
  | (StepEventBase & { readonly type: 'approval.requested'; readonly data: ApprovalRequest })
  /** Its deadline has passed. */
  | (StepEventBase & { readonly type: 'approval.overdue'; readonly data: Record<string, never> })
  | (StepEventBase & { readonly type: 'approval.decided'; readonly data: ApprovalDecision })
  | (StepEventBase & { readonly type: 'condition.evaluated'; readonly data: { readonly result: boolean } })
  | (StepEventBase & { readonly type: 'timer.fired'; readonly data: { readonly timer: 'retry' } })

export type EventType = Event['type']

export interface Scheduled {
  readonly startAt: number
  /** Of a sub-workflow. */
  readonly parent?: Parent
}

/** The execution that started this one, and where it did. */
export interface Parent {
  readonly executionId: string
  readonly path: string
  /** How many executions stand above this one. */
  readonly depth: number
  /** A step waits for how it ends. */
  readonly isAwaited: boolean
}

/** The child's row and first event are written with it, or none of it is. */
export interface ChildStarted {
  readonly executionId: string
  readonly workflowId: string
  readonly workflowVersion: number
}

/** A child has ended that no step waits for. */
export interface ChildEnded {
  readonly executionId: string
  readonly status: 'completed' | 'failed' | 'cancelled'
}

/** Who is asked for what; see core/approvals.ts. */
export interface ApprovalRequest {
  /** A new one whenever a step asks. */
  readonly approvalId: string
  readonly title: string
  readonly description?: string
  readonly assignees: readonly string[]
  readonly groups: readonly string[]
  /** Its deadline, ms since 1970. */
  readonly dueAt: number | null
}

/** The first one counts. */
export interface ApprovalDecision {
  readonly approvalId: string
  readonly decision: 'approved' | 'rejected'
  readonly data: Json
  readonly by: string | null
  readonly comment: string | null
  /** Nobody has decided in time. */
  readonly isByDeadline?: true
  readonly requestId?: string
}

/** Asks for one of the slots of a key; written with the row that stands in line for it. */
export interface Queued {
  readonly scope: string
  readonly key: string
  /** How many may hold the key at once. */
  readonly limit: number
  readonly onLimit: OnLimit
  /** After how long in line it fails; absent: it waits for as long as it takes. */
  readonly waitTimeoutMs?: number
}

export interface SlotRefused {
  readonly ticket: number
  /** Executions that hold the key, some of them. */
  readonly holders: readonly string[]
  /** How many may hold it; absent where a release before this one wrote it. */
  readonly limit?: number
  /** There: nobody refused it, it has waited for so long (ms). */
  readonly timeoutMs?: number
  /** The step fails, or its execution is cancelled. */
  readonly outcome: 'fail' | 'cancel'
}

export interface StepResult {
  readonly output: Json
  /** What the action has to say beside its output: status, headers, usage. */
  readonly meta?: JsonObject
  /** How long the attempt took, by the monotonic clock. */
  readonly durationMs?: number
}

export interface StepFailure {
  readonly error: ExecutionError
  /** When the next attempt is due (ms since 1970), or null: the step has failed for good. */
  readonly retryAt: number | null
  readonly durationMs?: number
  /**
   * Nothing was performed, since the circuit of its target was open or its rate limit lets it begin only then: the attempt does not
   * count. Releases that do not know this count it.
   */
  readonly deferred?: true
}

export interface Quarantine {
  readonly error: ExecutionError
  /** The request that found the state unreadable. */
  readonly requestId?: string
}

/** A rollback that first takes back what was completed after the checkpoint; `execution.rolled_back` answers the request. */
export interface Compensating extends Answer {
  readonly checkpointIndex: number
  readonly toSeq: number
  readonly resume: boolean
}

export interface RolledBack extends Answer {
  readonly checkpointIndex: number
  /** The last event of the effective history before this one. */
  readonly toSeq: number
  readonly generation: number
  /** Signals that were received after `toSeq` and that no step has taken: they stay in the mailbox. */
  readonly kept: readonly Signal[]
  /** What becomes of the children that are live. */
  readonly children?: Regrouped
  /** Approvals that were open when it happened: steps that still need one ask anew. */
  readonly approvals?: readonly string[]
  /** What becomes of the slots that it has. */
  readonly slots?: SlotsRegrouped
  /** Goes on at once instead of being paused. */
  readonly resume: boolean
  /** With compaction: which checkpoints up to this one were kept. What others need may be gone, though this one kept them. */
  readonly keptCheckpoints?: readonly number[]
  /** In place of `keptCheckpoints`, in older histories: the oldest one that was kept. */
  readonly oldestIndex?: number
}

/** The fact alone, before its executor gives it a seq and a time. */
export type Fact = Event extends infer E ? (E extends Event ? Omit<E, 'seq' | 'at'> : never) : never

/** An event as the journal keeps it and subscribers hear it: with the percentage that it led to. */
export interface JournalEvent {
  readonly executionId: string
  readonly seq: number
  readonly type: EventType
  readonly path: string | null
  readonly attempt: number | null
  readonly at: number
  readonly percentage: number
  readonly data: Json
  /** `data` as JSON where it is at hand, so that nobody encodes it again. */
  readonly text?: string
}

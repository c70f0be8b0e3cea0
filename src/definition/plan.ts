import type { Expression } from './expression.ts'
import type { Json, JsonObject } from './json.ts'
import type { SlotPlan } from './slot.ts'
import type { ActionPlan } from './steps/action.ts'
import type { ApprovalPlan } from './steps/approval.ts'
import type { CompletePlan } from './steps/complete.ts'
import type { ConditionPlan } from './steps/condition.ts'
import type { CriticalSectionPlan } from './steps/critical-section.ts'
import type { EmitPlan } from './steps/emit.ts'
import type { FailPlan } from './steps/fail.ts'
import type { ForeachPlan } from './steps/foreach.ts'
import type { ParallelPlan } from './steps/parallel.ts'
import type { RacePlan } from './steps/race.ts'
import type { SequentialPlan } from './steps/sequential.ts'
import type { SetPlan } from './steps/set.ts'
import type { SubWorkflowPlan } from './steps/sub-workflow.ts'
import type { SwitchPlan } from './steps/switch.ts'
import type { TryPlan } from './steps/try.ts'
import type { WaitPlan } from './steps/wait.ts'
import type { WaitForSignalPlan } from './steps/wait-for-signal.ts'
import type { WhilePlan } from './steps/while.ts'
import type { Template } from './template.ts'

export type { ParentClosePolicy } from './steps/sub-workflow.ts'
export type {
  ActionPlan,
  ApprovalPlan,
  CompletePlan,
  ConditionPlan,
  CriticalSectionPlan,
  EmitPlan,
  FailPlan,
  ForeachPlan,
  ParallelPlan,
  RacePlan,
  SequentialPlan,
  SetPlan,
  SubWorkflowPlan,
  SwitchPlan,
  TryPlan,
  WaitForSignalPlan,
  WaitPlan,
  WhilePlan,
}

/** When and how often a failed attempt is repeated. All durations are milliseconds. */
export interface RetryPolicy {
  readonly maxAttempts: number
  readonly initialIntervalMs: number
  readonly backoffCoefficient: number
  readonly maxIntervalMs: number
  /** Share of the interval that a hash of (execution, path, attempt) may take away or add: 0.2 is ±20 %. */
  readonly jitter: number
  /** Total budget from the first attempt's start, attempts and waits together; null is unbounded. */
  readonly maxElapsedMs: number | null
  /** Error types that are retried; null leaves it to the error's own `retryable`. */
  readonly retryOn: readonly string[] | null
  readonly nonRetryable: readonly string[]
  /** Whether an attempt that failed is repeated, in place of the error's own `retryable`; it sees `error` and `attempt`. */
  readonly when: Expression | null
}

/** When the circuit of a step's target opens, and what the step does then. Durations are milliseconds. */
export interface BreakerPolicy {
  /** Instead of the target's own name; null: that. */
  readonly key: string | null
  /** Failures within `windowMs`, at least half of all calls, that open it. */
  readonly failureThreshold: number
  readonly windowMs: number
  /** How long it stays open before one call probes it; twice as long after each probe that fails. */
  readonly openMs: number
  readonly onOpen: 'park' | 'fail'
}

/** What every step of a compiled definition has, whatever its type. */
export interface StepPlanBase {
  readonly id: string
  readonly name: string
  /** The composite that it stands in, or the step that it compensates; null only for the root, a sequential step with the id ''. */
  readonly parent: CompositePlan | ActionPlan | SubWorkflowPlan | null
  /** All steps directly inside, bodies included, in the order of the document. */
  readonly children: readonly StepPlan[]
  /** It is counted, makes a checkpoint, and is what progress shows as the current step; what stands within counts for nothing. */
  readonly isLeaf: boolean
  /** Index among the parent's children (of its branch, in a condition). */
  readonly position: number
  /** 1-based number among the definition's leaf steps in document order; for a composite that of its first leaf. */
  readonly number: number
  /** Share of the whole execution, 0..1: a composite's is split equally among its children. */
  readonly weight: number
  readonly when: Expression | null
  /** True within a loop: it has an instance an iteration, and its share of the whole is its loop's matter. */
  readonly isRepeated: boolean
  /** True in a compensation and in onFailure: it runs when the flow is over, makes no checkpoint and counts as no part. */
  readonly isAftermath: boolean
  /** Ids of steps that must be completed before this one begins. */
  readonly dependencies: readonly string[]
  /** Of a composite: what its output is instead of what it is by itself; null: that. */
  readonly outcome: Template | null
  /** What takes back what it has done; null: nothing need be. */
  readonly compensation: SequentialPlan | null
  /** Milliseconds that one attempt (action) or the whole step (composite) may take; null is unbounded. */
  readonly timeoutMs: number | null
  /** What it must have before it begins, and has until it ends; null: nothing. */
  readonly slot: SlotPlan | null
}

export type StepPlan =
  | ActionPlan
  | ApprovalPlan
  | CompletePlan
  | ConditionPlan
  | CriticalSectionPlan
  | EmitPlan
  | FailPlan
  | ForeachPlan
  | ParallelPlan
  | RacePlan
  | SequentialPlan
  | SetPlan
  | SubWorkflowPlan
  | SwitchPlan
  | TryPlan
  | WaitForSignalPlan
  | WaitPlan
  | WhilePlan
export type CompositePlan =
  | ApprovalPlan
  | ConditionPlan
  | CriticalSectionPlan
  | ForeachPlan
  | ParallelPlan
  | RacePlan
  | SequentialPlan
  | SwitchPlan
  | TryPlan
  | WhilePlan

/** A definition compiled for execution: immutable, shared by every execution of its version. */
export interface Plan {
  readonly name: string
  /** The newest format that its steps need; see FORMATS in engine/core/state.ts. */
  readonly format: number
  readonly root: SequentialPlan
  /** What runs when the execution fails, before it is failed. */
  readonly onFailure: SequentialPlan | null
  /** Every step by id; ids are unique in the whole definition. The root is not in it. */
  readonly steps: ReadonlyMap<string, StepPlan>
  /** What an execution must have before it starts, and has until it ends. */
  readonly slot: SlotPlan | null
  /** Of executions whose start names none. */
  readonly priority: number
  /** Whether it, or any step, needs a slot. */
  readonly hasSlots: boolean
  /** How many leaf steps the definition has (actions, and conditions without branches). */
  readonly leafCount: number
  readonly variables: JsonObject
  /** Milliseconds that the whole execution may take, pauses not counted; null is unbounded. */
  readonly timeoutMs: number | null
  readonly checkpoints: { readonly keep: number; readonly compact: boolean }
  /** The execution's output; null: the `data` at the end of the root. */
  readonly output: Template | null
  /** Faults of an input against `inputSchema`, as JSON pointers into the input; empty when it fits. */
  readonly inputFaults: (input: Json) => readonly Fault[]
  /** Faults of a signal that no step would ever take, as JSON pointers into its payload; empty when one may. */
  readonly signalFaults: (name: string, payload: Json) => readonly Fault[]
}

/** One fault of a definition or an input: where (RFC 6901 JSON pointer) and what, with the remedy in the message. */
export interface Fault {
  readonly pointer: string
  readonly message: string
}

/** What the compiler must know of an action type: its config's schema and where secrets and templates may stand. */
export interface ActionShape {
  readonly type: string
  /** JSON Schema of `config` without `type`. */
  readonly configSchema: object
  /** Pointers into config below which `secrets.NAME` may be used, e.g. `/headers`. */
  readonly secretFields: readonly string[]
  /** Pointers into config whose strings are taken literally and may hold no template, e.g. `/query`. */
  readonly literalFields: readonly string[]
  /** What the schema cannot tell, as pointers into config; it gets config as it was written. */
  readonly conflicts?: ((config: JsonObject, delivery: ActionPlan['delivery']) => readonly Fault[]) | undefined
}

import type { JsonObject } from '../json.ts'
import type { ActionShape, Fault, RetryPolicy, StepPlan, SubWorkflowPlan } from '../plan.ts'
import type { Mutable } from '../steps/step-language.ts'

/** A plan while it is being made. */
export type StepPlanDraft = StepPlan extends infer Plan ? (Plan extends StepPlan ? Mutable<Plan> : never) : never

/** A place in the definition that names a step. */
export interface Reference {
  readonly stepId: string
  readonly pointer: string
  /** It is read when the step that reads is about to be completed: what stands within that has ended. */
  readonly isLate?: true
}

/** A step while its definition is compiled: its place in the tree and the steps that it names. */
export interface Draft {
  readonly id: string
  readonly pointer: string
  /** Where its `config` is written. */
  readonly configPointer: string
  readonly plan: StepPlanDraft
  readonly parent: Draft | null
  /** Which of the parent's lists it stands in. */
  readonly list: string
  readonly position: number
  readonly depth: number
  /** Names that expressions here have beside the roots: those of the loops and catches around. */
  readonly locals: readonly string[]
  readonly children: Draft[]
  /** Bodies that run when the flow is over: what compensates the step, the root's onFailure. */
  readonly aftermath: Draft[]
  readonly references: Reference[]
  readonly dependencies: Reference[]
  /** The slot that it needs, when that is written out in full. */
  slot?: LiteralSlot
}

export interface LiteralSlot {
  readonly scope: string
  readonly key: string
  readonly limit: number
}

/** What one compilation works on and gathers. */
export interface Compilation {
  readonly definition: JsonObject
  readonly actions: ReadonlyMap<string, ActionShape>
  /** It was taken already: see `compile`. */
  readonly isStored: boolean
  readonly faults: Fault[]
  /** Every step by its id; of two with the same id the first. */
  readonly drafts: Map<string, Draft>
  /** Variables and input members, when these are all that there can be. */
  readonly names: ReadonlySet<string> | undefined
  /** The workflow's own, for the steps that have none. */
  retryPolicy: RetryPolicy | null
  steps: number
  /** Every sub_workflow that names one: whether there is such a workflow only the database knows. */
  readonly subWorkflows: SubWorkflowPlan[]
  /** How many schemas there are in all forms and signals. */
  stepSchemas: number
}

import type { JsonObject } from '../json.ts'
import type { ActionPlan, ActionShape, ConditionPlan, Fault, ParallelPlan, SequentialPlan } from '../plan.ts'

type Mutable<T> = T extends unknown ? { -readonly [Key in keyof T]: T[Key] } : never

/** A plan while it is being made. */
export type StepPlanDraft =
  | Mutable<ActionPlan>
  | Mutable<ConditionPlan>
  | Mutable<ParallelPlan>
  | Mutable<SequentialPlan>

/** A place in the definition that names a step. */
export interface Reference {
  readonly stepId: string
  readonly pointer: string
}

/** A step while its definition is compiled: its place in the tree and the steps that it names. */
export interface Draft {
  readonly id: string
  readonly pointer: string
  readonly plan: StepPlanDraft
  readonly parent: Draft | null
  /** Which of the parent's lists it stands in. */
  readonly list: 'steps' | 'then' | 'else'
  readonly position: number
  readonly depth: number
  readonly children: Draft[]
  readonly references: Reference[]
  readonly dependencies: Reference[]
}

/** What one compilation works on and gathers. */
export interface Compilation {
  readonly definition: JsonObject
  readonly actions: ReadonlyMap<string, ActionShape>
  readonly faults: Fault[]
  /** Every step by its id; of two with the same id the first. */
  readonly drafts: Map<string, Draft>
  /** Variables and input members, when these are all that there can be. */
  readonly names: ReadonlySet<string> | undefined
  steps: number
}

import type { Scope } from '../../../definition/expression.ts'
import type { Json, JsonObject } from '../../../definition/json.ts'
import type { Plan, StepPlan } from '../../../definition/plan.ts'
import type { Fact, StepFailure } from '../event.ts'
import type { DataRef, ExecutionState, StepState } from '../state.ts'
import type { Turn } from '../turn.ts'
import * as action from './action.ts'
import * as approval from './approval.ts'
import * as complete from './complete.ts'
import * as condition from './condition.ts'
import * as criticalSection from './critical-section.ts'
import * as emit from './emit.ts'
import * as fail from './fail.ts'
import * as foreach from './foreach.ts'
import * as parallel from './parallel.ts'
import * as race from './race.ts'
import * as sequential from './sequential.ts'
import * as set from './set.ts'
import * as subWorkflow from './sub-workflow.ts'
import * as switchStep from './switch.ts'
import * as tryStep from './try.ts'
import * as wait from './wait.ts'
import * as waitForSignal from './wait-for-signal.ts'
import * as whileStep from './while.ts'

/**
 * What a type of step does, a file a type. `begin`, `childEnded`, `decided` and `restart` fold facts into the state; they
 * evaluate nothing. `decide` and `due` find facts out; replay never calls them.
 */
export interface StepBehaviour {
  /** Its time has come: it is running. */
  begin(turn: Turn, plan: StepPlan, step: StepState): void
  /** A step directly inside has ended: completed, failed or skipped. */
  childEnded?(turn: Turn, plan: StepPlan, step: StepState, childPlan: StepPlan, child: StepState): void
  /** A step of one of its bodies, which goes on, was completed. */
  advanced?(turn: Turn, plan: StepPlan, step: StepState, body: StepPlan): void
  /** `retry`: what failed or was cancelled inside begins again. Without it the step itself does. */
  restart?(turn: Turn, plan: StepPlan, step: StepState): void
  /** True while the answer to its `decide` is outstanding. */
  isUndecided?(step: StepState): boolean
  /** True when what it needs to go on is outside of the execution: the shell looks it up instead of `decide`. */
  looksUp?(step: StepState): boolean
  /** The fact that it needs to go on: its expressions' results. Throws ExpressionError, which fails the step. */
  decide?(place: Deciding): Fact | null
  /** Folds `step.decided`. */
  decided?(turn: Turn, plan: StepPlan, step: StepState, data: JsonObject): void
  /** Folds `step.completed` beyond what holds for every leaf. */
  completed?(turn: Turn, plan: StepPlan, step: StepState): void
  /** Before it ends otherwise than by what it is for, or fails. */
  cancelled?(turn: Turn, plan: StepPlan, step: StepState): void
  /** Folds `step.failed` beyond what holds for every step, before it. */
  failed?(turn: Turn, step: StepState, failure: StepFailure): void
  /** The fact that its timer stands for, when it is due. */
  due?(plan: StepPlan, step: StepState): Fact | null
  /** The steps directly inside and where their instances stand; by default all that are written there, by their ids. */
  instances?(plan: StepPlan, step: StepState): Iterable<Instance>
  /** The output of a completed composite, from what stands inside it. */
  output?(plan: Plan, stepPlan: StepPlan, state: ExecutionState, step: StepState): Json | undefined
  /** What flows on behind it once it is completed, its own output by default. */
  after?(step: StepState, before: DataRef, plan: StepPlan): DataRef
  /** A name that only the steps inside have, at the body that stands at `label`. */
  local?(plan: StepPlan, step: StepState, label: string, name: string): Json | undefined
}

/** Where a decision is made. */
export interface Deciding {
  readonly plan: Plan
  readonly stepPlan: StepPlan
  readonly state: ExecutionState
  readonly step: StepState
  readonly scope: Scope
  /** Makes ids that nothing else has. */
  readonly ids: { newId(): string }
}

/** A step inside another, and the path of one instance of it. */
export interface Instance {
  readonly plan: StepPlan
  readonly path: string
}

/** By namespace, not by value: the files import each other in a circle. */
const behaviours: Readonly<Record<StepPlan['type'], StepBehaviour>> = {
  action,
  condition,
  parallel,
  sequential,
  switch: switchStep,
  race,
  while: whileStep,
  until: whileStep,
  foreach,
  try: tryStep,
  set,
  fail,
  complete,
  wait,
  wait_for_signal: waitForSignal,
  approval,
  sub_workflow: subWorkflow,
  emit,
  critical_section: criticalSection,
}

export const behaviourOf = (plan: StepPlan): StepBehaviour => behaviours[plan.type]

import type { SubWorkflowPlan } from '../../../definition/plan.ts'
import { forgetChild, letGo, track } from '../children.ts'
import type { ChildStarted, Fact, StepFailure } from '../event.ts'
import type { StepState } from '../state.ts'
import type { Turn } from '../turn.ts'
import type { Deciding } from './behaviour.ts'
import { askToDecide, askToLookUp, complete } from './step.ts'

/*
 * running (which workflow is it?) ──child.started──▶ running, with a child ──the child ended──▶ completed | failed
 *                                        └──fire_and_forget──▶ completed at once
 */
export function begin(turn: Turn, _plan: SubWorkflowPlan, step: StepState): void {
  step.entered = true
  askToLookUp(turn, step)
}

export const isUndecided = (step: StepState): boolean => step.deciding === true

export const looksUp = (step: StepState): boolean => step.child === undefined

/** Folds `child.started`: from here on there is exactly one. */
export function started(turn: Turn, plan: SubWorkflowPlan, step: StepState, { executionId }: ChildStarted): void {
  const isAwaited = plan.mode === 'wait'
  delete step.deciding
  step.child = executionId
  track(turn, executionId, { path: step.path, isAwaited, policy: plan.parentClosePolicy })
  if (!isAwaited) askToDecide(turn, step)
}

/** Nobody waits for the child. */
export const decide = ({ step }: Deciding): Fact => ({
  type: 'step.completed',
  path: step.path,
  data: { output: { executionId: step.child! } },
})

export function completed(turn: Turn, plan: SubWorkflowPlan, step: StepState): void {
  if (plan.mode === 'wait') forgetChild(turn.state, step.child!)
  complete(turn, plan, step)
}

/** Before it fails: a child that has ended needs no word. */
export function failed(turn: Turn, step: StepState, { error }: StepFailure): void {
  if (step.child !== undefined && error.details?.executionId === step.child) forgetChild(turn.state, step.child)
}

/** It ends otherwise, by its timeout, with its execution or since a sibling has decided: the policy is for the child. */
export function cancelled(turn: Turn, plan: SubWorkflowPlan, step: StepState): void {
  if (step.child !== undefined && plan.mode === 'wait') letGo(turn, step.child)
}

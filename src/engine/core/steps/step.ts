import type { CompositePlan, StepPlan } from '../../../definition/plan.ts'
import { statusOf } from '../data.ts'
import type { ExecutionError } from '../event.ts'
import { addProgress } from '../progress.ts'
import { childPath, type DataRef, parentPath, type StepState } from '../state.ts'
import { assertNever, isHeld, planOf, type Turn } from '../turn.ts'
import * as action from './action.ts'
import * as condition from './condition.ts'
import * as parallel from './parallel.ts'
import * as sequential from './sequential.ts'

/*
 * A step instance and its ways:
 *
 *   (not reached) ──reach──▶ pending ──begin──▶ running ──▶ completed
 *        │                      │                 │  ▲ └───▶ failed
 *        └──skip──▶ skipped ◀───┘ (`when` false)  ▼  │
 *                                              waiting (a retry is due later)
 *   pending, running, waiting ──cancel──▶ cancelled;  failed, cancelled ──restart──▶ pending
 *
 * Every way out ends in `end`, which tells the parent: nobody else looks at more than one frame.
 */

/** The flow has arrived at a step: it begins unless the execution is held or its `when` must be asked first. */
export function reach(turn: Turn, plan: StepPlan, path: string, data: DataRef): void {
  const step = newStep(plan.id, path, data)
  turn.state.steps.set(path, step)
  proceed(turn, plan, step)
}

/** Takes a pending step on from where it stands; a no-op while the execution is held. */
export function proceed(turn: Turn, plan: StepPlan, step: StepState): void {
  if (isHeld(turn.state)) return
  if (plan.when !== null && !step.entered) {
    turn.commands.push({ type: 'evaluate_when', path: step.path })
    return
  }
  begin(turn, plan, step)
}

function begin(turn: Turn, plan: StepPlan, step: StepState): void {
  if (plan.type === 'action') return action.begin(turn, plan, step)
  step.status = 'running'
  step.startedAt = turn.at
  if (plan.timeoutMs !== null) {
    step.dueAt = turn.at + plan.timeoutMs
    turn.commands.push({ type: 'set_timer', timer: 'step_timeout', path: step.path, dueAt: step.dueAt })
  }
  switch (plan.type) {
    case 'condition':
      return condition.begin(turn, plan, step)
    case 'parallel':
      return parallel.begin(turn, plan, step)
    case 'sequential':
      return sequential.begin(turn, plan, step)
    default:
      return assertNever(plan)
  }
}

/** A step ended well. */
export function complete(turn: Turn, plan: StepPlan, step: StepState): void {
  step.status = 'completed'
  end(turn, plan, step)
}

/** A step has failed for good; its parent decides what that means. */
export function fail(turn: Turn, plan: StepPlan, step: StepState, error: ExecutionError): void {
  step.status = 'failed'
  step.error = error
  end(turn, plan, step)
}

/** A step that was reached or is passed by is not performed; that counts as done. The caller goes on with the parent. */
export function skip(turn: Turn, plan: StepPlan, path: string, data: DataRef): StepState {
  const step = turn.state.steps.get(path) ?? newStep(plan.id, path, data)
  turn.state.steps.set(path, step)
  step.status = 'skipped'
  step.completedAt = turn.at
  addProgress(turn.state, plan.weight)
  return step
}

/** A skipped step's parent goes on. */
export function skipReached(turn: Turn, plan: StepPlan, step: StepState): void {
  skip(turn, plan, step.path, step.data)
  tellParent(turn, plan, step)
}

function end(turn: Turn, plan: StepPlan, step: StepState): void {
  step.completedAt = turn.at
  if (plan.type !== 'action' && step.dueAt !== null) {
    step.dueAt = null
    turn.commands.push({ type: 'clear_timer', timer: 'step_timeout', path: step.path })
  }
  if (step.status === 'completed' && childrenOf(plan).length === 0) addProgress(turn.state, plan.weight)
  tellParent(turn, plan, step)
}

function tellParent(turn: Turn, plan: StepPlan, child: StepState): void {
  const { parent } = plan
  if (parent === null) {
    if (child.status === 'completed') turn.commands.push({ type: 'complete' })
    else if (child.status === 'failed') turn.commands.push({ type: 'fail', error: child.error! })
    return
  }
  const step = turn.state.steps.get(parentPath(child.path))!
  if (step.status !== 'running') return
  if (parent.type === 'parallel') parallel.childEnded(turn, parent, step, plan, child)
  else sequential.childEnded(turn, parent, step, plan, child)
}

/** All steps directly inside, those of both branches in a condition. */
export function childrenOf(plan: StepPlan): readonly StepPlan[] {
  if (plan.type === 'action') return []
  if (plan.type !== 'condition') return plan.steps
  return plan.branches === null ? [] : [...plan.branches.then, ...plan.branches.else]
}

/** Ends a step and all that is open inside it; running attempts are aborted, their results dropped. Tells no parent. */
export function cancel(turn: Turn, plan: StepPlan, path: string): void {
  const step = turn.state.steps.get(path)
  if (step === undefined || !isOpen(step)) return
  if (plan.type === 'action') action.cancel(turn, step)
  else cancelInside(turn, plan, step)
  step.status = 'cancelled'
  step.completedAt = turn.at
}

function cancelInside(turn: Turn, plan: CompositePlan, step: StepState): void {
  if (step.dueAt !== null) turn.commands.push({ type: 'clear_timer', timer: 'step_timeout', path: step.path })
  step.dueAt = null
  for (const child of childrenOf(plan)) cancel(turn, child, childPath(step.path, child.id))
}

/** Fails a composite from outside (its timeout): what is open inside is cancelled first. */
export function failComposite(turn: Turn, plan: CompositePlan, step: StepState, error: ExecutionError): void {
  cancelInside(turn, plan, step)
  fail(turn, plan, step, error)
}

/** `retry` of a failed execution: failed and cancelled steps begin again at attempt 1, what was completed stays. */
export function restart(turn: Turn, plan: StepPlan, path: string): void {
  const step = turn.state.steps.get(path)
  if (step === undefined || (step.status !== 'failed' && step.status !== 'cancelled')) return
  delete step.error
  step.completedAt = null
  if (plan.type === 'action' || step.frame === undefined) {
    Object.assign(step, newStep(step.id, step.path, step.data))
    return proceed(turn, plan, step)
  }
  step.status = 'running'
  if (plan.timeoutMs !== null) {
    step.dueAt = turn.at + plan.timeoutMs
    turn.commands.push({ type: 'set_timer', timer: 'step_timeout', path, dueAt: step.dueAt })
  }
  if (plan.type === 'parallel') parallel.restart(turn, plan, step)
  else sequential.restart(turn, plan, step)
}

/** True when a dependency can no longer be completed, or in a sequence simply is not. */
export const lacksDependency = (turn: Turn, plan: StepPlan): boolean =>
  plan.dependencies.some((id) => statusOf(turn.plan, turn.state, id) !== 'completed')

/** Begins every step that was reached while the execution was held. */
export function proceedPending(turn: Turn): void {
  const held = [...turn.state.steps.values()].filter((step) => step.status === 'pending')
  for (const step of held) proceed(turn, planOf(turn.plan, step), step)
}

export const isOpen = (step: StepState): boolean =>
  step.status === 'pending' || step.status === 'running' || step.status === 'waiting'

function newStep(id: string, path: string, data: DataRef): StepState {
  return {
    id,
    path,
    status: 'pending',
    attempt: 0,
    data,
    entered: false,
    startedAt: null,
    firstStartedAt: null,
    completedAt: null,
    dueAt: null,
  }
}

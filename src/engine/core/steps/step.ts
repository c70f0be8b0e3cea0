import type { JsonObject } from '../../../definition/json.ts'
import type { StepPlan } from '../../../definition/plan.ts'
import * as aftermath from '../aftermath.ts'
import { mayComplete } from '../children.ts'
import type { Command } from '../command.ts'
import { addProgress, markCounted } from '../counting.ts'
import { statusOf } from '../data.ts'
import type { ExecutionError, Fact, StepResult } from '../event.ts'
import { cancelRest } from '../rest.ts'
import { giveBack } from '../slots.ts'
import { bodyPath, childPath, type DataRef, parentPath, type StepState } from '../state.ts'
import { timerOf } from '../timeouts.ts'
import { isHeld, planOf, type Turn } from '../turn.ts'
import * as action from './action.ts'
import { behaviourOf, type Instance } from './behaviour.ts'

/*
 * A step instance and its ways:
 *
 *   (not reached) ──reach──▶ pending ──begin──▶ running ──▶ completed
 *        │                      │                 │  ▲ └───▶ failed
 *        └──skip──▶ skipped ◀───┘ (`when` false)  ▼  │
 *                                              waiting (a retry is due later)
 *   pending ──queued──▶ waiting ──slot granted──▶ pending
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
  if (plan.slot !== null && step.slot?.isHeld !== true)
    return void turn.commands.push({ type: 'queue', path: step.path })
  if (step.frame !== undefined) return beginAgain(turn, plan, step)
  if (plan.type !== 'action') {
    step.status = 'running'
    step.startedAt = turn.at
    startTimeout(turn, plan, step)
    if (plan.compensation !== null && plan.children.length > 0) step.since = turn.state.seq
  }
  behaviourOf(plan).begin(turn, plan, step)
}

/** A composite of which something failed or was cancelled. */
function beginAgain(turn: Turn, plan: StepPlan, step: StepState): void {
  step.status = 'running'
  startTimeout(turn, plan, step)
  if (step.concluding) return askToDecide(turn, step)
  behaviourOf(plan).restart!(turn, plan, step)
}

/** It has not asked for the slot that it needs before it begins. */
export const needsSlot = (plan: StepPlan, step: StepState): boolean => plan.slot !== null && step.slot === undefined

/** A composite's own timeout begins. */
function startTimeout(turn: Turn, plan: StepPlan, step: StepState): void {
  if (plan.timeoutMs === null) return
  step.dueAt = turn.at + plan.timeoutMs
  turn.commands.push({ type: 'set_timer', timer: timerOf(plan), path: step.path, dueAt: step.dueAt })
}

/** Asks for the step's `decide`. */
export function askToDecide(turn: Turn, step: StepState): void {
  step.deciding = true
  turn.commands.push({ type: 'decide', path: step.path })
}

/** Asks for what only the shell can find: see `looksUp`. */
export function askToLookUp(turn: Turn, step: StepState): void {
  step.deciding = true
  turn.commands.push({ type: 'look_up', path: step.path })
}

/** Whether an answer is outstanding without which the step cannot go on. */
export const isUndecided = (plan: StepPlan, step: StepState): boolean =>
  step.concluding === true || behaviourOf(plan).isUndecided?.(step) === true

/** What an undecided step asks for, again. */
export const questionOf = (plan: StepPlan, step: StepState): Command => ({
  type: behaviourOf(plan).looksUp?.(step) === true ? 'look_up' : 'decide',
  path: step.path,
})

/** `step.completed` of a leaf. */
export function completeLeaf(turn: Turn, plan: StepPlan, step: StepState, result: StepResult): void {
  step.output = result.output
  if (result.meta !== undefined) step.meta = result.meta
  // Hardly any has them, and deleting nothing takes as long as the rest of this.
  if (step.error !== undefined) delete step.error
  if (step.deciding !== undefined) delete step.deciding
  const { completed } = behaviourOf(plan)
  if (completed === undefined) complete(turn, plan, step)
  else completed(turn, plan, step)
}

/** A step has come to its end; a composite with an `output` asks for that first. */
export function complete(turn: Turn, plan: StepPlan, step: StepState): void {
  if (plan.outcome === null) return finish(turn, plan, step)
  step.concluding = true
  askToDecide(turn, step)
}

/** `step.decided` of a composite that asked for its `output`. */
export function conclude(turn: Turn, plan: StepPlan, step: StepState, { output = null }: JsonObject): void {
  delete step.concluding
  step.output = output
  finish(turn, plan, step)
}

/** A step ended well, with the output that it has. */
export function finish(turn: Turn, plan: StepPlan, step: StepState): void {
  step.status = 'completed'
  if (plan.compensation !== null && plan.children.length > 0) aftermath.noteComposite(turn, plan, step)
  end(turn, plan, step)
}

/** A step has failed for good; its parent decides what that means. */
export function fail(turn: Turn, plan: StepPlan, step: StepState, error: ExecutionError): void {
  cancelRest(turn, step)
  step.status = 'failed'
  step.error = error
  end(turn, plan, step)
}

/** A step that was reached or is passed by is not performed; that counts as done. The caller goes on with the parent. */
export function skip(turn: Turn, plan: StepPlan, path: string, data: DataRef): StepState {
  const step = turn.state.steps.get(path) ?? newStep(plan.id, path, data)
  turn.state.steps.set(path, step)
  if (step.slot !== undefined) giveBack(turn, path, step)
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
  if (step.slot !== undefined) giveBack(turn, step.path, step)
  if (plan.type !== 'action') clearTimer(turn, plan, step)
  if (step.status === 'completed' && plan.children.length === 0) addProgress(turn.state, plan.weight)
  tellParent(turn, plan, step)
}

function clearTimer(turn: Turn, plan: StepPlan, step: StepState): void {
  if (step.dueAt === null) return
  step.dueAt = null
  turn.commands.push({ type: 'clear_timer', timer: timerOf(plan), path: step.path })
}

function tellParent(turn: Turn, plan: StepPlan, child: StepState): void {
  const { parent } = plan
  if (plan.type === 'sequential' && plan.body?.isAftermath) return aftermath.bodyEnded(turn, child)
  if (parent === null) {
    if (child.status === 'completed' && mayComplete(turn.state)) turn.commands.push({ type: 'complete' })
    else if (child.status === 'failed') aftermath.begin(turn)
    return
  }
  const step = turn.state.steps.get(parentPath(child.path))!
  if (step.status !== 'running' && step.runsOn !== true) return
  behaviourOf(parent).childEnded!(turn, parent, step, plan, child)
}

/** Ends a step and all that is open inside it; running attempts are aborted, their results dropped. Tells no parent. */
export function cancel(turn: Turn, plan: StepPlan, path: string): void {
  const step = turn.state.steps.get(path)
  if (step === undefined || !isOpen(step)) return
  if (plan.type === 'action') action.cancel(turn, step)
  else cancelInside(turn, plan, step)
  if (step.slot !== undefined) giveBack(turn, path, step)
  step.status = 'cancelled'
  step.completedAt = turn.at
}

export function cancelInside(turn: Turn, plan: StepPlan, step: StepState): void {
  delete step.deciding
  clearTimer(turn, plan, step)
  behaviourOf(plan).cancelled?.(turn, plan, step)
  for (const inside of instancesOf(plan, step)) cancel(turn, inside.plan, inside.path)
  cancelRest(turn, step)
}

/** What stands inside a step, as far as it may have been reached. */
export function instancesOf(plan: StepPlan, step: StepState): Iterable<Instance> {
  const { instances } = behaviourOf(plan)
  if (instances !== undefined) return instances(plan, step)
  return plan.children.map((child) => ({ plan: child, path: instancePath(step.path, child) }))
}

/** Where a child stands that has one instance only. */
export const instancePath = (parent: string, child: StepPlan): string =>
  child.type === 'sequential' && child.body !== null
    ? bodyPath(parent, child.body.label ?? `${child.body.prefix ?? ''}0`)
    : childPath(parent, child.id)

/** Forgets a step and all inside it: an iteration that is over. */
export function forget(turn: Turn, plan: StepPlan, path: string): void {
  forgetInside(turn, plan, path)
  const isCounted = plan.isLeaf && !plan.isRepeated && !plan.isAftermath
  if (isCounted && turn.state.steps.get(path)?.status === 'completed') markCounted(turn.state, plan.number)
  turn.state.steps.delete(path)
}

/** Forgets what stands inside a step; the step itself stays. */
export function forgetInside(turn: Turn, plan: StepPlan, path: string): void {
  const step = turn.state.steps.get(path)
  if (step === undefined || plan.children.length === 0) return
  for (const inside of instancesOf(plan, step)) forget(turn, inside.plan, inside.path)
}

/** Fails a composite from outside (its timeout): what is open inside is cancelled first. */
export function failComposite(turn: Turn, plan: StepPlan, step: StepState, error: ExecutionError): void {
  cancelInside(turn, plan, step)
  fail(turn, plan, step, error)
}

/** `retry` of a failed execution: failed and cancelled steps begin again at attempt 1, what was completed stays. */
export function restart(turn: Turn, plan: StepPlan, path: string): void {
  const step = turn.state.steps.get(path)
  if (step === undefined || (step.status !== 'failed' && step.status !== 'cancelled')) return
  delete step.error
  delete step.deciding
  step.completedAt = null
  if (step.frame === undefined) {
    const anew = newStep(step.id, path, step.data)
    turn.state.steps.set(path, anew)
    return proceed(turn, plan, anew)
  }
  if (plan.slot === null) return beginAgain(turn, plan, step)
  step.status = 'pending'
  begin(turn, plan, step)
}

/** True when a dependency can no longer be completed, or in a sequence simply is not. */
export const lacksDependency = (turn: Turn, plan: StepPlan, path: string): boolean =>
  plan.dependencies.some((id) => statusOf(turn.plan, turn.state, id, path) !== 'completed')

/** Begins every step that was reached while the execution was held. */
export function proceedPending(turn: Turn): void {
  const held = [...turn.state.steps.values()].filter((step) => step.status === 'pending')
  for (const step of held) proceed(turn, planOf(turn.plan, step), step)
}

/** Asks again for what was not decided while the execution was held. */
export function askAgain(turn: Turn): void {
  for (const step of turn.state.steps.values()) {
    if (step.deciding === true) turn.commands.push(questionOf(planOf(turn.plan, step), step))
  }
}

/** A leaf's failure that its own type finds; the shell gives it an id. */
export const failure = (path: string, type: string, message: string, details?: JsonObject): Fact => ({
  type: 'step.failed',
  path,
  data: { error: { type, message, stepPath: path, retryable: false, ...(details && { details }) }, retryAt: null },
})

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

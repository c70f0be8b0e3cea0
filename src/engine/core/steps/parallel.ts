import type { Json, JsonObject } from '../../../definition/json.ts'
import type { ParallelPlan, Plan, StepPlan } from '../../../definition/plan.ts'
import { addRemainder } from '../counting.ts'
import { outputOf } from '../data.ts'
import type { ExecutionError, Fact } from '../event.ts'
import { letRunOn, restEnded } from '../rest.ts'
import { childPath, type ExecutionState, type Frame, type StepState } from '../state.ts'
import type { Turn } from '../turn.ts'
import type { Deciding } from './behaviour.ts'
import { type Arrived, decideJoin, isReached, joinNotReached } from './join.ts'
import { askToDecide, cancel, complete, fail, reach, restart as restartStep, skip } from './step.ts'

type Join = Extract<Frame, { type: 'parallel' }>

export function begin(turn: Turn, plan: ParallelPlan, step: StepState): void {
  step.entered = true
  const blockers = plan.steps.map((child) => child.dependencies.length)
  const ready = plan.steps.filter((child) => child.dependencies.length === 0).map((child) => child.position)
  step.frame = { type: 'parallel', open: plan.steps.length, active: 0, ready, launched: 0, blockers }
  launch(turn, plan, step)
}

/** Begins ready children while there is room. */
function launch(turn: Turn, plan: ParallelPlan, step: StepState): void {
  const frame = step.frame as Join
  const goesOn = (): boolean => step.status === 'running' || step.runsOn === true
  while (goesOn() && frame.active < plan.concurrency && frame.launched < frame.ready.length) {
    const child = plan.steps[frame.ready[frame.launched]!]!
    frame.launched += 1
    frame.active += 1
    reach(turn, child, childPath(step.path, child.id), step.data)
  }
  if (frame.open > 0) return
  // Its `output` may be asked for still: that concerns only what was there when it joined.
  if (step.runsOn) restEnded(turn, step)
  else if (step.status === 'running' && !step.deciding) end(turn, plan, step, frame)
}

/** All children have ended. */
function end(turn: Turn, plan: ParallelPlan, step: StepState, frame: Join): void {
  const isFailed = frame.error !== undefined && plan.onFailure !== 'continue'
  const isShort = plan.join !== null && !isReached(plan.join, frame.completed ?? 0)
  if (!isFailed && !isShort) {
    countFailed(turn, plan, step)
    return complete(turn, plan, step)
  }
  const notReached = joinNotReached(plan.join, arrivedAt(plan, frame), 'steps', step.path)
  fail(turn, plan, step, frame.error ?? notReached)
}

/** A child ended. A completed one may make the join, and sets its dependants free; any other skips them. */
export function childEnded(
  turn: Turn,
  plan: ParallelPlan,
  step: StepState,
  childPlan: StepPlan,
  child: StepState,
): void {
  const frame = step.frame as Join
  const isCompleted = child.status === 'completed'
  frame.open -= 1
  frame.active -= 1
  if (step.runsOn) {
    // Nobody asks any more what it came to.
    if (child.status === 'failed') addRemainder(turn.state, childPlan, child.path)
  } else {
    if (child.status === 'failed') {
      const error = frame.error ?? child.error!
      if (plan.onFailure === 'fail_fast' && isLost(plan, frame)) return failFast(turn, plan, step, error)
      frame.error = error
      if (isAsked(plan)) frame.failed = (frame.failed ?? 0) + 1
    }
    if (isCompleted && plan.join !== null) frame.completed = (frame.completed ?? 0) + 1
    if (isCompleted && isReached(plan.join, frame.completed ?? 0))
      return joined(turn, plan, step, () => release(frame, plan, childPlan.position))
  }
  if (isCompleted) release(frame, plan, childPlan.position)
  else skipDependants(turn, plan, step, childPlan.position)
  if (!step.runsOn && isAsked(plan) && !step.deciding) askToDecide(turn, step)
  launch(turn, plan, step)
}

const isAsked = ({ join }: ParallelPlan): boolean => join !== null && typeof join !== 'number'

/** Whether the join cannot be reached any more, whatever becomes of the children that are left. */
const isLost = ({ join }: ParallelPlan, { completed = 0, open }: Join): boolean =>
  join === null || (typeof join === 'number' && completed + open < join)

const arrivedAt = ({ steps }: ParallelPlan, { completed = 0, failed = 0 }: Join): Arrived => ({
  completed,
  failed,
  total: steps.length,
})

export const isUndecided = (step: StepState): boolean => step.deciding === true

/** Whether the join's condition holds for what has arrived. */
export function decide(place: Deciding): Fact {
  const { plan, state, step } = place
  const stepPlan = place.stepPlan as ParallelPlan
  const frame = step.frame as Join
  const data = output(plan, stepPlan, state, step)
  const ended = stepPlan.steps.length - frame.open
  const verdict = decideJoin(place, stepPlan.join, data, arrivedAt(stepPlan, frame), ended)
  return { type: 'step.decided', path: step.path, data: verdict }
}

export function decided(turn: Turn, plan: ParallelPlan, step: StepState, { joined: holds, ended }: JsonObject): void {
  const frame = step.frame as Join
  if (holds === true) return joined(turn, plan, step)
  // More have ended while it was asked.
  if (plan.steps.length - frame.open > Number(ended)) askToDecide(turn, step)
  else launch(turn, plan, step)
}

function failFast(turn: Turn, plan: ParallelPlan, step: StepState, error: ExecutionError): void {
  for (const sibling of plan.steps) cancel(turn, sibling, childPath(step.path, sibling.id))
  fail(turn, plan, step, error)
}

/** Enough are completed: the rest is cancelled, or runs on. */
function joined(turn: Turn, plan: ParallelPlan, step: StepState, release = (): void => {}): void {
  const frame = step.frame as Join
  if (plan.rest === 'continue' && frame.open > 0) {
    const stateOf = (child: StepPlan): StepState | undefined => turn.state.steps.get(childPath(step.path, child.id))
    frame.arrived = plan.steps.filter((child) => stateOf(child)?.status === 'completed').map(({ position }) => position)
    countFailed(turn, plan, step)
    letRunOn(turn, step)
    release()
    launch(turn, plan, step)
  } else {
    for (const sibling of plan.steps) cancel(turn, sibling, childPath(step.path, sibling.id))
    addRemainder(turn.state, plan, step.path)
  }
  complete(turn, plan, step)
}

/** Nobody waits any more for what has failed. */
function countFailed({ state }: Turn, plan: ParallelPlan, step: StepState): void {
  if ((step.frame as Join).error === undefined) return
  for (const child of plan.steps) {
    const path = childPath(step.path, child.id)
    if (state.steps.get(path)?.status === 'failed') addRemainder(state, child, path)
  }
}

/** What was completed when the join was reached, whatever becomes of the rest. */
export function output(plan: Plan, stepPlan: ParallelPlan, state: ExecutionState, step: StepState): Json {
  const outputs: JsonObject = {}
  const { arrived } = step.frame as Join
  for (const child of arrived?.map((position) => stepPlan.steps[position]!) ?? stepPlan.steps) {
    const output = outputOf(plan, state, state.steps.get(childPath(step.path, child.id)))
    if (output !== undefined) outputs[child.id] = output
  }
  return outputs
}

function release(frame: Join, plan: ParallelPlan, position: number): void {
  for (const dependant of plan.dependants[position]!) {
    frame.blockers[dependant]! -= 1
    if (frame.blockers[dependant] === 0) frame.ready.push(dependant)
  }
}

/** Iterative, so that a long chain of dependants needs no stack. */
function skipDependants(turn: Turn, plan: ParallelPlan, step: StepState, position: number): void {
  const frame = step.frame as Join
  const skipped = [position]
  for (let next = skipped.pop(); next !== undefined; next = skipped.pop()) {
    for (const dependant of plan.dependants[next]!) {
      const child = plan.steps[dependant]!
      const path = childPath(step.path, child.id)
      if (turn.state.steps.has(path)) continue
      skip(turn, child, path, step.data)
      frame.open -= 1
      skipped.push(dependant)
    }
  }
}

/** `retry`: the join is counted anew from what its children came to; failed and cancelled ones begin again. */
export function restart(turn: Turn, plan: ParallelPlan, step: StepState): void {
  const frame: Join = { type: 'parallel', open: 0, active: 0, ready: [], launched: 0, blockers: [] }
  const again: StepPlan[] = []
  const stateOf = (child: StepPlan): StepState | undefined => turn.state.steps.get(childPath(step.path, child.id))
  for (const child of plan.steps) {
    const before = stateOf(child)
    const ended = before?.status === 'completed' || before?.status === 'skipped'
    const blockers = child.dependencies.filter(
      (id) => turn.state.steps.get(childPath(step.path, id))?.status !== 'completed',
    )
    frame.blockers.push(ended ? 0 : blockers.length)
    if (ended) continue
    frame.open += 1
    if (before !== undefined) again.push(child)
    else if (blockers.length === 0) frame.ready.push(child.position)
  }
  if (plan.join !== null) frame.completed = plan.steps.filter((child) => stateOf(child)?.status === 'completed').length
  step.frame = frame
  frame.active = again.length
  for (const child of again) restartStep(turn, child, childPath(step.path, child.id))
  if (isAsked(plan)) askToDecide(turn, step)
  launch(turn, plan, step)
}

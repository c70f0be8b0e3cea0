import type { Json, JsonObject } from '../../../definition/json.ts'
import type { ParallelPlan, Plan, StepPlan } from '../../../definition/plan.ts'
import { outputOf } from '../data.ts'
import type { ExecutionError } from '../event.ts'
import { addRemainder } from '../progress.ts'
import { childPath, type ExecutionState, type Frame, type StepState } from '../state.ts'
import type { Turn } from '../turn.ts'
import { cancel, complete, fail, reach, restart as restartStep, skip } from './step.ts'

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
  while (step.status === 'running' && frame.active < plan.concurrency && frame.launched < frame.ready.length) {
    const child = plan.steps[frame.ready[frame.launched]!]!
    frame.launched += 1
    frame.active += 1
    reach(turn, child, childPath(step.path, child.id), step.data)
  }
  if (frame.open === 0 && step.status === 'running') end(turn, plan, step, frame)
}

/** All children have ended. */
function end(turn: Turn, plan: ParallelPlan, step: StepState, frame: Join): void {
  const isFailed = frame.error !== undefined && plan.onFailure !== 'continue'
  if (isFailed || isShort(plan, frame)) fail(turn, plan, step, frame.error ?? notReached(plan, step, frame))
  else complete(turn, plan, step)
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
  frame.open -= 1
  frame.active -= 1
  if (child.status === 'failed') {
    const error = frame.error ?? child.error!
    if (plan.onFailure === 'fail_fast' && isLost(plan, frame)) return failFast(turn, plan, step, error)
    frame.error = error
  }
  if (child.status !== 'completed') skipDependants(turn, plan, step, childPlan.position)
  else if (plan.join === null) release(frame, plan, childPlan.position)
  else {
    frame.completed = (frame.completed ?? 0) + 1
    if (!isShort(plan, frame)) return joined(turn, plan, step)
    release(frame, plan, childPlan.position)
  }
  launch(turn, plan, step)
}

/** Whether children are missing for the join; without one, none ever are. */
const isShort = ({ join }: ParallelPlan, { completed = 0 }: Join): boolean => join !== null && completed < join

/** Whether the join cannot be reached any more, whatever becomes of the children that are left. */
const isLost = ({ join }: ParallelPlan, { completed = 0, open }: Join): boolean =>
  join === null || completed + open < join

/** Children were skipped, so that too few are left. */
const notReached = ({ join, steps }: ParallelPlan, { path }: StepState, { completed = 0 }: Join): ExecutionError => ({
  type: 'JoinNotReached',
  message: `${join} of ${steps.length} steps were to be completed, and ${completed} were`,
  stepPath: path,
  retryable: false,
})

function failFast(turn: Turn, plan: ParallelPlan, step: StepState, error: ExecutionError): void {
  for (const sibling of plan.steps) cancel(turn, sibling, childPath(step.path, sibling.id))
  fail(turn, plan, step, error)
}

/** Enough are completed: the rest is cancelled. */
function joined(turn: Turn, plan: ParallelPlan, step: StepState): void {
  for (const sibling of plan.steps) cancel(turn, sibling, childPath(step.path, sibling.id))
  addRemainder(turn.state, plan, step.path)
  complete(turn, plan, step)
}

export function output(plan: Plan, stepPlan: ParallelPlan, state: ExecutionState, step: StepState): Json {
  const outputs: JsonObject = {}
  for (const child of stepPlan.steps) {
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
  launch(turn, plan, step)
}

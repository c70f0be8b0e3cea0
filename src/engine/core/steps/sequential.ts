import type { Json } from '../../../definition/json.ts'
import type { ConditionPlan, CriticalSectionPlan, Plan, SequentialPlan, StepPlan } from '../../../definition/plan.ts'
import { dataAfter, resolve } from '../data.ts'
import { restartRest } from '../rest.ts'
import { childPath, type DataRef, type ExecutionState, type Frame, parentPath, type StepState } from '../state.ts'
import type { Turn } from '../turn.ts'
import { behaviourOf } from './behaviour.ts'
import { isDeed } from './race.ts'
import { complete, fail, lacksDependency, reach, restart as restartStep, skip } from './step.ts'

type Sequence = Extract<Frame, { type: 'sequence' }>
/** What runs steps in order; a condition the branch that it has chosen. */
export type Ordered = SequentialPlan | CriticalSectionPlan | ConditionPlan

export function begin(turn: Turn, plan: SequentialPlan | CriticalSectionPlan, step: StepState): void {
  step.entered = true
  step.frame = { type: 'sequence', branch: 'steps', position: 0, data: step.data }
  advance(turn, plan, step)
}

/** Reaches the next child whose dependencies are completed; after the last one the sequence is complete. */
export function advance(turn: Turn, plan: Ordered, step: StepState): void {
  const frame = step.frame as Sequence
  const children = childrenIn(plan, frame)
  for (; frame.position < children.length; frame.position++) {
    const child = children[frame.position]!
    const path = childPath(step.path, child.id)
    if (!lacksDependency(turn, child, path)) return reach(turn, child, path, frame.data)
    skip(turn, child, path, frame.data)
  }
  // What runs on in it has to end first.
  if (frame.rest === undefined) complete(turn, plan, step)
}

/** What ran on in it has ended: it may have waited for that alone. */
export const goOn = (turn: Turn, plan: Ordered, step: StepState): void => {
  if ((step.frame as Sequence).position >= childrenIn(plan, step.frame as Sequence).length) advance(turn, plan, step)
}

export const after = (step: StepState): DataRef => (step.frame as Sequence).data

export const output = (plan: Plan, _: StepPlan, state: ExecutionState, step: StepState): Json =>
  resolve(plan, state, (step.frame as Sequence).data)

export function childEnded(turn: Turn, plan: Ordered, step: StepState, childPlan: StepPlan, child: StepState): void {
  if (child.status === 'failed') return fail(turn, plan, step, child.error!)
  const frame = step.frame as Sequence
  frame.data = dataAfter(turn.plan, child, frame.data)
  if (plan.type === 'sequential' && plan.body !== null && isDeed(childPlan, child)) tellOwner(turn, plan, step)
  frame.position += 1
  if (endsSequence(childPlan, child)) skipRest(turn, plan, step, frame)
  advance(turn, plan, step)
}

/** `retry`: the child that failed or was cancelled begins again; the ones before it stay. */
export function restart(turn: Turn, plan: Ordered, step: StepState): void {
  const child = childrenIn(plan, step.frame as Sequence)[(step.frame as Sequence).position]
  restartRest(turn, step)
  if (step.status !== 'running') return
  if (child === undefined) advance(turn, plan, step)
  else restartStep(turn, child, childPath(step.path, child.id))
}

/** Whose body it is hears that it has done something, before the next step begins. */
function tellOwner(turn: Turn, plan: SequentialPlan, step: StepState): void {
  const owner = plan.parent!
  // What takes it back is not a part of it, and it may have left the state.
  if (plan === owner.compensation) return
  behaviourOf(owner).advanced?.(turn, owner, turn.state.steps.get(parentPath(step.path))!, plan)
}

function childrenIn(plan: Ordered, frame: Sequence): readonly StepPlan[] {
  return plan.type === 'condition' ? plan.branches![frame.branch as 'then' | 'else'] : plan.steps
}

const endsSequence = (plan: StepPlan, step: StepState): boolean =>
  plan.type === 'condition' &&
  plan.branches === null &&
  plan.onFalse === 'skip_rest' &&
  step.status === 'completed' &&
  step.output === false

function skipRest(turn: Turn, plan: Ordered, step: StepState, frame: Sequence): void {
  const children = childrenIn(plan, frame)
  for (; frame.position < children.length; frame.position++) {
    const child = children[frame.position]!
    skip(turn, child, childPath(step.path, child.id), frame.data)
  }
}

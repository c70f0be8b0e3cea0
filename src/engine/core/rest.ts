import type { StepPlan } from '../../definition/plan.ts'
import { addRemainder } from './counting.ts'
import { type ExecutionState, type Frame, parentPath, type StepState } from './state.ts'
import { goOn, type Ordered } from './steps/sequential.ts'
import { cancel, instancesOf, restart } from './steps/step.ts'
import { planOf, type Turn } from './turn.ts'

/*
 * What is left in a step whose join was reached runs on as a part of the sequence around it:
 *
 *   joined ──letRunOn──▶ runs on (the step is completed, the sequence goes on, and waits at its end) ──ended──▶ over
 *                           ├──the sequence fails or is cancelled──▶ cancelled ──retry──▶ runs on
 *                           └──`complete`──▶ over
 */
type Sequence = Extract<Frame, { type: 'sequence' }>

/** The step is about to be completed, though not all in it have ended. */
export function letRunOn({ state }: Turn, step: StepState): void {
  step.runsOn = true
  const frame = frameOf(holderOf(state, step.path))
  frame.rest = [...(frame.rest ?? []), step.path]
}

/** All in the step have ended. The sequence that it stands in may have waited for that. */
export function restEnded(turn: Turn, step: StepState): void {
  delete step.runsOn
  const holder = holderOf(turn.state, step.path)
  const frame = frameOf(holder)
  const left = frame.rest!.filter((path) => path !== step.path)
  if (left.length > 0) frame.rest = left
  else delete frame.rest
  if (holder.status === 'running') goOn(turn, planOf(turn.plan, holder) as Ordered, holder)
}

/** The sequence ends otherwise than by its end. */
export function cancelRest(turn: Turn, { frame }: StepState): void {
  if (frame?.type !== 'sequence' || frame.rest === undefined) return
  for (const { plan, step } of runningOn(turn, frame)) {
    for (const inside of instancesOf(plan, step)) cancel(turn, inside.plan, inside.path)
  }
}

/** `retry`: what was cancelled with the sequence goes on; what has failed made no difference, and stays. */
export function restartRest(turn: Turn, { frame }: StepState): void {
  if (frame?.type !== 'sequence' || frame.rest === undefined) return
  for (const { plan, step } of runningOn(turn, frame)) {
    for (const inside of [...instancesOf(plan, step)]) {
      if (turn.state.steps.get(inside.path)?.status === 'cancelled') restart(turn, inside.plan, inside.path)
    }
  }
}

/** What runs on within a step ends, since somebody in there asked for it, and counts as done. */
export function endRestWithin(turn: Turn, scope: StepState): void {
  const holder = holderOf(turn.state, scope.path)
  const isWithin = ({ step: { path } }: { step: StepState }): boolean =>
    path === scope.path || path.startsWith(`${scope.path}.`)
  for (const { plan, step } of runningOn(turn, frameOf(holder)).filter(isWithin)) {
    for (const inside of instancesOf(plan, step)) cancel(turn, inside.plan, inside.path)
    addRemainder(turn.state, plan, step.path)
    restEnded(turn, step)
  }
}

function runningOn({ plan, state }: Turn, { rest = [] }: Sequence): { plan: StepPlan; step: StepState }[] {
  return rest.map((path) => {
    const step = state.steps.get(path)!
    return { plan: planOf(plan, step), step }
  })
}

/** The nearest list of steps in order that a step stands in. */
function holderOf(state: ExecutionState, path: string): StepState {
  let holder = state.steps.get(parentPath(path))!
  while (holder.frame?.type !== 'sequence') holder = state.steps.get(parentPath(holder.path))!
  return holder
}

const frameOf = (step: StepState): Sequence => step.frame as Sequence

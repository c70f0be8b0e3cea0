import type { Json, JsonObject } from '../../../definition/json.ts'
import type { Plan, RacePlan, StepPlan } from '../../../definition/plan.ts'
import { addRemainder } from '../counting.ts'
import { outputOf } from '../data.ts'
import { bodyPath, type ExecutionState, type Frame, labelOf, type StepState } from '../state.ts'
import type { Turn } from '../turn.ts'
import { cancel, complete, fail, reach, restart as restartStep, skip } from './step.ts'

/*
 * all branches run ──one has won──▶ only it runs ──▶ completed, or failed with it
 *        └──all have dropped out──▶ failed with the first error | completed without a winner
 */
type Race = Extract<Frame, { type: 'race' }>

export function begin(turn: Turn, plan: RacePlan, step: StepState): void {
  step.entered = true
  step.frame = { type: 'race', open: plan.branches.length, winner: null }
  for (const branch of plan.branches) {
    if (step.status !== 'running' || step.frame.winner !== null) return
    reach(turn, branch, pathOf(step, branch), step.data)
  }
}

/** A step of a branch has done something: with `first_step` that decides. */
export function advanced(turn: Turn, plan: RacePlan, step: StepState, branch: StepPlan): void {
  if (plan.decidedBy === 'first_step' && (step.frame as Race).winner === null) choose(turn, plan, step, branch)
}

/** The others end, and count as done: nobody waits for them any more. */
function choose(turn: Turn, plan: RacePlan, step: StepState, winner: StepPlan): void {
  const frame = step.frame as Race
  frame.winner = nameOf(winner)
  for (const other of plan.branches) {
    const path = pathOf(step, other)
    if (other === winner) continue
    if (!turn.state.steps.has(path)) skip(turn, other, path, step.data)
    else {
      cancel(turn, other, path)
      addRemainder(turn.state, other, path)
    }
  }
}

export function childEnded(turn: Turn, plan: RacePlan, step: StepState, branch: StepPlan, child: StepState): void {
  const frame = step.frame as Race
  if (child.status === 'failed') {
    if (frame.winner !== null) return fail(turn, plan, step, child.error!)
    frame.error ??= child.error!
  } else if (frame.winner === null && hasDoneSomething(turn, branch, child)) {
    choose(turn, plan, step, branch)
  }
  if (frame.winner !== null) return complete(turn, plan, step)
  frame.open -= 1
  if (frame.open > 0) return
  if (frame.error !== undefined) fail(turn, plan, step, frame.error)
  else complete(turn, plan, step)
}

/** Gates and skipped steps do nothing: a branch of these alone was not on offer. Looked at once, at its end. */
function hasDoneSomething(turn: Turn, branch: StepPlan, child: StepState): boolean {
  if (child.output !== undefined) return true
  return branch.children.some((inside) => isDeed(inside, turn.state.steps.get(`${child.path}.${inside.id}`)))
}

/** Whether a step that has ended is one by which its branch can win. */
export const isDeed = (plan: StepPlan, step: StepState | undefined): boolean =>
  step?.status === 'completed' && !(plan.type === 'condition' && plan.branches === null)

/** After a choice only the winner begins again, before it all that failed or were cancelled. */
export function restart(turn: Turn, plan: RacePlan, step: StepState): void {
  const frame = step.frame as Race
  delete frame.error
  const again = plan.branches.filter((branch) => {
    const status = turn.state.steps.get(pathOf(step, branch))?.status
    return frame.winner === null ? status === 'failed' || status === 'cancelled' : nameOf(branch) === frame.winner
  })
  frame.open = again.length
  for (const branch of again) {
    if (frame.winner !== null && nameOf(branch) !== frame.winner) return
    restartStep(turn, branch, pathOf(step, branch))
  }
}

export function output(plan: Plan, _: StepPlan, state: ExecutionState, step: StepState): Json {
  const { winner } = step.frame as Race
  if (winner === null) return { winner, output: null } satisfies JsonObject
  return { winner, output: outputOf(plan, state, state.steps.get(bodyPath(step.path, winner))) ?? null }
}

const nameOf = (branch: StepPlan): string => labelOf(branch.id)
const pathOf = (step: StepState, branch: StepPlan): string => bodyPath(step.path, nameOf(branch))

import type { CompletePlan } from '../../../definition/plan.ts'
import { addProgress, addRemainder } from '../counting.ts'
import { dataOf } from '../data.ts'
import type { Fact } from '../event.ts'
import { endRestWithin } from '../rest.ts'
import { parentPath, type StepState } from '../state.ts'
import { planOf, type Turn } from '../turn.ts'
import type { Deciding } from './behaviour.ts'
import { askToDecide, cancelInside, finish } from './step.ts'

export function begin(turn: Turn, _plan: CompletePlan, step: StepState): void {
  step.entered = true
  askToDecide(turn, step)
}

export const isUndecided = (step: StepState): boolean => step.deciding === true

export function decide({ plan, stepPlan, state, step, scope }: Deciding): Fact {
  const { output } = stepPlan as CompletePlan
  const value = (output === null ? dataOf(plan, state, step) : output.render(scope)) ?? null
  return { type: 'step.completed', path: step.path, data: { output: value } }
}

/** The step around it ends with its output; whatever else is open in there is cancelled. */
export function completed(turn: Turn, plan: CompletePlan, step: StepState): void {
  step.status = 'completed'
  step.completedAt = turn.at
  addProgress(turn.state, plan.weight)
  const scope = surrounding(turn, plan.scope, step)
  // Its join was reached before: it has its output, and only what runs on in it is left to end.
  if (scope.status === 'completed' || scope.runsOn) return endRestWithin(turn, scope)
  const scopePlan = planOf(turn.plan, scope)
  cancelInside(turn, scopePlan, scope)
  if (scope.frame?.type !== 'sequence') endRestWithin(turn, scope)
  if (plan.scope !== '') addRemainder(turn.state, scopePlan, scope.path)
  if (scope.frame?.type === 'sequence') scope.frame.data = step.path
  // An output that is written here goes before the one that the workflow defines.
  const isOwn = scope.frame?.type !== 'sequence' || scopePlan.outcome !== null
  if (isOwn || (plan.scope === '' && plan.output !== null)) scope.output = step.output!
  finish(turn, scopePlan, scope)
}

/** The step of that id around it: in a loop, the instance that it stands in. */
function surrounding(turn: Turn, id: string, step: StepState): StepState {
  let path = parentPath(step.path)
  while (turn.state.steps.get(path)!.id !== id) path = parentPath(path)
  return turn.state.steps.get(path)!
}

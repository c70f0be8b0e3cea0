import type { ConditionPlan } from '../../../definition/plan.ts'
import { childPath, type StepState } from '../state.ts'
import type { Turn } from '../turn.ts'
import { advance } from './sequential.ts'
import { complete, skip } from './step.ts'

export function begin(turn: Turn, _plan: ConditionPlan, step: StepState): void {
  step.entered = true
  turn.commands.push({ type: 'evaluate_condition', path: step.path })
}

/** A gate's verdict (`step.completed`); whether the rest is skipped is its parent's matter. */
export function decide(turn: Turn, plan: ConditionPlan, step: StepState, result: boolean): void {
  step.output = result
  complete(turn, plan, step)
}

/** A branch was chosen (`condition.evaluated`): it runs like a sequence, the steps of the other are skipped. */
export function branch(turn: Turn, plan: ConditionPlan, step: StepState, result: boolean): void {
  const branches = plan.branches!
  step.output = result
  step.frame = { type: 'sequence', branch: result ? 'then' : 'else', position: 0, data: step.data }
  for (const other of result ? branches.else : branches.then) {
    skip(turn, other, childPath(step.path, other.id), step.data)
  }
  advance(turn, plan, step)
}

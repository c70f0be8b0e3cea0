import type { ConditionPlan } from '../../../definition/plan.ts'
import type { Fact } from '../event.ts'
import { childPath, type DataRef, type StepState } from '../state.ts'
import type { Turn } from '../turn.ts'
import type { Deciding } from './behaviour.ts'
import { advance, childEnded, restart } from './sequential.ts'
import { failure, skip } from './step.ts'

export { childEnded, restart }

export function begin(turn: Turn, _plan: ConditionPlan, step: StepState): void {
  step.entered = true
  turn.commands.push({ type: 'decide', path: step.path })
}

export const isUndecided = (step: StepState): boolean => step.frame === undefined

/** A gate's verdict is its completion; whether the rest is skipped is its parent's matter. */
export function decide({ stepPlan, step, scope }: Deciding): Fact {
  const { condition, branches, onFalse } = stepPlan as ConditionPlan
  const { path } = step
  const result = Boolean(condition.evaluate(scope))
  if (branches !== null) return { type: 'condition.evaluated', path, data: { result } }
  if (result || onFalse !== 'fail') return { type: 'step.completed', path, data: { output: result } }
  return failure(path, 'ConditionNotMet', `the condition is false: ${condition.source}`)
}

/** Past a condition flows what flowed into it, or what its branch has made of that. */
export const after = (step: StepState, before: DataRef): DataRef =>
  step.frame?.type === 'sequence' ? step.frame.data : before

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

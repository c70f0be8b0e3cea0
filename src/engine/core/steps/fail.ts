import type { JsonObject } from '../../../definition/json.ts'
import type { FailPlan } from '../../../definition/plan.ts'
import type { Fact } from '../event.ts'
import type { StepState } from '../state.ts'
import type { Turn } from '../turn.ts'
import type { Deciding } from './behaviour.ts'
import { askToDecide, failure } from './step.ts'

export function begin(turn: Turn, _plan: FailPlan, step: StepState): void {
  step.entered = true
  askToDecide(turn, step)
}

export const isUndecided = (step: StepState): boolean => step.deciding === true

export function decide({ stepPlan, step, scope }: Deciding): Fact {
  const { error, message, details } = stepPlan as FailPlan
  const text = message.render(scope)
  return failure(step.path, error, String(text ?? ''), details?.render(scope) as JsonObject | undefined)
}

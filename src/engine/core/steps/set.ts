import type { JsonObject } from '../../../definition/json.ts'
import type { SetPlan } from '../../../definition/plan.ts'
import type { Fact } from '../event.ts'
import type { DataRef, StepState } from '../state.ts'
import type { Turn } from '../turn.ts'
import type { Deciding } from './behaviour.ts'
import { askToDecide, complete } from './step.ts'

export function begin(turn: Turn, _plan: SetPlan, step: StepState): void {
  step.entered = true
  askToDecide(turn, step)
}

export const isUndecided = (step: StepState): boolean => step.deciding === true

export function decide({ stepPlan, step, scope }: Deciding): Fact {
  const output = (stepPlan as SetPlan).variables.render(scope) ?? {}
  return { type: 'step.completed', path: step.path, data: { output } }
}

/** The plan's own variables are shared by all executions: they are replaced, never changed. */
export function completed(turn: Turn, plan: SetPlan, step: StepState): void {
  turn.state.variables = { ...turn.state.variables, ...(step.output as JsonObject) }
  complete(turn, plan, step)
}

export const after = (_step: StepState, before: DataRef): DataRef => before

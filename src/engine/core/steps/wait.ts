import type { JsonObject } from '../../../definition/json.ts'
import type { WaitPlan } from '../../../definition/plan.ts'
import type { Fact } from '../event.ts'
import type { DataRef, StepState } from '../state.ts'
import type { Turn } from '../turn.ts'
import type { Deciding } from './behaviour.ts'
import { momentOf } from './duration.ts'
import { askToDecide, failure } from './step.ts'

export function begin(turn: Turn, _plan: WaitPlan, step: StepState): void {
  step.entered = true
  askToDecide(turn, step)
}

export const isUndecided = (step: StepState): boolean => step.deciding === true

/** Until when, as a fact: the clock is the event before's. */
export function decide({ stepPlan, state, step, scope }: Deciding): Fact {
  const due = momentOf((stepPlan as WaitPlan).moment, scope, state.at)
  if (typeof due === 'string') return failure(step.path, 'ValidationError', due)
  return { type: 'step.decided', path: step.path, data: { dueAt: due } }
}

export function decided(turn: Turn, _plan: WaitPlan, step: StepState, { dueAt }: JsonObject): void {
  step.status = 'waiting'
  step.dueAt = dueAt as number
  turn.commands.push({ type: 'set_timer', timer: 'wait', path: step.path, dueAt: step.dueAt })
}

export const due = (_plan: WaitPlan, step: StepState): Fact => ({
  type: 'step.completed',
  path: step.path,
  data: { output: null },
})

export const after = (_step: StepState, before: DataRef): DataRef => before

import type { EmitPlan } from '../../../definition/plan.ts'
import type { DataRef, StepState } from '../state.ts'
import type { Turn } from '../turn.ts'
import { askToLookUp } from './step.ts'

/*
 * running (who is there?) ──▶ completed, and what was sent is in the inboxes of those who are
 */
export function begin(turn: Turn, _plan: EmitPlan, step: StepState): void {
  step.entered = true
  askToLookUp(turn, step)
}

export const isUndecided = (step: StepState): boolean => step.deciding === true

export const looksUp = (): boolean => true

export const after = (_step: StepState, before: DataRef): DataRef => before

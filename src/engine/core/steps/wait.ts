import type { Json, JsonObject } from '../../../definition/json.ts'
import type { WaitPlan } from '../../../definition/plan.ts'
import type { Fact } from '../event.ts'
import type { DataRef, StepState } from '../state.ts'
import type { Turn } from '../turn.ts'
import type { Deciding } from './behaviour.ts'
import { durationOf, durationText, shown } from './duration.ts'
import { askToDecide, failure } from './step.ts'

export function begin(turn: Turn, _plan: WaitPlan, step: StepState): void {
  step.entered = true
  askToDecide(turn, step)
}

export const isUndecided = (step: StepState): boolean => step.deciding === true

/** Until when, as a fact: the clock is the event before's. */
export function decide({ stepPlan, state, step, scope }: Deciding): Fact {
  const { kind, value } = stepPlan as WaitPlan
  const given = value.render(scope)
  const waitMs = durationOf(given)
  const dueAt = kind === 'until' ? timeOf(given) : waitMs === null ? Number.NaN : state.at + waitMs
  if (Number.isFinite(dueAt)) return { type: 'step.decided', path: step.path, data: { dueAt } }
  const wanted = kind === 'durationMs' ? durationText : 'a time (RFC 3339, or ms since 1970)'
  return failure(step.path, 'ValidationError', `${kind} must be ${wanted}, and is ${shown(given)}`)
}

function timeOf(given: Json | undefined): number {
  const time = typeof given === 'number' ? given : typeof given === 'string' ? Date.parse(given) : Number.NaN
  return Math.abs(time) <= 8.64e15 ? Math.ceil(time) : Number.NaN
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

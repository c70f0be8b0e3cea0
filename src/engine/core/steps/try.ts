import type { Json, JsonObject } from '../../../definition/json.ts'
import type { Plan, SequentialPlan, StepPlan, TryPlan } from '../../../definition/plan.ts'
import { addRemainder, uncount } from '../counting.ts'
import { resolve } from '../data.ts'
import type { Fact } from '../event.ts'
import { narrowed } from '../scope.ts'
import { bodyPath, type DataRef, type ExecutionState, type Frame, type StepState } from '../state.ts'
import type { Turn } from '../turn.ts'
import type { Deciding } from './behaviour.ts'
import { askToDecide, complete, fail, forget, reach, restart as restartStep, skip } from './step.ts'

/*
 * steps ──▶ (well) ─────────────────────▶ finally ──▶ completed, or failed with the error that nobody caught
 *    └────▶ (failed: which catch?) ─▶ catch ─┘ ▲
 *                    └── none takes it ────────┘
 */
type Try = Extract<Frame, { type: 'try' }>

export function begin(turn: Turn, plan: TryPlan, step: StepState): void {
  step.entered = true
  step.frame = { type: 'try', phase: 'steps', error: null, data: step.data }
  reach(turn, plan.steps, bodyPath(step.path, 'steps'), step.data)
}

export function childEnded(turn: Turn, plan: TryPlan, step: StepState, _: StepPlan, child: StepState): void {
  const frame = step.frame as Try
  const error = child.status === 'failed' ? child.error! : null
  if (frame.phase === 'finally') return finish(turn, plan, step, error)
  if (error === null) frame.data = child.path
  if (frame.phase === 'catch') {
    frame.error = error
    return conclude(turn, plan, step)
  }
  frame.error = error
  if (error !== null && plan.catches.length > 0) return askToDecide(turn, step)
  skipCatches(turn, plan, step, null)
  conclude(turn, plan, step)
}

export const isUndecided = (step: StepState): boolean => step.deciding === true

/** Which catch takes the error: the first whose types and condition fit. */
export function decide({ stepPlan, step, scope }: Deciding): Fact {
  const error = (step.frame as Try).error!
  const { catches } = stepPlan as TryPlan
  const taken = catches.findIndex(({ errors, when, as }) => {
    if (errors !== null && !errors.includes(error.type)) return false
    return when === null || Boolean(when.evaluate(narrowed(scope, { locals: { [as]: error as unknown as Json } })))
  })
  return { type: 'step.decided', path: step.path, data: { catch: taken < 0 ? null : taken } }
}

export function decided(turn: Turn, plan: TryPlan, step: StepState, data: JsonObject): void {
  const frame = step.frame as Try
  const index = data.catch as number | null
  skipCatches(turn, plan, step, index)
  if (index === null) return conclude(turn, plan, step)
  addRemainder(turn.state, plan.steps, bodyPath(step.path, 'steps'))
  frame.phase = 'catch'
  reach(turn, plan.catches[index]!.body, bodyPath(step.path, `catch${index}`), step.data)
}

function skipCatches(turn: Turn, plan: TryPlan, step: StepState, but: number | null): void {
  for (const [index, { body }] of plan.catches.entries()) {
    if (index !== but) skip(turn, body, bodyPath(step.path, `catch${index}`), step.data)
  }
}

function conclude(turn: Turn, plan: TryPlan, step: StepState): void {
  if (plan.finally === null) return finish(turn, plan, step, null)
  const frame = step.frame as Try
  frame.phase = 'finally'
  reach(turn, plan.finally, bodyPath(step.path, 'finally'), step.data)
}

/** A failure of `finally` itself comes before the one that it was to clean up after. */
function finish(turn: Turn, plan: TryPlan, step: StepState, last: Try['error']): void {
  const error = last ?? (step.frame as Try).error
  if (error === null) complete(turn, plan, step)
  else fail(turn, plan, step, error)
}

/** The body that failed begins again; after another than `finally`, that is to run once more. */
export function restart(turn: Turn, plan: TryPlan, step: StepState): void {
  const frame = step.frame as Try
  const at = (label: string): string => bodyPath(step.path, label)
  const isOpen = (label: string): boolean => {
    const status = turn.state.steps.get(at(label))?.status
    return status === 'failed' || status === 'cancelled'
  }
  if (plan.finally !== null && isOpen('finally')) return restartStep(turn, plan.finally, at('finally'))
  if (plan.finally !== null) startOver(turn, plan.finally, at('finally'))
  const caught = plan.catches.findIndex((_, index) => isOpen(`catch${index}`))
  frame.phase = caught < 0 ? 'steps' : 'catch'
  if (caught >= 0) return restartStep(turn, plan.catches[caught]!.body, at(`catch${caught}`))
  frame.error = null
  for (const [index, { body }] of plan.catches.entries()) startOver(turn, body, at(`catch${index}`))
  restartStep(turn, plan.steps, at('steps'))
}

function startOver(turn: Turn, body: SequentialPlan, path: string): void {
  uncount(turn.state, body, path)
  forget(turn, body, path)
}

export const output = (plan: Plan, _: StepPlan, state: ExecutionState, step: StepState): Json =>
  resolve(plan, state, (step.frame as Try).data)

export const after = (step: StepState): DataRef => (step.frame as Try).data

/** The error that the catch took. */
export const local = (_plan: TryPlan, step: StepState): Json | undefined =>
  (step.frame as Try).error as unknown as Json | undefined

import type { Json, JsonObject } from '../../../definition/json.ts'
import type { Plan, StepPlan, WhilePlan } from '../../../definition/plan.ts'
import { addProgress } from '../counting.ts'
import { outputOf, resolve } from '../data.ts'
import type { Fact } from '../event.ts'
import { narrowed } from '../scope.ts'
import { bodyPath, type DataRef, type ExecutionState, type Frame, type StepState } from '../state.ts'
import type { Turn } from '../turn.ts'
import type { Deciding, Instance } from './behaviour.ts'
import { askToDecide, complete, fail, failure, forget, forgetInside, reach, restart as restartStep } from './step.ts'

type Loop = Extract<Frame, { type: 'loop' }>

export function begin(turn: Turn, plan: WhilePlan, step: StepState): void {
  step.entered = true
  step.frame = { type: 'loop', index: 0, data: step.data }
  if (plan.type === 'while') askToDecide(turn, step)
  else iterate(turn, plan, step, step.frame)
}

export const isUndecided = (step: StepState): boolean => step.deciding === true

export function decide({ plan, stepPlan, state, step, scope }: Deciding): Fact {
  const { type, condition, maxIterations } = stepPlan as WhilePlan
  const { index, data } = step.frame as Loop
  const isTrue = Boolean(condition.evaluate(narrowed(scope, { data: resolve(plan, state, data), locals: { index } })))
  const again = type === 'while' ? isTrue : !isTrue
  if (!again || index < maxIterations) return { type: 'step.decided', path: step.path, data: { again } }
  return failure(step.path, 'LoopLimitExceeded', `the loop wants more than its maxIterations of ${maxIterations}`)
}

export function decided(turn: Turn, plan: WhilePlan, step: StepState, { again }: JsonObject): void {
  if (again === true) return iterate(turn, plan, step, step.frame as Loop)
  addProgress(turn.state, plan.weight)
  complete(turn, plan, step)
}

/** Of the iteration before only its output is kept, of the one before that nothing: a loop runs in bounded memory. */
function iterate(turn: Turn, plan: WhilePlan, step: StepState, { index, data }: Loop): void {
  forgetInside(turn, plan.body, bodyPath(step.path, index - 1))
  forget(turn, plan.body, bodyPath(step.path, index - 2))
  reach(turn, plan.body, bodyPath(step.path, index), data)
}

export function childEnded(turn: Turn, plan: WhilePlan, step: StepState, _: StepPlan, child: StepState): void {
  if (child.status === 'failed') return fail(turn, plan, step, child.error!)
  const frame = step.frame as Loop
  child.output = outputOf(turn.plan, turn.state, child) ?? null
  frame.data = child.path
  frame.index += 1
  askToDecide(turn, step)
}

/** What failed was the iteration, or the decision about the next one. */
export function restart(turn: Turn, plan: WhilePlan, step: StepState): void {
  const path = bodyPath(step.path, (step.frame as Loop).index)
  if (turn.state.steps.has(path)) restartStep(turn, plan.body, path)
  else askToDecide(turn, step)
}

export function instances(plan: WhilePlan, step: StepState): Instance[] {
  const index = step.frame?.type === 'loop' ? step.frame.index : 0
  const isOver = step.completedAt !== null
  // At the end the last iteration shows; under way the present one, beside what is left of the one before.
  return [index - 1, index]
    .filter((i) => i >= 0 && !(isOver && i === index && index > 0 && step.status === 'completed'))
    .map((i) => ({ plan: plan.body, path: bodyPath(step.path, i) }))
}

export const output = (plan: Plan, _: StepPlan, state: ExecutionState, step: StepState): Json =>
  resolve(plan, state, (step.frame as Loop).data)

export const after = (step: StepState): DataRef => (step.frame as Loop).data

export const local = (_plan: WhilePlan, _step: StepState, label: string): Json => Number(label)

import type { Json, JsonObject } from '../../../definition/json.ts'
import type { ForeachPlan, Plan, StepPlan } from '../../../definition/plan.ts'
import { outputOf } from '../data.ts'
import type { Fact } from '../event.ts'
import { addProgress } from '../progress.ts'
import { bodyPath, type ExecutionState, type Frame, labelOf, type StepState } from '../state.ts'
import type { Turn } from '../turn.ts'
import type { Deciding, Instance } from './behaviour.ts'
import { askToDecide, cancel, complete, fail, failure, forget, reach, restart as restartStep } from './step.ts'

type Each = Extract<Frame, { type: 'each' }>

export function begin(turn: Turn, _plan: ForeachPlan, step: StepState): void {
  step.entered = true
  askToDecide(turn, step)
}

export const isUndecided = (step: StepState): boolean => step.deciding === true

export function decide({ stepPlan, step, scope }: Deciding): Fact {
  const items = (stepPlan as ForeachPlan).items.render(scope)
  if (Array.isArray(items)) return { type: 'step.decided', path: step.path, data: { items } }
  const kind = items === undefined ? 'undefined' : items === null ? 'null' : `a ${typeof items}`
  return failure(step.path, 'ValidationError', `items must be a list, and is ${kind}`)
}

export function decided(turn: Turn, plan: ForeachPlan, step: StepState, data: JsonObject): void {
  const items = data.items as Json[]
  const outputs = plan.collect === 'outputs' ? items.map(() => null) : []
  step.frame = { type: 'each', items, total: items.length, next: 0, active: [], ended: 0, failed: 0, outputs }
  if (items.length === 0) addProgress(turn.state, plan.weight)
  launch(turn, plan, step, step.frame)
}

/** Begins items while there is room; the step is complete when all have ended. */
function launch(turn: Turn, plan: ForeachPlan, step: StepState, frame: Each): void {
  while (step.status === 'running' && frame.active.length < plan.concurrency && frame.next < frame.total) {
    const index = frame.next++
    frame.active.push(index)
    reach(turn, plan.body, bodyPath(step.path, index), step.data)
  }
  if (step.status !== 'running' || frame.ended < frame.total) return
  frame.items = []
  complete(turn, plan, step)
}

/** An item that has ended leaves the state; only what `collect` wants of it stays. */
export function childEnded(turn: Turn, plan: ForeachPlan, step: StepState, _: StepPlan, child: StepState): void {
  const frame = step.frame as Each
  const index = Number(labelOf(child.path))
  if (child.status === 'failed') {
    if (!isTolerated(plan, frame)) {
      for (const other of frame.active) cancel(turn, plan.body, bodyPath(step.path, other))
      return fail(turn, plan, step, child.error!)
    }
    frame.failed += 1
    if (plan.collect === 'errors') frame.outputs.push({ index, error: child.error as unknown as Json })
  } else if (plan.collect === 'outputs') {
    frame.outputs[index] = outputOf(turn.plan, turn.state, child) ?? null
  }
  frame.active.splice(frame.active.indexOf(index), 1)
  frame.ended += 1
  forget(turn, plan.body, child.path)
  addProgress(turn.state, plan.weight / frame.total)
  launch(turn, plan, step, frame)
}

/** Whether one more failure is within what the step bears. */
function isTolerated({ tolerate }: ForeachPlan, { failed, total }: Each): boolean {
  return failed + 1 <= ('count' in tolerate ? tolerate.count : tolerate.share * total)
}

/** The items that were under way begin again, the one that failed among them. */
export function restart(turn: Turn, plan: ForeachPlan, step: StepState): void {
  for (const index of [...(step.frame as Each).active]) restartStep(turn, plan.body, bodyPath(step.path, index))
}

export function instances(plan: ForeachPlan, step: StepState): Instance[] {
  const active = step.frame?.type === 'each' ? step.frame.active : []
  return active.map((index) => ({ plan: plan.body, path: bodyPath(step.path, index) }))
}

export function output(_: Plan, plan: ForeachPlan, _state: ExecutionState, step: StepState): Json {
  const { outputs, total, failed } = step.frame as Each
  return plan.collect === 'none' ? { total, completed: total - failed, failed } : outputs
}

export function local(plan: ForeachPlan, step: StepState, label: string, name: string): Json | undefined {
  return name === plan.as ? (step.frame as Each).items[Number(label)] : Number(label)
}

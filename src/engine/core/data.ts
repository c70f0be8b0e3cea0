import type { Json, JsonObject } from '../../definition/json.ts'
import type { Plan } from '../../definition/plan.ts'
import { childPath, type DataRef, type ExecutionState, parentPath, type StepState, type StepStatus } from './state.ts'
import { planOf } from './turn.ts'

/** Outputs of completed composites, which are assembled from their children: they never change, so once is enough. */
const assembled = new WeakMap<StepState, { output: Json }>()

/** What a step sees as `data`. A child of a parallel with dependencies sees their outputs by id. */
export function dataOf(plan: Plan, state: ExecutionState, step: StepState): Json {
  const stepPlan = planOf(plan, step)
  if (stepPlan.parent?.type !== 'parallel' || stepPlan.dependencies.length === 0) return resolve(plan, state, step.data)
  const parent = parentPath(step.path)
  const data: JsonObject = {}
  for (const id of stepPlan.dependencies)
    data[id] = outputOf(plan, state, state.steps.get(childPath(parent, id))) ?? null
  return data
}

/** The value that a reference stands for. */
export function resolve(plan: Plan, state: ExecutionState, ref: DataRef): Json {
  return ref === '' ? state.input : (outputOf(plan, state, state.steps.get(ref)) ?? null)
}

/** A step's output; undefined unless it is completed. */
export function outputOf(plan: Plan, state: ExecutionState, step: StepState | undefined): Json | undefined {
  if (step?.status !== 'completed') return undefined
  if (step.frame === undefined || planOf(plan, step).type === 'condition') return step.output
  const known = assembled.get(step)
  if (known !== undefined) return known.output
  const output =
    step.frame.type === 'sequence' ? resolve(plan, state, step.frame.data) : childOutputs(plan, state, step)
  assembled.set(step, { output })
  return output
}

function childOutputs(plan: Plan, state: ExecutionState, step: StepState): Json {
  const stepPlan = planOf(plan, step)
  if (stepPlan.type !== 'parallel') throw new Error(`${step.path} is not a parallel`)
  const outputs: JsonObject = {}
  for (const child of stepPlan.steps) {
    const output = outputOf(plan, state, state.steps.get(childPath(step.path, child.id)))
    if (output !== undefined) outputs[child.id] = output
  }
  return outputs
}

/** What flows on after a step: its output, or unchanged past conditions and skipped steps. */
export function dataAfter(plan: Plan, step: StepState, before: DataRef): DataRef {
  if (step.status !== 'completed') return before
  const stepPlan = planOf(plan, step)
  if (stepPlan.type === 'action' || stepPlan.type === 'parallel') return step.path
  return step.frame?.type === 'sequence' ? step.frame.data : before
}

/** The status that a step is in for whoever asks: steps that were never reached are pending, or skipped with an ancestor. */
export function statusOf(plan: Plan, state: ExecutionState, id: string): StepStatus {
  for (let path: string | null = pathOf(plan, id), own = true; path !== null && path !== ''; path = parentPath(path)) {
    const step = state.steps.get(path)
    if (step !== undefined) return own ? step.status : step.status === 'skipped' ? 'skipped' : 'pending'
    own = false
  }
  return 'pending'
}

/** Where a step of the base types stands: its ancestors' ids and its own. */
export function pathOf(plan: Plan, id: string): string {
  const step = plan.steps.get(id)!
  return step.parent === null || step.parent.id === '' ? id : `${pathOf(plan, step.parent.id)}.${id}`
}

import type { Json, JsonObject } from '../../definition/json.ts'
import type { Plan, StepPlan } from '../../definition/plan.ts'
import { shownStatus } from './approvals.ts'
import {
  bodyPath,
  childPath,
  type DataRef,
  type ExecutionState,
  parentPath,
  type StepState,
  type StepStatus,
} from './state.ts'
import { behaviourOf } from './steps/behaviour.ts'
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
  if (step.output !== undefined || step.frame === undefined) return step.output
  const known = assembled.get(step)
  if (known !== undefined) return known.output
  const stepPlan = planOf(plan, step)
  const output = behaviourOf(stepPlan).output?.(plan, stepPlan, state, step)
  if (output !== undefined) assembled.set(step, { output })
  return output
}

/** What flows on after a step: its output, or unchanged past conditions and skipped steps. */
export function dataAfter(plan: Plan, step: StepState, before: DataRef): DataRef {
  if (step.status !== 'completed') return before
  const stepPlan = planOf(plan, step)
  // An output of its own stands for what is inside; a condition's is its verdict.
  const isVerdict = stepPlan.type === 'condition' && stepPlan.outcome === null
  if (step.output !== undefined && step.frame !== undefined && !isVerdict) return step.path
  return behaviourOf(stepPlan).after?.(step, before, stepPlan) ?? step.path
}

/**
 * The status that a step is in for whoever asks from `reader`: steps that were never reached are pending, or skipped with an
 * ancestor.
 */
export function statusOf(plan: Plan, state: ExecutionState, id: string, reader: string): StepStatus {
  let own = true
  for (let path = pathOf(plan, id, reader); path !== ''; path = parentPath(path)) {
    const step = state.steps.get(path)
    if (step !== undefined) return own ? shownStatus(state, step) : step.status === 'skipped' ? 'skipped' : 'pending'
    own = false
  }
  return 'pending'
}

/** Where the instance of a step stands that is nearest to `reader`, the path of whoever asks: within a loop, the same iteration's. */
export const pathOf = (plan: Plan, id: string, reader: string): string => pathFrom(plan.steps.get(id)!, reader)

function pathFrom(step: StepPlan, reader: string): string {
  if (step.parent === null) return ''
  const parent = pathFrom(step.parent, reader)
  if (step.type !== 'sequential' || step.body === null) return childPath(parent, step.id)
  return bodyPath(parent, step.body.label ?? iterationOf(parent, reader))
}

/** The index of the iteration of the loop at `loop` that the reader stands in; the first one for readers outside. */
function iterationOf(loop: string, reader: string): string {
  if (!reader.startsWith(`${loop}[`)) return '0'
  return reader.slice(loop.length + 1, reader.indexOf(']', loop.length))
}

import type { Json } from '../../definition/json.ts'
import type { ExecutionState, StepState } from './state.ts'

/** The stored image of a state: everything but the input, which the execution's row has, as plain JSON. */
export type Snapshot = Omit<ExecutionState, 'steps' | 'input'> & { readonly steps: readonly StepState[] }

/** Shares values with the state: serialise it before the state moves on. */
export function snapshotOf(state: ExecutionState): Snapshot {
  const { input: _, steps, ...rest } = state
  return { ...rest, steps: [...steps.values()] }
}

export function stateOf(snapshot: Snapshot, input: Json): ExecutionState {
  const { steps, ...rest } = snapshot
  return { ...rest, input, steps: new Map(steps.map((step) => [step.path, step])) }
}

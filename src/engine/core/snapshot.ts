import type { Json } from '../../definition/json.ts'
import type { ExecutionState, StepState } from './state.ts'

/** The stored image of a state: everything but the input, which the execution's row has, as plain JSON. */
export type Snapshot = Omit<ExecutionState, 'steps' | 'input'> & { readonly steps: readonly StepState[] }

/** Shares values with the state: serialise it before the state moves on. */
export function snapshotOf(state: ExecutionState): Snapshot {
  const { input: _, steps, ...rest } = state
  return { ...rest, steps: [...steps.values()] }
}

/** The state in a stored image. What is not known to be one goes through `imageIn` first. */
export function stateOf(snapshot: Snapshot, input: Json): ExecutionState {
  const { steps, ...rest } = snapshot
  return { ...rest, input, steps: new Map(steps.map((step) => [step.path, step])) }
}

/** What was stored as an image of this execution's state at this seq, or null when it cannot be one. */
export function imageIn(stored: Json, blank: ExecutionState, seq: number): Snapshot | null {
  if (stored === null || typeof stored !== 'object' || Array.isArray(stored)) return null
  const image = stored as unknown as Snapshot
  const isWhole = Object.keys(snapshotOf(blank)).every((key) => Object.hasOwn(image, key))
  const isOurs = image.executionId === blank.executionId && image.format === blank.format && image.seq === seq
  if (!isWhole || !isOurs || !Array.isArray(image.steps)) return null
  return image.steps.every((step) => typeof step?.path === 'string' && typeof step.status === 'string') ? image : null
}

import type { Plan, StepPlan } from '../../definition/plan.ts'
import type { Command } from './command.ts'
import type { ExecutionState, StepState } from './state.ts'

/** One call of `transition`: what the step types read, change and add to. */
export interface Turn {
  readonly plan: Plan
  readonly state: ExecutionState
  /** The event's time. */
  readonly at: number
  /** ms since the event before. */
  readonly elapsedMs: number
  readonly commands: Command[]
}

/** The plan of a step instance: ids are unique in the definition. */
export function planOf(plan: Plan, step: StepState): StepPlan {
  return step.id === '' ? plan.root : plan.steps.get(step.id)!
}

/** True while nothing new may begin: the execution is paused, or will be once its attempts have ended, or waits for slots. */
export const isHeld = (state: ExecutionState): boolean => isPaused(state) || state.regaining !== undefined

export const isPaused = (state: ExecutionState): boolean => state.requested === 'pause' || state.status === 'paused'

export function assertNever(value: never): never {
  throw new Error(`unhandled: ${JSON.stringify(value)}`)
}

import type { Plan } from '../definition/plan.ts'
import type { StatisticsDelta, StepCount } from '../repository/tally.ts'
import type { Event } from './core/event.ts'
import { type ExecutionState, isFinished, stepIdOf } from './core/state.ts'
import type { RowImage } from './row-image.ts'

/** What an event adds to the statistics of its step, if anything: attempts of actions count, conditions do not. */
export function stepCountOf(plan: Plan, event: Event): StepCount | null {
  if (event.type !== 'step.completed' && event.type !== 'step.failed') return null
  // By its path: an iteration that is over has left the state.
  const stepId = stepIdOf(event.path)
  if (plan.steps.get(stepId)?.type !== 'action') return null
  const { durationMs } = event.data
  if (event.type === 'step.completed') {
    return { stepId, outcome: 'completed', ...(durationMs !== undefined && { durationMs }) }
  }
  if (event.data.deferred === true) return null
  return { stepId, outcome: event.data.retryAt === null ? 'failed' : 'retried' }
}

/** A change of the row's status; the duration goes with an end. */
export function statusChange(before: RowImage | null, state: ExecutionState): StatisticsDelta['status'] {
  if (before?.status === state.status) return undefined
  const { status, startedAt, completedAt } = state
  const durationMs = isFinished(status) && startedAt !== null && completedAt !== null ? completedAt - startedAt : null
  return { from: before?.status ?? null, to: status, durationMs }
}

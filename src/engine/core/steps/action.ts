import type { ActionPlan } from '../../../definition/plan.ts'
import type { StepFailure } from '../event.ts'
import type { StepState } from '../state.ts'
import type { Turn } from '../turn.ts'
import { complete, fail } from './step.ts'

/** The first attempt. An at_most_once one is performed only after `step.started` is committed. */
export function begin(turn: Turn, plan: ActionPlan, step: StepState): void {
  step.entered = true
  if (plan.delivery === 'at_most_once') turn.commands.push({ type: 'mark_started', path: step.path, attempt: 1 })
  else perform(turn, step)
}

/** An attempt is under way: after `step.started`, or when the retry's timer fired. */
export function perform(turn: Turn, step: StepState): void {
  step.status = 'running'
  step.attempt += 1
  step.startedAt = turn.at
  step.firstStartedAt ??= turn.at
  step.dueAt = null
  turn.state.runningAttempts += 1
  turn.commands.push({ type: 'perform', path: step.path, attempt: step.attempt })
}

export function completed(turn: Turn, plan: ActionPlan, step: StepState): void {
  turn.state.runningAttempts -= 1
  complete(turn, plan, step)
}

/** `step.failed`: waits for the retry that the event names, or has failed for good. */
export function failAttempt(turn: Turn, plan: ActionPlan, step: StepState, failure: StepFailure): void {
  if (step.status === 'running') turn.state.runningAttempts -= 1
  if (failure.retryAt === null) return fail(turn, plan, step, failure.error)
  if (failure.deferred === true) step.attempt -= 1
  step.status = 'waiting'
  step.error = failure.error
  step.dueAt = failure.retryAt
  turn.commands.push({ type: 'set_timer', timer: 'retry', path: step.path, dueAt: failure.retryAt })
}

/** The execution or a sibling ended it. */
export function cancel(turn: Turn, step: StepState): void {
  if (step.status === 'running') {
    turn.state.runningAttempts -= 1
    turn.commands.push({ type: 'abort', path: step.path })
  }
  if (step.dueAt !== null) turn.commands.push({ type: 'clear_timer', timer: 'retry', path: step.path })
  step.dueAt = null
}

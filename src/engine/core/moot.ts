import { openApprovals } from './approvals.ts'
import type { Fact } from './event.ts'
import { isAwaited } from './slots.ts'
import { type ExecutionState, isFinished, type StepState } from './state.ts'
import { isOpen } from './steps/step.ts'
import { isThere } from './steps/wait-for-signal.ts'
import { assertNever, isHeld, isPaused } from './turn.ts'

/**
 * True when a fact that was found out earlier in the same turn no longer counts, because one before it has ended its step or
 * the execution: of two answers the first one wins. It is dropped before it is journaled.
 */
export function isMoot(state: ExecutionState, fact: Fact): boolean {
  switch (fact.type) {
    case 'execution.paused':
      return state.requested !== 'pause' || state.runningAttempts > 0 || isFinished(state.status)
    case 'execution.completed':
    case 'execution.failed':
    case 'execution.parked':
      return isFinished(state.status) || state.status === 'paused'
    case 'execution.failing':
      return isFinished(state.status) || state.status === 'paused' || state.aftermath !== undefined
    case 'step.entered':
    case 'step.skipped':
    case 'step.started':
      return isHeld(state) || !hasStep(state, fact.path, (step) => step.status === 'pending')
    case 'step.completed':
      return !isToComplete(state, fact)
    case 'approval.requested':
    case 'child.started':
    case 'step.decided':
      // While the execution is held nothing goes on: `resume` asks again.
      return isHeld(state) || !hasStep(state, fact.path, (step) => step.deciding === true)
    case 'condition.evaluated':
      return !hasStep(state, fact.path, (step) => step.status === 'running' && step.frame === undefined)
    case 'step.failed':
      return !hasStep(state, fact.path, (step) => isOpen(step) && isAttempt(step, fact.attempt))
    case 'approval.decided':
      return openApprovals(state)[fact.data.approvalId] !== fact.path
    case 'approval.overdue':
    case 'timer.fired':
      return isHeld(state) || !hasStep(state, fact.path, (step) => step.status === 'waiting')
    case 'step.queued':
      // What was lost is asked for while the execution is held for just that.
      if (state.steps.get(fact.path)?.slot?.ticket === 0) return isPaused(state)
      return (
        isHeld(state) || !hasStep(state, fact.path, ({ status, slot }) => status === 'pending' && slot === undefined)
      )
    case 'execution.queued':
      if (isPaused(state) || isFinished(state.status)) return true
      return state.slot === undefined ? state.status !== 'pending' : state.slot.ticket !== 0
    case 'execution.started':
      return state.status !== 'pending'
    case 'slot.refused':
      // What the line says is answered in the journal; its own timer no longer counts once it has its slot.
      return fact.data.timeoutMs !== undefined && !isAwaited(state, fact.path ?? '', fact.data.ticket)
    case 'execution.scheduled':
    case 'execution.released':
    case 'execution.recovered':
    case 'execution.pause_requested':
    case 'execution.resumed':
    case 'execution.cancelled':
    case 'execution.retried':
    case 'execution.compensating':
    case 'execution.rolled_back':
    case 'execution.quarantined':
    case 'control.refused':
    case 'child.ended':
    case 'slot.granted':
    case 'signal.received':
      return false
    default:
      return assertNever(fact)
  }
}

function isToComplete(
  state: ExecutionState,
  { path, attempt, data }: Extract<Fact, { type: 'step.completed' }>,
): boolean {
  const step = state.steps.get(path)
  if (step === undefined || !isOpen(step) || !isAttempt(step, attempt)) return false
  return attempt === undefined ? isThere(state, data.meta?.signalId) : step.status === 'running'
}

/** What is no attempt's outcome names none. */
const isAttempt = (step: StepState, attempt: number | undefined): boolean =>
  attempt === undefined || step.attempt === attempt

function hasStep(state: ExecutionState, path: string, fits: (step: StepState) => boolean): boolean {
  const step = state.steps.get(path)
  return step !== undefined && fits(step)
}

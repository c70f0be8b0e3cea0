import type { ApprovalPlan, ConditionPlan, Plan, SubWorkflowPlan } from '../../definition/plan.ts'
import { noteCompletion } from './aftermath.ts'
import { markCheckpoint } from './checkpoint.ts'
import { childEnded } from './children.ts'
import type { Command } from './command.ts'
import * as control from './control.ts'
import { countLeaf } from './counting.ts'
import type { Event } from './event.ts'
import { joinLine } from './slots.ts'
import { type ExecutionState, isFinished, type StepState } from './state.ts'
import * as action from './steps/action.ts'
import * as approval from './steps/approval.ts'
import { behaviourOf } from './steps/behaviour.ts'
import * as condition from './steps/condition.ts'
import { completeLeaf, conclude, failComposite, proceed, skipReached } from './steps/step.ts'
import * as subWorkflow from './steps/sub-workflow.ts'
import { lookAgain } from './steps/waiters.ts'
import { assertNever, planOf, type Turn } from './turn.ts'

/**
 * Folds one event into the state, which it changes, and answers what must be done now. Deterministic: time comes from
 * `event.at` only, results of expressions from the events. Work is O(1) in the size of definition and history.
 */
export function transition(plan: Plan, state: ExecutionState, event: Event): readonly Command[] {
  const turn: Turn = { plan, state, at: event.at, elapsedMs: event.at - state.at, commands: [] }
  state.seq = event.seq
  state.at = event.at
  if (event.type !== 'control.refused') state.changedSeq = event.seq
  if (state.status === 'waiting' && event.type !== 'execution.parked') state.status = 'running'
  apply(turn, event)
  if (isPauseDue(state)) turn.commands.push({ type: 'pause' })
  return turn.commands
}

const isPauseDue = (state: ExecutionState): boolean =>
  state.requested === 'pause' &&
  state.runningAttempts === 0 &&
  (state.status === 'running' || state.status === 'pending')

function apply(turn: Turn, event: Event): void {
  switch (event.type) {
    case 'approval.requested':
    case 'approval.overdue':
    case 'approval.decided':
    case 'child.started':
    case 'step.entered':
    case 'step.queued':
    case 'step.skipped':
    case 'step.started':
    case 'step.completed':
    case 'step.failed':
    case 'step.decided':
    case 'condition.evaluated':
    case 'timer.fired':
      turn.state.recoveries = 0
      return applyToStep(turn, event, stepAt(turn, event.path))
    case 'execution.scheduled':
      turn.state.startAt = event.data.startAt
      if (event.data.parent !== undefined) turn.state.parent = event.data.parent
      return
    case 'execution.queued':
      return joinLine(turn, '', event.data)
    case 'slot.granted':
      return control.slotGranted(turn, event.path, event.data.ticket)
    case 'slot.refused':
      return control.slotRefused(turn, event.path, event.data)
    case 'execution.started':
      return control.start(turn)
    case 'execution.recovered':
      turn.state.recoveries += 1
      return
    case 'execution.parked':
      turn.state.status = 'waiting'
      return
    case 'execution.released':
    case 'control.refused':
    case 'execution.quarantined':
      return
    case 'execution.pause_requested':
      turn.state.requested = 'pause'
      turn.state.pauseRequest = event.data
      return
    case 'execution.paused':
      return control.pause(turn)
    case 'execution.resumed':
      return control.resume(turn)
    case 'execution.cancelled':
      return control.cancelExecution(turn)
    case 'execution.retried':
      return control.retry(turn)
    case 'execution.compensating':
      return control.compensate(turn, event.data)
    case 'execution.rolled_back':
      return control.rollBack(turn, event.data)
    case 'execution.completed':
      return control.completeExecution(turn, event.data)
    case 'execution.failing':
      return failComposite(turn, turn.plan.root, turn.state.steps.get('')!, event.data.error)
    case 'execution.failed':
      return control.failExecution(turn, event.data.error)
    case 'child.ended':
      return childEnded(turn, event.data.executionId)
    case 'signal.received':
      turn.state.mailbox.push({ ...event.data.signal, seq: event.seq })
      if (!isFinished(turn.state.status)) lookAgain(turn, event.data.signal.name)
      return
    default:
      return assertNever(event)
  }
}

type StepEvent = Extract<Event, { readonly path: string }>

function applyToStep(turn: Turn, event: StepEvent, step: StepState): void {
  const plan = planOf(turn.plan, step)
  switch (event.type) {
    case 'child.started':
      return subWorkflow.started(turn, plan as SubWorkflowPlan, step, event.data)
    case 'approval.requested':
      return approval.requested(turn, step, event.data)
    case 'approval.overdue':
      return approval.overdue(turn, plan as ApprovalPlan, step)
    case 'approval.decided':
      return approval.decidedBy(turn, plan as ApprovalPlan, step, event.data)
    case 'step.entered':
      step.entered = true
      return proceed(turn, plan, step)
    case 'step.queued':
      if (step.slot === undefined) step.status = 'waiting'
      return joinLine(turn, step.path, event.data)
    case 'step.skipped':
      return skipReached(turn, plan, step)
    case 'step.started':
      return action.perform(turn, step)
    case 'timer.fired':
      return action.perform(turn, step)
    case 'step.decided':
      delete step.deciding
      if (step.concluding) return conclude(turn, plan, step, event.data)
      return behaviourOf(plan).decided!(turn, plan, step, event.data)
    case 'condition.evaluated':
      return condition.branch(turn, plan as ConditionPlan, step, event.data.result)
    case 'step.completed':
      if (!plan.isAftermath) countLeaf(turn.state, plan)
      if (plan.compensation !== null) noteCompletion(turn, plan, step, event.data)
      if (!plan.isAftermath) markCheckpoint(turn, plan, step)
      return completeLeaf(turn, plan, step, event.data)
    case 'step.failed':
      if (plan.type === 'action') return action.failAttempt(turn, plan, step, event.data)
      behaviourOf(plan).failed?.(turn, step, event.data)
      return failComposite(turn, plan, step, event.data.error)
    default:
      return assertNever(event)
  }
}

function stepAt(turn: Turn, path: string): StepState {
  const step = turn.state.steps.get(path)
  if (step === undefined) throw new Error(`no step was reached at "${path}"`)
  return step
}

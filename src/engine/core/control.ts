import type { Json } from '../../definition/json.ts'
import type { ApprovalPlan } from '../../definition/plan.ts'
import { cancelAftermath, ending, forgetAftermath, undo } from './aftermath.ts'
import { supersede } from './approvals.ts'
import { forgetCheckpointsBefore, keepCheckpoints } from './checkpoint.ts'
import { doubtAll, letAllGo, questionsTo, regrouped, tellAll } from './children.ts'
import { resolve } from './data.ts'
import type { Compensating, ExecutionError, Refusal, RolledBack, SlotRefused } from './event.ts'
import { pending } from './pending.ts'
import {
  askForLost,
  beforeStart,
  concurrencyLimit,
  concurrencyTimeout,
  giveBack,
  holderAt,
  isAwaited,
  loseAll,
  mustRegain,
  refuse,
  regained,
  regroupedSlots,
  take,
} from './slots.ts'
import { type ExecutionState, isFinished } from './state.ts'
import { askAnew } from './steps/approval.ts'
import { askAgain, cancel, fail, failComposite, isOpen, proceed, proceedPending, reach, restart } from './steps/step.ts'
import { giveUpDeadline, resetTimers, setDeadline, shiftTimes, stopDeadline, stopTimers } from './timeouts.ts'
import { isPaused, planOf, type Turn } from './turn.ts'

/*
 * An execution and its ways:
 *
 *   pending ──started──▶ running ◀──▶ waiting (parked: nothing due soon, nobody holds it in memory)
 *      │                  │   ▲
 *      └────▶ paused ◀────┘   │ resumed
 *                │            │
 *                └────────────┘
 *   running ──▶ completed | failed;  any of the first four ──▶ cancelled
 *   failed ──retried──▶ running;  all but pending ──rolled_back──▶ paused | running
 */

export function start(turn: Turn): void {
  const { state, plan } = turn
  state.status = 'running'
  state.startedAt = turn.at
  state.startAt = null
  setDeadline(turn, plan.timeoutMs)
  reach(turn, plan.root, '', '')
}

/** No attempt runs any more. Timeouts stand still until `resume`; a retry that comes due meanwhile acts then. */
export function pause(turn: Turn): void {
  const { state } = turn
  state.status = 'paused'
  state.requested = null
  state.pauseRequest = null
  state.pausedAt = turn.at
  stopDeadline(turn)
  stopTimers(turn)
  tellAll(turn, 'pause')
}

/** Goes on from the exact point; also takes back a pause that has not taken effect yet. */
export function resume(turn: Turn): void {
  const { state } = turn
  const wasPaused = state.status === 'paused'
  state.requested = null
  state.pauseRequest = null
  state.status = state.startedAt === null ? 'pending' : 'running'
  if (state.startedAt === null) return void turn.commands.push(...beforeStart(state))
  if (wasPaused) {
    setDeadline(turn, state.timeoutLeftMs)
    tellAll(turn, 'resume')
  }
  if (!mustRegain(turn, 'resume')) goOn(turn)
}

function goOn(turn: Turn): void {
  const { state } = turn
  resetTimers(turn)
  state.pausedAt = null
  askAgain(turn)
  turn.commands.push(...questionsTo(state))
  proceedPending(turn)
  // Paused between the end of the last step and the end of the execution.
  const end = ending(state)
  if (end !== null) turn.commands.push(end)
}

export function cancelExecution(turn: Turn): void {
  finish(turn, 'cancelled')
}

export function failExecution(turn: Turn, error: ExecutionError): void {
  turn.state.error = error
  finish(turn, 'failed')
}

/** `output` is there when the workflow defines one; otherwise it is the `data` at the end of the root. */
export function completeExecution(turn: Turn, data: { readonly output?: Json }): void {
  const { state, plan } = turn
  const root = state.steps.get('')!
  const end = root.frame?.type === 'sequence' ? root.frame.data : ''
  state.output = data.output !== undefined ? data.output : resolve(plan, state, end)
  finish(turn, 'completed')
  state.percentage = 100
}

function finish(turn: Turn, status: 'completed' | 'failed' | 'cancelled'): void {
  const { state, plan } = turn
  cancel(turn, plan.root, '')
  cancelAftermath(turn)
  letAllGo(turn)
  if (state.slot !== undefined) giveBack(turn, '')
  delete state.regaining
  state.status = status
  state.requested = null
  state.pauseRequest = null
  state.completedAt = turn.at
  giveUpDeadline(turn)
}

/** A failed execution goes on from the step that failed, a quarantined one from where it stood; its timeout begins anew. */
export function retry(turn: Turn): void {
  const { state } = turn
  state.recoveries = 0
  state.requested = null
  state.pauseRequest = null
  reopen(state, 'running')
  doubtAll(state)
  loseAll(turn)
  if (!mustRegain(turn, 'retry')) tryAgain(turn)
}

function tryAgain(turn: Turn): void {
  const { state, plan } = turn
  // Quarantined in the midst of it: that goes on.
  if (state.aftermath !== undefined && state.aftermath.phase !== 'over')
    return void turn.commands.push(...pending(plan, state))
  forgetAftermath(turn)
  setDeadline(turn, plan.timeoutMs)
  const root = state.steps.get('')
  if (root === undefined) start(turn)
  else if (root.status === 'failed' || root.status === 'cancelled') restart(turn, plan.root, '')
  else turn.commands.push(...pending(plan, state))
}

/** A rollback that compensates: first that is done, in the state as it is. */
export function compensate(turn: Turn, event: Compensating): void {
  const { state } = turn
  state.recoveries = 0
  state.requested = null
  state.pauseRequest = null
  state.pausedAt = null
  reopen(state, 'running')
  undo(turn, event)
}

/**
 * The state is the one at the checkpoint, folded anew. What was in flight there begins again, at_most_once too: a
 * rollback is an order. Due times and timeouts keep the rest that they had.
 */
export function rollBack(turn: Turn, event: RolledBack): void {
  const { state } = turn
  state.generation = event.generation
  state.requested = null
  state.pauseRequest = null
  state.mailbox.push(...event.kept)
  if (event.keptCheckpoints !== undefined) keepCheckpoints(state, event.keptCheckpoints)
  if (event.oldestIndex !== undefined) forgetCheckpointsBefore(state, event.oldestIndex)
  state.recoveries = 0
  state.runningAttempts = 0
  regroupedSlots(turn, event.slots)
  for (const step of [...state.steps.values()]) {
    const isAsked = step.approval !== undefined && isOpen(step)
    if (isAsked) askAnew(turn, planOf(turn.plan, step) as ApprovalPlan, step)
    const inFlight = isAsked || (step.status === 'running' && step.frame === undefined)
    if (!inFlight) continue
    step.status = 'pending'
    delete step.deciding
    delete step.child
    step.attempt = 0
    step.startedAt = null
    step.firstStartedAt = null
    delete step.error
  }
  supersede(turn, event.approvals ?? [])
  if (event.children !== undefined) regrouped(turn, event.children)
  shiftTimes(turn)
  reopen(state, 'paused')
  state.pausedAt = turn.at
  if (event.resume) resume(turn)
  else tellAll(turn, 'pause')
}

function reopen(state: ExecutionState, status: 'running' | 'paused'): void {
  state.status = status
  state.completedAt = null
  state.error = null
  state.output = null
}

/** A slot that was waited for is there; one that nobody waits for any more was given back. */
export function slotGranted(turn: Turn, path = '', ticket = 0): void {
  const { state } = turn
  const slot = take(turn, path, ticket)
  if (slot === null) return
  if (slot.regains !== true) {
    const step = path === '' ? undefined : state.steps.get(path)!
    // An execution that has not started does so as soon as it is due.
    if (step === undefined) return
    step.status = 'pending'
    return proceed(turn, planOf(turn.plan, step), step)
  }
  const then = regained(state, slot)
  if (then === 'resume') return goOn(turn)
  if (then !== 'retry') return askForLost(turn)
  state.pausedAt = null
  tryAgain(turn)
}

/** Its place in line is gone already, or it has waited there for long enough. */
export function slotRefused(turn: Turn, path = '', refused: SlotRefused): void {
  const { ticket, outcome, timeoutMs } = refused
  const { state } = turn
  if (!isAwaited(state, path, ticket)) return
  const slot = holderAt(state, path)!.slot!
  const error =
    timeoutMs === undefined ? concurrencyLimit(path, refused, slot) : concurrencyTimeout(path, timeoutMs, slot)
  if (outcome === 'cancel') return void turn.commands.push({ type: 'cancel', reason: error.message })
  const step = state.steps.get(path)
  if (path === '' || step === undefined) {
    refuse(turn, slot, error)
    if (!isPaused(state)) turn.commands.push(...beforeStart(state))
    return
  }
  const plan = planOf(turn.plan, step)
  if (plan.type === 'action') fail(turn, plan, step, error)
  else failComposite(turn, plan, step, error)
}

/** Why a request cannot be met in the present status, or null when it can. A rollback's checkpoint is looked up apart. */
export function refusalOf(state: ExecutionState, action: ControlAction): Refusal | null {
  if (action === 'retry' && state.compensatedFrom !== undefined && state.aftermath?.phase === 'over')
    return { action, code: 'EXECUTION_COMPENSATED', parameters: [state.executionId, state.compensatedFrom] }
  if (isAllowed(state, action)) {
    // Its parent has gone on with what it came to.
    if (!isFinished(state.status) || state.parent?.isAwaited !== true) return null
    return { action, code: 'CHILD_RESULT_TAKEN', parameters: [state.executionId, state.parent.executionId, action] }
  }
  const status = state.requested === 'pause' ? `${state.status} (a pause is under way)` : state.status
  return { action, code: 'EXECUTION_STATUS_CONFLICT', parameters: [state.executionId, status, action] }
}

export const controlActions = ['pause', 'resume', 'cancel', 'retry', 'rollback'] as const
export type ControlAction = (typeof controlActions)[number]

function isAllowed(state: ExecutionState, action: ControlAction): boolean {
  switch (action) {
    case 'pause':
      return state.requested === null && !isFinished(state.status) && state.status !== 'paused'
    case 'resume':
      return state.status === 'paused' || state.requested === 'pause'
    case 'cancel':
      return !isFinished(state.status)
    case 'retry':
      return state.status === 'failed'
    case 'rollback':
      return state.startedAt !== null
  }
}

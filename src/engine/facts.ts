import type { Plan } from '../definition/plan.ts'
import type { ExecutionRow } from '../repository/execution-row.ts'
import { hasAftermath } from './core/aftermath.ts'
import type { Command } from './core/command.ts'
import type { ExecutionError, Fact } from './core/event.ts'
import { holderAt, isQueued } from './core/slots.ts'
import { type ExecutionState, isFinished } from './core/state.ts'
import { behaviourOf, type Deciding } from './core/steps/behaviour.ts'
import { assertNever, isHeld, planOf } from './core/turn.ts'
import { errorFact, identified } from './error-fact.ts'
import { evaluate } from './evaluate.ts'
import { queuedFact } from './queueing.ts'
import type { Bounds } from './result.ts'

/** What goes beside the events of the execution, or is looked up for it. */
export type Accompanying = Extract<Command, { type: (typeof accompanying)[number] }>

const accompanying = ['look_up', 'tell_child', 'ask_child', 'list_approval', 'ask_slot', 'release_slot'] as const
const accompanyingTypes: ReadonlySet<string> = new Set(accompanying)

export const isAccompanying = (command: Command): command is Accompanying => accompanyingTypes.has(command.type)

/** What is answered by a fact, from the state alone. */
export type Answered = Exclude<
  Command,
  { type: 'perform' | 'abort' | 'set_timer' | 'clear_timer' | 'roll_back' } | Accompanying
>

/** The fact that answers a command without an effect on the world, or null when the step has moved on. */
export function answerTo(
  command: Answered,
  { plan, row }: { readonly plan: Plan; readonly row: ExecutionRow },
  state: ExecutionState,
  bounds: Bounds,
  ids: Deciding['ids'],
): Fact | null {
  switch (command.type) {
    case 'evaluate_when':
    case 'decide':
    case 'complete':
      return evaluate(plan, state, row, command, bounds, ids)
    case 'queue':
      return queuedFact(plan, state, row, command.path)
    case 'fail':
      return failedFact(command)
    case 'cancel':
      return isFinished(state.status) ? null : { type: 'execution.cancelled', data: { reason: command.reason } }
    case 'pause':
      return { type: 'execution.paused', data: { ...state.pauseRequest } }
    case 'mark_started':
      return { type: 'step.started', path: command.path, attempt: command.attempt, data: {} }
    case 'interrupt': {
      const { path, attempt } = command
      const error = errorFact(
        'StepInterrupted',
        'its node died while it was under way; nobody knows whether it happened',
        path,
        attempt,
      )
      return { type: 'step.failed', path, attempt, data: { error, retryAt: null } }
    }
    default:
      return assertNever(command)
  }
}

/** It answers the request that led to it, if one did. */
export const failedFact = ({ error, requestId }: Extract<Command, { type: 'fail' }>): Fact => ({
  type: 'execution.failed',
  data: { error, ...(requestId !== undefined && { requestId }) },
})

/** The start of an execution that has not started and is due, or its place in the line that it waits in; null otherwise. */
export function startFact(plan: Plan, state: ExecutionState, row: ExecutionRow, now: number): Fact | null {
  const { status, requested, startAt, slot } = state
  if (status !== 'pending' || requested !== null || (startAt !== null && startAt > now)) return null
  if (plan.slot !== null && slot?.isHeld !== true) return slot === undefined ? queuedFact(plan, state, row, '') : null
  const { traceparent } = row
  return { type: 'execution.started', data: traceparent === null ? {} : { traceparent } }
}

/** The fact that a due timer stands for, or null: while paused nothing new begins, `resume` sets the timer again. */
export function timerFact(
  timer: Extract<Command, { type: 'set_timer' }>,
  plan: Plan,
  state: ExecutionState,
): Fact | null {
  const { path } = timer
  if (timer.timer === 'execution_timeout') {
    const open = [...state.steps.values()].findLast((step) => step.status === 'running' || step.status === 'waiting')
    const error = timeoutError('execution', plan.timeoutMs)
    const type = hasAftermath(plan, state) ? 'execution.failing' : 'execution.failed'
    return { type, data: { error: open === undefined ? error : { ...error, stepPath: open.path } } }
  }
  if (timer.timer === 'slot') return isHeld(state) ? null : waitedTooLong(state, path)
  const step = state.steps.get(path)
  if (step === undefined) return null
  if (timer.timer === 'retry') {
    if (isHeld(state) || step.status !== 'waiting') return null
    return { type: 'timer.fired', path, attempt: step.attempt + 1, data: { timer: 'retry' } }
  }
  if (timer.timer === 'wait') {
    const stepPlan = planOf(plan, step)
    const fact = isHeld(state) || step.status !== 'waiting' ? null : behaviourOf(stepPlan).due!(stepPlan, step)
    return fact?.type === 'step.failed' ? identified(fact) : fact
  }
  if (step.status !== 'running') return null
  const error = { ...timeoutError('step', planOf(plan, step).timeoutMs), stepPath: path }
  return { type: 'step.failed', path, data: { error, retryAt: null } }
}

function waitedTooLong(state: ExecutionState, path: string): Fact | null {
  const slot = holderAt(state, path)?.slot
  if (!isQueued(slot) || slot.dueAt === undefined) return null
  const { ticket, limit } = slot
  const data = { ticket, holders: [], limit, outcome: 'fail', timeoutMs: slot.dueAt - slot.since } as const
  return { type: 'slot.refused', ...(path !== '' && { path }), data }
}

const timeoutError = (what: string, timeoutMs: number | null): ExecutionError =>
  errorFact('TimeoutError', `the ${what} took longer than ${timeoutMs} ms`)

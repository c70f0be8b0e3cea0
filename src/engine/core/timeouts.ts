import type { StepPlan } from '../../definition/plan.ts'
import { slotTimers, stopSlotTimers } from './slots.ts'
import { behaviourOf } from './steps/behaviour.ts'
import { planOf, type Turn } from './turn.ts'

/** The execution's timeout begins, or goes on with the rest that it had. */
export function setDeadline(turn: Turn, leftMs: number | null): void {
  const { state } = turn
  state.timeoutLeftMs = null
  state.deadline = leftMs === null ? null : turn.at + leftMs
  if (state.deadline !== null) {
    turn.commands.push({ type: 'set_timer', timer: 'execution_timeout', path: '', dueAt: state.deadline })
  }
}

/** The execution's timeout stands still. */
export function stopDeadline(turn: Turn): void {
  const { state } = turn
  if (state.deadline === null) return
  state.timeoutLeftMs = Math.max(0, state.deadline - turn.at)
  state.deadline = null
  turn.commands.push({ type: 'clear_timer', timer: 'execution_timeout', path: '' })
}

/** The execution's timeout is over or counts no more. */
export function giveUpDeadline(turn: Turn): void {
  stopDeadline(turn)
  turn.state.timeoutLeftMs = null
}

/** The steps' timers are taken down; their due times stay in the state. */
export function stopTimers(turn: Turn): void {
  for (const step of turn.state.steps.values()) {
    if (step.dueAt !== null)
      turn.commands.push({ type: 'clear_timer', timer: timerOf(planOf(turn.plan, step)), path: step.path })
  }
  stopSlotTimers(turn)
}

/** After a pause: composites get back the time that it took; what waits keeps its due time and acts at once when that is past. */
export function resetTimers(turn: Turn): void {
  const { state } = turn
  const pausedMs = state.pausedAt === null ? 0 : turn.at - state.pausedAt
  for (const step of state.steps.values()) {
    if (step.dueAt === null) continue
    if (step.frame !== undefined) step.dueAt += pausedMs
    turn.commands.push({
      type: 'set_timer',
      timer: timerOf(planOf(turn.plan, step)),
      path: step.path,
      dueAt: step.dueAt,
    })
  }
  turn.commands.push(...slotTimers(state))
}

/** A rollback brings back an old state: its times move by as much as has passed since it was the present one. */
export function shiftTimes(turn: Turn): void {
  const { state, elapsedMs } = turn
  if (state.deadline !== null) {
    state.timeoutLeftMs = state.deadline - (turn.at - elapsedMs)
    state.deadline = null
  }
  for (const step of state.steps.values()) {
    if (step.dueAt !== null) step.dueAt += elapsedMs
    if (step.status === 'waiting' && step.firstStartedAt !== null) step.firstStartedAt += elapsedMs
  }
}

/** What `dueAt` of a step means: an action waits for its retry, some leaves wait for what they are; the others time out. */
export function timerOf(plan: StepPlan): 'retry' | 'wait' | 'step_timeout' {
  if (plan.type === 'action') return 'retry'
  return behaviourOf(plan).due === undefined ? 'step_timeout' : 'wait'
}

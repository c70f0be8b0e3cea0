import type { Plan } from '../../definition/plan.ts'
import { ending } from './aftermath.ts'
import { questionsTo } from './children.ts'
import type { Command } from './command.ts'
import { beforeStart, slotTimers, unasked } from './slots.ts'
import { type ExecutionState, isFinished, type StepState } from './state.ts'
import { isUndecided, needsSlot, questionOf } from './steps/step.ts'
import { timerOf } from './timeouts.ts'
import { isHeld, planOf } from './turn.ts'

/**
 * Everything that must be under way, from the state alone: recovery, hand-over and waking issue it again. An at_most_once
 * attempt that was under way is not performed again: `interrupt` says so.
 */
export function pending(plan: Plan, state: ExecutionState): readonly Command[] {
  if (isFinished(state.status) || state.status === 'paused') return []
  if (state.startedAt === null) return beforeStart(state)
  const commands: Command[] = []
  if (state.deadline !== null) {
    commands.push({ type: 'set_timer', timer: 'execution_timeout', path: '', dueAt: state.deadline })
  }
  if (state.regaining !== undefined) {
    for (const path of unasked(state)) commands.push({ type: 'queue', path })
  } else {
    for (const step of state.steps.values()) addStep(plan, state, step, commands)
    commands.push(...slotTimers(state), ...questionsTo(state))
  }
  const end = state.regaining === undefined ? ending(state) : null
  if (end !== null) commands.push(end)
  if (state.requested === 'pause' && state.runningAttempts === 0) commands.push({ type: 'pause' })
  return commands
}

function addStep(plan: Plan, state: ExecutionState, step: StepState, commands: Command[]): void {
  const stepPlan = planOf(plan, step)
  const { path } = step
  if (step.dueAt !== null) commands.push({ type: 'set_timer', timer: timerOf(stepPlan), path, dueAt: step.dueAt })
  if (step.status === 'pending' && !isHeld(state)) {
    if (stepPlan.when !== null && !step.entered) commands.push({ type: 'evaluate_when', path })
    else if (needsSlot(stepPlan, step)) commands.push({ type: 'queue', path })
    else commands.push({ type: 'mark_started', path, attempt: 1 })
  }
  if (step.status !== 'running') return
  if (isUndecided(stepPlan, step)) commands.push(questionOf(stepPlan, step))
  if (stepPlan.type !== 'action') return
  const attempt = step.attempt
  if (stepPlan.delivery === 'at_most_once') commands.push({ type: 'interrupt', path, attempt })
  else commands.push({ type: 'perform', path, attempt })
}

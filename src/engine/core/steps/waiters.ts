import type { StepPlan } from '../../../definition/plan.ts'
import type { ExecutionState, StepState } from '../state.ts'
import { isHeld, planOf, type Turn } from '../turn.ts'
import { askToDecide, isOpen } from './step.ts'

// Steps that listen to signals: who they are, and when they look into the mailbox again.

/** The step looks into the mailbox whenever a signal comes that it may take. */
export function listen(turn: Turn, { path }: StepState): void {
  turn.state.waiters = [...openWaiters(turn.state).filter((other) => other !== path), path]
}

export function listenNoMore(turn: Turn, { path }: StepState): void {
  turn.state.waiters = openWaiters(turn.state).filter((other) => other !== path)
}

/** A signal of that name came, or one was taken. */
export function lookAgain(turn: Turn, name: string): void {
  for (const path of openWaiters(turn.state)) {
    const step = turn.state.steps.get(path)!
    if (!isFor(planOf(turn.plan, step), name)) continue
    // While the execution is held it takes none; `resume` asks again.
    if (isHeld(turn.state)) step.deciding = true
    else askToDecide(turn, step)
  }
}

function isFor(plan: StepPlan, name: string): boolean {
  if (plan.type === 'wait_for_signal') return plan.signal === name
  return plan.type === 'foreach' && (plan.grow?.signal === name || plan.grow?.end === name)
}

const openWaiters = ({ waiters, steps }: ExecutionState): string[] =>
  (waiters ?? []).filter((path) => {
    const step = steps.get(path)
    return step !== undefined && isOpen(step)
  })

import type { Json, JsonObject } from '../../../definition/json.ts'
import type { WaitForSignalPlan } from '../../../definition/plan.ts'
import type { Fact } from '../event.ts'
import { narrowed } from '../scope.ts'
import type { ExecutionState, StepState } from '../state.ts'
import type { Turn } from '../turn.ts'
import type { Deciding } from './behaviour.ts'
import { durationOf, durationText, shown } from './duration.ts'
import { askToDecide, complete, failure } from './step.ts'
import { listen, listenNoMore, lookAgain } from './waiters.ts'

/*
 * running (is the signal here already?) ──▶ completed
 *    └──▶ waiting ──a signal of that name came, or another waiter took one: is it here now?──▶ completed
 *            └──its time is over──▶ failed | completed with null
 */
export function begin(turn: Turn, { transient }: WaitForSignalPlan, step: StepState): void {
  step.entered = true
  if (transient) step.since = turn.state.seq
  listen(turn, step)
  askToDecide(turn, step)
}

export const isUndecided = (step: StepState): boolean => step.deciding === true

/** Takes the oldest signal that fits, of those that came since it began when it is transient; without one it waits. Null: it waits already. */
export function decide({ stepPlan, state, step, scope }: Deciding): Fact | null {
  const { signal: wanted, correlation, payloadFaults, patience } = stepPlan as WaitForSignalPlan
  const { path } = step
  const taken = state.mailbox.find(({ name, payload, seq }) => {
    if (name !== wanted || (seq ?? 0) <= (step.since ?? -1)) return false
    if (payloadFaults !== null && payloadFaults(payload).length > 0) return false
    const signal: JsonObject = { name, payload }
    return correlation === null || Boolean(correlation.evaluate(narrowed(scope, { locals: { signal } })))
  })
  if (taken !== undefined) {
    const meta = { signalId: taken.id, receivedAt: taken.at }
    return { type: 'step.completed', path, data: { output: taken.payload, meta } }
  }
  if (step.status === 'waiting') return null
  if (patience === null) return { type: 'step.decided', path, data: { dueAt: null } }
  const given = patience.render(scope)
  const waitMs = durationOf(given)
  if (waitMs === null)
    return failure(path, 'ValidationError', `timeoutMs must be ${durationText}, and is ${shown(given)}`)
  return { type: 'step.decided', path, data: { dueAt: state.at + waitMs } }
}

export function decided(turn: Turn, _plan: WaitForSignalPlan, step: StepState, data: JsonObject): void {
  step.status = 'waiting'
  step.dueAt = data.dueAt as number | null
  if (step.dueAt !== null) turn.commands.push({ type: 'set_timer', timer: 'wait', path: step.path, dueAt: step.dueAt })
}

/** The signal leaves the mailbox. Who had set an eye on the same one looks again. */
export function completed(turn: Turn, plan: WaitForSignalPlan, step: StepState): void {
  const { state } = turn
  const taken = step.meta?.signalId
  state.mailbox = state.mailbox.filter(({ id }) => id !== taken)
  listenNoMore(turn, step)
  if (taken !== undefined) lookAgain(turn, plan.signal)
  complete(turn, plan, step)
}

/** Whether the signal that an answer took is still there: of two that looked at once the first one has it. */
export const isThere = (state: ExecutionState, signalId: Json | undefined): boolean =>
  signalId === undefined || state.mailbox.some(({ id }) => id === signalId)

export function due(plan: WaitForSignalPlan, { path }: StepState): Fact {
  if (plan.onTimeout === 'continue')
    return { type: 'step.completed', path, data: { output: null, meta: { timedOut: true } } }
  return failure(path, 'TimeoutError', `the signal "${plan.signal}" did not come in time`)
}

import type { ActionPlan, Plan } from '../../src/definition/plan.ts'
import type { Command } from '../../src/engine/core/command.ts'
import type { JournalEvent, RolledBack } from '../../src/engine/core/event.ts'
import { effectiveRanges, eventOf, fold } from '../../src/engine/core/fold.ts'
import { pending } from '../../src/engine/core/pending.ts'
import { createState, type ExecutionState, idempotencyKeyOf } from '../../src/engine/core/state.ts'
import { transition } from '../../src/engine/core/transition.ts'
import type { ExecutionRow } from '../../src/repository/execution-row.ts'
import type { Entry } from './ledger.ts'

/** An execution and all that is known of it when it is over. */
export interface Evidence {
  readonly plan: Plan
  readonly execution: Pick<ExecutionRow, 'id' | 'format' | 'input'>
  readonly history: readonly JournalEvent[]
  /** What the ledger heard of it. */
  readonly entries: readonly Entry[]
}

/**
 * What the world saw against what the journal says; empty when nothing was lost and nothing done that was not ordered:
 *
 * - seq has no hole;
 * - a step that was completed is not completed again, unless a rollback went back behind it;
 * - an attempt was performed at most as often as events of the journal ordered it: the one that began it, and each takeover
 *   that found it under way. So neither a completed step nor an at_most_once one can have been performed again;
 * - what was at_most_once was performed at most once for each `step.started`;
 * - what is on record as completed was performed.
 */
export function violationsOf({ plan, execution, history, entries }: Evidence): string[] {
  const violations: string[] = []
  const say = (text: string): void => void violations.push(`${execution.id}: ${text}`)
  history.forEach(({ seq }, index) => {
    if (seq !== index + 1) say(`seq ${seq} stands where ${index + 1} should`)
  })
  const ordered = new Tally()
  const started = new Tally()
  const performed = new Tally()
  const performedOnce = new Tally()
  for (const { key, attempt, path } of entries) {
    performed.add(attemptOf(key, attempt))
    if (isOnce(plan, path)) performedOnce.add(key)
  }
  let state = newState(plan, execution)
  const order = (commands: readonly Command[]): void => {
    for (const command of commands)
      if (command.type === 'perform') ordered.add(attemptOf(idempotencyKeyOf(state, command.path), command.attempt))
  }
  for (const event of history) {
    if (event.type === 'execution.quarantined') {
      Object.assign(state, { seq: event.seq, status: 'failed', requested: null })
      continue
    }
    if (event.type === 'execution.rolled_back') {
      state = stateAt(plan, execution, history, event)
    } else if (event.type === 'step.completed') {
      const { path, attempt } = event
      if (state.steps.get(path!)?.status === 'completed') say(`${path} is completed again at seq ${event.seq}`)
      const key = idempotencyKeyOf(state, path!)
      if (isLedger(plan, path!) && !performed.has(attemptOf(key, attempt ?? 1)))
        say(`${attemptOf(key, attempt ?? 1)} is on record as completed but was never performed`)
    }
    order(transition(plan, state, eventOf(event)))
    if (event.type === 'step.started') started.add(idempotencyKeyOf(state, event.path!))
    // Whoever takes it over begins anew what was under way.
    if (event.type === 'execution.recovered' || event.type === 'execution.released') order(pending(plan, state))
  }
  for (const [name, times] of performed)
    if (times > ordered.of(name)) say(`${name} was performed ${times} times, ordered ${ordered.of(name)} times`)
  for (const [key, times] of performedOnce)
    if (times > started.of(key)) say(`${key}, at_most_once, was performed ${times} times for ${started.of(key)} starts`)
  return violations
}

class Tally extends Map<string, number> {
  add(name: string): void {
    this.set(name, this.of(name) + 1)
  }
  of(name: string): number {
    return this.get(name) ?? 0
  }
}

const attemptOf = (key: string, attempt: number): string => `${key} attempt ${attempt}`
const stepOf = (plan: Plan, path: string) => plan.steps.get(path.slice(path.lastIndexOf('.') + 1))
const isLedger = (plan: Plan, path: string): boolean =>
  (stepOf(plan, path) as ActionPlan | undefined)?.action === 'ledger'
const isOnce = (plan: Plan, path: string): boolean =>
  (stepOf(plan, path) as ActionPlan | undefined)?.delivery === 'at_most_once'

const newState = (plan: Plan, { id: executionId, format, input }: Evidence['execution']): ExecutionState =>
  createState({ executionId, format, input, variables: plan.variables })

/** The state at the checkpoint that a rollback went back to, ready for the rollback itself. */
function stateAt(
  plan: Plan,
  execution: Evidence['execution'],
  history: readonly JournalEvent[],
  rollback: JournalEvent,
): ExecutionState {
  const { toSeq } = rollback.data as unknown as RolledBack
  const earlier = history
    .filter(({ type, seq }) => type === 'execution.rolled_back' && seq <= toSeq)
    .map(({ seq, data }) => ({ seq, toSeq: (data as unknown as RolledBack).toSeq }))
  const ranges = effectiveRanges(earlier, toSeq)
  const events = history.filter(({ seq }) => ranges.some(([from, to]) => from <= seq && seq <= to))
  const state = fold(plan, newState(plan, execution), events)
  state.seq = rollback.seq - 1
  return state
}

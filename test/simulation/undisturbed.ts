import { randomUUID } from 'node:crypto'
import type { ActionPlan, Plan, SubWorkflowPlan } from '../../src/definition/plan.ts'
import { ActionError, failureOf } from '../../src/engine/actions/action.ts'
import { type ChildEnd, childFact } from '../../src/engine/child-end.ts'
import type { Command } from '../../src/engine/core/command.ts'
import { dataOf } from '../../src/engine/core/data.ts'
import type { Event, ExecutionError, Fact } from '../../src/engine/core/event.ts'
import { isMoot } from '../../src/engine/core/moot.ts'
import { nextRetryAt } from '../../src/engine/core/retry.ts'
import { StepScope } from '../../src/engine/core/scope.ts'
import { createState, type ExecutionState, isFinished } from '../../src/engine/core/state.ts'
import { transition } from '../../src/engine/core/transition.ts'
import { planOf } from '../../src/engine/core/turn.ts'
import { answerTo, timerFact } from '../../src/engine/facts.ts'
import type { ExecutionRow } from '../../src/repository/execution-row.ts'
import { type Script, scripted } from './effects.ts'

/** The plan of the active workflow of that name. */
export type Named = (workflow: string) => Plan

/**
 * What becomes of an execution that nothing disturbs: the core alone, every attempt answered at once by its script. Those
 * at_most_once steps that the disturbed run had to give up (`interrupted`) fail here too.
 */
export function undisturbed(
  plan: Plan,
  row: ExecutionRow,
  interrupted: ReadonlySet<string>,
  named: Named,
): ExecutionState {
  const state = createState({
    executionId: row.id,
    format: row.format,
    input: row.input,
    variables: plan.variables,
  })
  const facts: Fact[] = [{ type: 'execution.started', data: {} }]
  const ends = new Map<string, ChildEnd>()
  for (let fact = facts.shift(); fact !== undefined && !isFinished(state.status); fact = facts.shift()) {
    if (isMoot(state, fact)) continue
    const event = { ...fact, seq: state.seq + 1, at: state.at + 1 } as Event
    for (const command of transition(plan, state, event)) {
      const answer =
        command.type === 'look_up'
          ? childOf(plan, state, command.path, row, named, ends)
          : answerOf(command, plan, state, row, interrupted)
      if (answer !== null) facts.push(answer)
    }
    if (event.type === 'child.started') facts.push(childFact(ends.get(event.data.executionId)!, state))
  }
  return state
}

/** Its child runs undisturbed too, to its end, before its parent goes on. */
function childOf(
  plan: Plan,
  state: ExecutionState,
  path: string,
  row: ExecutionRow,
  named: Named,
  ends: Map<string, ChildEnd>,
): Fact {
  const step = state.steps.get(path)!
  const stepPlan = planOf(plan, step) as SubWorkflowPlan
  const input = stepPlan.input?.render(new StepScope(plan, state, step, infoOf(state))) ?? dataOf(plan, state, step)
  const executionId = `child ${ends.size}`
  const childRow = { ...row, id: executionId, format: 2, input: input ?? null }
  const { status, output, error } = undisturbed(named(stepPlan.workflow), childRow, new Set(), named)
  const how = status === 'completed' ? { output } : { error: error! }
  ends.set(executionId, { executionId, status: status as ChildEnd['status'], ...how })
  return { type: 'child.started', path, data: { executionId, workflowId: '', workflowVersion: 1 } }
}

function answerOf(
  command: Exclude<Command, { type: 'look_up' }>,
  plan: Plan,
  state: ExecutionState,
  row: ExecutionRow,
  interrupted: ReadonlySet<string>,
): Fact | null {
  switch (command.type) {
    case 'perform':
      return attemptOf(command, plan, state, interrupted)
    case 'set_timer': {
      if (command.timer === 'wait') return timerFact(command, plan, state)
      if (command.timer !== 'retry') return null
      const { attempt } = state.steps.get(command.path)!
      return { type: 'timer.fired', path: command.path, attempt: attempt + 1, data: { timer: 'retry' } }
    }
    case 'ask_slot':
      return { type: 'slot.granted', path: command.path, data: { ticket: command.ticket } }
    case 'tell_child':
    case 'ask_child':
    case 'list_approval':
    case 'abort':
    case 'clear_timer':
    case 'roll_back':
    case 'release_slot':
      return null
    default:
      return answerTo(command, { plan, row }, state, unbounded, ids)
  }
}

function attemptOf(
  { path, attempt }: Extract<Command, { type: 'perform' }>,
  plan: Plan,
  state: ExecutionState,
  interrupted: ReadonlySet<string>,
): Fact | null {
  const step = state.steps.get(path)!
  if (step.status !== 'running' || step.attempt !== attempt) return null
  const { config, retry, timeoutMs } = planOf(plan, step) as ActionPlan
  try {
    if (interrupted.has(path)) throw new ActionError('StepInterrupted', 'as in the disturbed run', { retryable: false })
    const script = config.render(new StepScope(plan, state, step, infoOf(state))) as unknown as Script
    const isSlow = script.outcomes[Math.min(attempt, script.outcomes.length) - 1] === 'slow'
    if (isSlow && timeoutMs !== null) throw new ActionError('TimeoutError', 'too slow')
    return { type: 'step.completed', path, attempt, data: { output: scripted(script, path, attempt).output } }
  } catch (thrown) {
    const error: ExecutionError = { ...failureOf(thrown), stepPath: path, attempt }
    const failure = { error, attempt, firstStartedAt: state.at, at: state.at, seed: '' }
    return {
      type: 'step.failed',
      path,
      attempt,
      data: { error, retryAt: nextRetryAt(retry, failure, new StepScope(plan, state, step, infoOf(state))) },
    }
  }
}

const unbounded = { maxBytes: Number.POSITIVE_INFINITY, roomFor: () => Number.POSITIVE_INFINITY }

/** Nothing goes by the ids that are made here. */
const ids = { newId: () => randomUUID() }

const infoOf = (state: ExecutionState) => ({
  id: state.executionId,
  workflowId: '',
  correlationId: null,
  triggeredBy: null,
  startedAt: null,
})

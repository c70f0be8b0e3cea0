import type { ActionPlan, Plan } from '../../src/definition/plan.ts'
import { ActionError, failureOf } from '../../src/engine/actions/action.ts'
import type { Command } from '../../src/engine/core/command.ts'
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

/**
 * What becomes of an execution that nothing disturbs: the core alone, every attempt answered at once by its script. Those
 * at_most_once steps that the disturbed run had to give up (`interrupted`) fail here too.
 */
export function undisturbed(plan: Plan, row: ExecutionRow, interrupted: ReadonlySet<string>): ExecutionState {
  const state = createState({
    executionId: row.id,
    format: row.format,
    input: row.input,
    variables: plan.variables,
  })
  const facts: Fact[] = [{ type: 'execution.started', data: {} }]
  for (let fact = facts.shift(); fact !== undefined && !isFinished(state.status); fact = facts.shift()) {
    if (isMoot(state, fact)) continue
    const event = { ...fact, seq: state.seq + 1, at: state.at + 1 } as Event
    for (const command of transition(plan, state, event)) {
      const answer = answerOf(command, plan, state, row, interrupted)
      if (answer !== null) facts.push(answer)
    }
  }
  return state
}

function answerOf(
  command: Command,
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
    // The simulation's definitions have no sub-workflows.
    case 'look_up':
    case 'tell_child':
    case 'abort':
    case 'clear_timer':
    case 'roll_back':
      return null
    default:
      return answerTo(command, plan, state, row, unbounded)
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

const infoOf = (state: ExecutionState) => ({
  id: state.executionId,
  workflowId: '',
  correlationId: null,
  triggeredBy: null,
  startedAt: null,
})

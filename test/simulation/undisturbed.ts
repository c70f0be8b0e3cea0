import { randomUUID } from 'node:crypto'
import type { ActionPlan, EmitPlan, Plan, SubWorkflowPlan, WaitForSignalPlan } from '../../src/definition/plan.ts'
import { ActionError, failureOf } from '../../src/engine/actions/action.ts'
import { type ChildEnd, childFact } from '../../src/engine/child-end.ts'
import type { Command } from '../../src/engine/core/command.ts'
import { dataOf } from '../../src/engine/core/data.ts'
import type { ApprovalRequest, Event, ExecutionError, Fact } from '../../src/engine/core/event.ts'
import { isMoot } from '../../src/engine/core/moot.ts'
import { nextRetryAt } from '../../src/engine/core/retry.ts'
import { StepScope } from '../../src/engine/core/scope.ts'
import { createState, type ExecutionState, isFinished } from '../../src/engine/core/state.ts'
import { transition } from '../../src/engine/core/transition.ts'
import { planOf } from '../../src/engine/core/turn.ts'
import { answerTo, timerFact } from '../../src/engine/facts.ts'
import type { ExecutionRow } from '../../src/repository/execution-row.ts'
import { type Script, scripted } from './effects.ts'
import { news, said } from './sayings.ts'

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
  const next = (): Fact | undefined => facts.shift() ?? missingSignal(plan, state)
  for (let fact = next(); fact !== undefined && !isFinished(state.status); fact = next()) {
    if (isMoot(state, fact)) continue
    const event = { ...fact, seq: state.seq + 1, at: state.at + 1 } as Event
    for (const command of transition(plan, state, event)) {
      const answer =
        command.type === 'look_up'
          ? foundBy(command.path, plan, state, row, named, ends)
          : [answerOf(command, plan, state, row, interrupted)]
      for (const one of answer) if (one !== null) facts.push(one)
    }
    if (event.type === 'child.started') facts.push(childFact(ends.get(event.data.executionId)!, state))
    if (event.type === 'approval.requested') facts.push(decided(event.path, event.data))
  }
  return state
}

/** Somebody decides at once, as they are told to. */
function decided(path: string, { approvalId, title }: ApprovalRequest): Fact {
  const { decision, data } = said(title, 0)
  return {
    type: 'approval.decided',
    path,
    data: { approvalId, decision: decision === 'approve' ? 'approved' : 'rejected', data, by: null, comment: null },
  }
}

/** What somebody tells an execution that goes on no further without it. */
function missingSignal(plan: Plan, state: ExecutionState): Fact | undefined {
  if (isFinished(state.status)) return undefined
  const waiting = [...state.steps.values()].find(
    (step) => step.status === 'waiting' && planOf(plan, step).type === 'wait_for_signal',
  )
  if (waiting === undefined) return undefined
  const { signal } = planOf(plan, waiting) as WaitForSignalPlan
  return heard(signal, state)
}

const heard = (name: string, { seq, at }: ExecutionState): Fact => ({
  type: 'signal.received',
  data: { signal: { id: `signal ${seq}`, name, payload: news('a', ''), at } },
})

function foundBy(
  path: string,
  plan: Plan,
  state: ExecutionState,
  row: ExecutionRow,
  named: Named,
  ends: Map<string, ChildEnd>,
): Fact[] {
  const step = state.steps.get(path)!
  const stepPlan = planOf(plan, step)
  if (stepPlan.type === 'sub_workflow') return [childOf(plan, state, path, row, named, ends)]
  const { signal, addressedBy } = stepPlan as EmitPlan
  const name = signal.render(new StepScope(plan, state, step, infoOf(state))) as string
  const sent: Fact = { type: 'step.completed', path, data: { output: { delivered: 1 } } }
  return addressedBy.includes('executionId') ? [sent, heard(name, state)] : [sent]
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
      // Deadlines are far away.
      const isWait = command.timer === 'wait' && planOf(plan, state.steps.get(command.path)!).type === 'wait'
      if (isWait) return timerFact(command, plan, state)
      if (command.timer !== 'retry') return null
      const { attempt } = state.steps.get(command.path)!
      return { type: 'timer.fired', path: command.path, attempt: attempt + 1, data: { timer: 'retry' } }
    }
    case 'ask_slot':
      return {
        type: 'slot.granted',
        ...(command.path !== '' && { path: command.path }),
        data: { ticket: command.ticket },
      }
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
})

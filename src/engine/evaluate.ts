import { ExpressionError } from '../definition/expression.ts'
import type { Json } from '../definition/json.ts'
import type { ConditionPlan, Plan } from '../definition/plan.ts'
import type { Command } from './core/command.ts'
import type { ExecutionError, Fact } from './core/event.ts'
import { type ExecutionInfo, StepScope } from './core/scope.ts'
import type { ExecutionState, StepState } from './core/state.ts'
import { planOf } from './core/turn.ts'
import { errorFact } from './error-fact.ts'

/** The fact that answers an evaluation, or null when the step has moved on meanwhile. */
export function evaluate(
  plan: Plan,
  state: ExecutionState,
  info: ExecutionInfo,
  command: Extract<Command, { type: 'evaluate_when' | 'evaluate_condition' | 'complete' }>,
): Fact | null {
  if (command.type === 'complete') return evaluateOutput(plan, state, info)
  const step = state.steps.get(command.path)
  if (step === undefined) return null
  const scope = new StepScope(plan, state, step, info)
  try {
    return command.type === 'evaluate_when' ? evaluateWhen(plan, step, scope) : evaluateCondition(plan, step, scope)
  } catch (thrown) {
    return { type: 'step.failed', path: step.path, data: { error: errorOf(thrown, step), retryAt: null } }
  }
}

function evaluateWhen(plan: Plan, step: StepState, scope: StepScope): Fact | null {
  if (step.status !== 'pending' || step.entered) return null
  const { path } = step
  if (planOf(plan, step).when!.evaluate(scope)) return { type: 'step.entered', path, data: {} }
  return { type: 'step.skipped', path, data: { reason: 'when' } }
}

function evaluateCondition(plan: Plan, step: StepState, scope: StepScope): Fact | null {
  if (step.status !== 'running' || step.frame !== undefined) return null
  const condition = planOf(plan, step) as ConditionPlan
  const { path } = step
  const result = Boolean(condition.condition.evaluate(scope))
  if (condition.branches !== null) return { type: 'condition.evaluated', path, data: { result } }
  if (result || condition.onFalse !== 'fail') return { type: 'step.completed', path, data: { output: result } }
  const error = errorFact('ConditionNotMet', `the condition is false: ${condition.condition.source}`, path)
  return { type: 'step.failed', path, data: { error, retryAt: null } }
}

function evaluateOutput(plan: Plan, state: ExecutionState, info: ExecutionInfo): Fact {
  if (plan.output === null) return { type: 'execution.completed', data: {} }
  try {
    const output: Json = plan.output.render(new StepScope(plan, state, null, info)) ?? null
    return { type: 'execution.completed', data: { output } }
  } catch (thrown) {
    return { type: 'execution.failed', data: { error: errorOf(thrown, null) } }
  }
}

/** An expression that fails is the step's failure; anything else is a bug, for the executor to quarantine. */
function errorOf(thrown: unknown, step: StepState | null): ExecutionError {
  if (!(thrown instanceof ExpressionError)) throw thrown
  return errorFact('ExpressionError', thrown.message, step?.path)
}

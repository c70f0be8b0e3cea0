import { ExpressionError } from '../definition/expression.ts'
import type { Json } from '../definition/json.ts'
import type { Plan } from '../definition/plan.ts'
import { ActionError } from './actions/action.ts'
import { hasAftermath } from './core/aftermath.ts'
import type { Command } from './core/command.ts'
import type { ExecutionError, Fact } from './core/event.ts'
import { type ExecutionInfo, StepScope } from './core/scope.ts'
import type { ExecutionState, StepState } from './core/state.ts'
import { behaviourOf, type Deciding } from './core/steps/behaviour.ts'
import { decideOutcome } from './core/steps/outcome.ts'
import { isOpen, isUndecided } from './core/steps/step.ts'
import { planOf } from './core/turn.ts'
import { errorFact, identified } from './error-fact.ts'
import { type Bounds, checkDecision } from './result.ts'

/** The fact that answers an evaluation, or null when the step has moved on meanwhile. */
export function evaluate(
  plan: Plan,
  state: ExecutionState,
  info: ExecutionInfo,
  command: Extract<Command, { type: 'evaluate_when' | 'decide' | 'complete' }>,
  bounds: Bounds,
  ids: Deciding['ids'],
): Fact | null {
  if (command.type === 'complete') return evaluateOutput(plan, state, info)
  const step = state.steps.get(command.path)
  if (step === undefined) return null
  const scope = new StepScope(plan, state, step, info)
  try {
    if (command.type === 'evaluate_when') return evaluateWhen(plan, step, scope)
    return decide({ plan, stepPlan: planOf(plan, step), state, step, scope, ids }, bounds)
  } catch (thrown) {
    return { type: 'step.failed', path: step.path, data: { error: stepError(thrown, step), retryAt: null } }
  }
}

function evaluateWhen(plan: Plan, step: StepState, scope: StepScope): Fact | null {
  if (step.status !== 'pending' || step.entered) return null
  const { path } = step
  if (planOf(plan, step).when!.evaluate(scope)) return { type: 'step.entered', path, data: {} }
  return { type: 'step.skipped', path, data: { reason: 'when' } }
}

function decide(place: Deciding, bounds: Bounds): Fact | null {
  const { stepPlan, step } = place
  if (!isOpen(step) || !isUndecided(stepPlan, step)) return null
  const fact = step.concluding ? decideOutcome(place) : behaviourOf(stepPlan).decide!(place)
  if (fact?.type === 'step.failed') return identified(fact)
  if (fact !== null) checkDecision(fact.data as Json, bounds)
  return fact
}

function evaluateOutput(plan: Plan, state: ExecutionState, info: ExecutionInfo): Fact {
  const given = state.steps.get('')?.output
  if (given !== undefined) return { type: 'execution.completed', data: { output: given } }
  if (plan.output === null) return { type: 'execution.completed', data: {} }
  try {
    const output: Json = plan.output.render(new StepScope(plan, state, null, info)) ?? null
    return { type: 'execution.completed', data: { output } }
  } catch (thrown) {
    return {
      type: hasAftermath(plan, state) ? 'execution.failing' : 'execution.failed',
      data: { error: stepError(thrown, null) },
    }
  }
}

/** An expression that fails, or whose value is too large, is the step's failure; anything else is a bug, for the executor to quarantine. */
export function stepError(thrown: unknown, step: StepState | null): ExecutionError {
  if (thrown instanceof ActionError) return errorFact(thrown.type, thrown.message, step?.path)
  if (!(thrown instanceof ExpressionError)) throw thrown
  return errorFact('ExpressionError', thrown.message, step?.path)
}

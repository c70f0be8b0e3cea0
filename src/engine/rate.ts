import type { ActionPlan } from '../definition/plan.ts'
import { MOST_CALLS, type RateLimitPlan } from '../definition/rate-limit.ts'
import { LONGEST_KEY } from '../definition/slot.ts'
import type { ExecutionRow } from '../repository/execution-row.ts'
import { ActionError } from './actions/action.ts'
import type { StepScope } from './core/scope.ts'
import { shown } from './core/steps/duration.ts'
import { ownScope, textOf } from './queueing.ts'
import type { Rate } from './rate-limits.ts'

/** The key and the rate that an attempt asks by. ValidationError, ExpressionError. */
export function rateOf(
  plan: Pick<ActionPlan, 'id'>,
  { scope, key, limit: limitTemplate, periodMs, burst }: RateLimitPlan,
  row: Pick<ExecutionRow, 'namespace' | 'workflowId'>,
  names: StepScope,
): Rate {
  const text = key === null ? '' : textOf(key.render(names))
  if (text === null) {
    const message = `the key of a rate limit must be text of at most ${LONGEST_KEY} characters`
    throw new ActionError('ValidationError', message)
  }
  const limit = limitTemplate.render(names)
  if (typeof limit !== 'number' || !Number.isInteger(limit) || limit < 1 || limit > MOST_CALLS) {
    const message = `the limit of a rate limit must be a whole number from 1 to ${MOST_CALLS}, and is ${shown(limit)}`
    throw new ActionError('ValidationError', message)
  }
  // A scope of an earlier release may be no Unicode, and PostgreSQL answers with what it stored; a key that is none was refused.
  const name = { scope: (scope ?? ownScope(row, plan)).toWellFormed(), key: text }
  return { namespace: row.namespace, ...name, limit, periodMs, burst }
}

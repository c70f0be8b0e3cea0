import { ExpressionError } from '../definition/expression.ts'
import type { Json } from '../definition/json.ts'
import type { Plan, StepPlan } from '../definition/plan.ts'
import { LONGEST_KEY, type SlotPlan } from '../definition/slot.ts'
import { isStorable } from '../definition/stored-text.ts'
import type { ExecutionError, Fact, Queued } from './core/event.ts'
import { type ExecutionInfo, StepScope } from './core/scope.ts'
import { holderAt } from './core/slots.ts'
import { type ExecutionState, parentPath } from './core/state.ts'
import { shown } from './core/steps/duration.ts'
import { planOf } from './core/turn.ts'
import { errorFact } from './error-fact.ts'

/** The highest limit: a line of holders that each asking counts. */
const MOST_HOLDERS = 10_000

/** What a step asks for before it begins, or with the path '' the execution before it starts; null when it has moved on. */
export function queuedFact(plan: Plan, state: ExecutionState, info: ExecutionInfo, path: string): Fact | null {
  const step = path === '' ? null : state.steps.get(path)
  if (step === undefined) return null
  const owner = step === null ? plan : planOf(plan, step)
  const slotPlan = owner.slot
  if (slotPlan === null) return null
  const found = wanted(plan, state, info, path, slotPlan)
  if ('type' in found) return refusal(path, found)
  if (step === null) return { type: 'execution.queued', data: found }
  return { type: 'step.queued', path, data: found }
}

const refusal = (path: string, error: ExecutionError): Fact =>
  path === ''
    ? { type: 'execution.failed', data: { error } }
    : { type: 'step.failed', path, data: { error, retryAt: null } }

function wanted(
  plan: Plan,
  state: ExecutionState,
  info: ExecutionInfo,
  path: string,
  slotPlan: SlotPlan,
): Queued | ExecutionError {
  const present = holderAt(state, path)?.slot
  // What it held already it waits for, however long that takes.
  if (present?.regains === true && present.scope !== '') {
    const { scope, key, limit } = present
    return { scope, key, limit, onLimit: 'queue' }
  }
  const step = path === '' ? null : state.steps.get(path)!
  try {
    const scope = new StepScope(plan, state, step, info)
    const key = slotPlan.key === null ? '' : textOf(slotPlan.key.render(scope))
    if (key === null)
      return errorFact('ValidationError', `the key of a slot must be text of at most ${LONGEST_KEY} characters`, path)
    const limit = slotPlan.limit.render(scope)
    if (typeof limit !== 'number' || !Number.isInteger(limit) || limit < 1 || limit > MOST_HOLDERS) {
      const what = `the limit of a slot must be a whole number from 1 to ${MOST_HOLDERS}, and is ${shown(limit)}`
      return errorFact('ValidationError', what, path)
    }
    const name = { scope: slotPlan.scope ?? ownScope(info, step && planOf(plan, step)), key }
    if (present === undefined && heldAbove(state, path, name) >= limit)
      return errorFact(
        'ConcurrencyDeadlock',
        `it stands within a step that holds "${key}", and would wait for itself`,
        path,
      )
    // What must be had again is waited for, however long that takes.
    if (present !== undefined) return { ...name, limit, onLimit: 'queue' }
    const { onLimit, waitTimeoutMs } = slotPlan
    return { ...name, limit, onLimit, ...(waitTimeoutMs !== null && { waitTimeoutMs }) }
  } catch (thrown) {
    if (!(thrown instanceof ExpressionError)) throw thrown
    return errorFact('ExpressionError', thrown.message, path)
  }
}

/** Without a name to share, a key is the workflow's own, or the step's, in all versions. */
export const ownScope = (
  { workflowId }: Pick<ExecutionInfo, 'workflowId'>,
  plan: Pick<StepPlan, 'id'> | null,
): string => (plan === null ? `workflow:${workflowId}` : `step:${workflowId}/${plan.id}`)

/** A key as text; null when it is none, or too long. */
export function textOf(value: Json | undefined): string | null {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (typeof value !== 'string' || value.length > LONGEST_KEY || !isStorable(value)) return null
  return value
}

/** Slots of the key that the steps around hold, and the execution itself. */
function heldAbove(state: ExecutionState, path: string, { scope, key }: Pick<Queued, 'scope' | 'key'>): number {
  let count = 0
  for (let at = path; at !== ''; ) {
    at = parentPath(at)
    const slot = holderAt(state, at)?.slot
    if (slot !== undefined && slot.scope === scope && slot.key === key) count += 1
  }
  return count
}

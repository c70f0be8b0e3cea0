import type { Json } from '../definition/json.ts'
import type { Plan, SubWorkflowPlan } from '../definition/plan.ts'
import { CairnError } from '../errors.ts'
import { childrenOf, DEEPEST, MOST_CHILDREN } from './core/children.ts'
import { dataOf } from './core/data.ts'
import type { ExecutionError } from './core/event.ts'
import { StepScope } from './core/scope.ts'
import type { StepState } from './core/state.ts'
import { errorFact } from './error-fact.ts'
import { stepError } from './evaluate.ts'
import { type Finding, isWorthAsking, type LookUp, type Seeker } from './look-up.ts'
import { pendingRow } from './pending-row.ts'
import { scheduled } from './scheduled.ts'

/** The format that brought sub-workflows. */
const CHILD_FORMAT = 2

/**
 * Which workflow a step starts: answers with `child.started`, whose append brings the child's row and first event, or
 * `step.failed`.
 */
export const childStart: LookUp<SubWorkflowPlan> = async (seeker, plan, step) => {
  const { row, services } = seeker
  try {
    const found = await services.plans.forStartNamed(row.namespace, plan.workflow, plan.version ?? undefined)
    return () => childOf(seeker, plan, step, found)
  } catch (thrown) {
    if (!(thrown instanceof CairnError) || isWorthAsking(thrown)) throw thrown
    return () => failed(step, errorFact('SubWorkflowUnavailable', thrown.message, step.path))
  }
}

function childOf(
  seeker: Seeker,
  plan: SubWorkflowPlan,
  step: StepState,
  found: { workflowId: string; version: number; plan: Plan },
): Finding {
  const { path } = step
  const { row: parentRow, services } = seeker
  const state = seeker.state()
  const depth = (state.parent?.depth ?? 0) + 1
  if (depth > DEEPEST)
    return failed(step, errorFact('SubWorkflowDepthExceeded', `sub-workflows nest at most ${DEEPEST} deep`, path))
  if (Object.keys(childrenOf(state)).length >= MOST_CHILDREN)
    return failed(step, errorFact('TooManyChildren', `an execution has at most ${MOST_CHILDREN} live children`, path))
  const input = inputOf(seeker, plan, step, found.plan)
  if ('error' in input) return failed(step, input.error)
  const { namespace, triggeredBy, correlationId, traceparent, priority } = parentRow
  const { workflowId, version: workflowVersion } = found
  const row = pendingRow(services.clock, {
    ...{ namespace, workflowId, workflowVersion, triggeredBy, correlationId, traceparent, priority },
    // A node of an older release would run it, and not tell the parent.
    format: Math.max(CHILD_FORMAT, found.plan.format),
    input: input.value,
    parentExecutionId: parentRow.id,
  })
  const start = scheduled(row, services.clock, {
    executionId: parentRow.id,
    path,
    depth,
    isAwaited: plan.mode === 'wait',
  })
  const data = { executionId: row.id, workflowId, workflowVersion }
  return { fact: { type: 'child.started', path, data }, accompany: (draft) => draft.start(start) }
}

function inputOf(
  { row, plan: parentPlan, services, state: present }: Seeker,
  plan: SubWorkflowPlan,
  step: StepState,
  childPlan: Plan,
): { value: Json } | { error: ExecutionError } {
  const state = present()
  const { path } = step
  const { maxPayloadBytes } = services.limits
  try {
    const scope = new StepScope(parentPlan, state, step, row)
    const value = (plan.input === null ? dataOf(parentPlan, state, step) : plan.input.render(scope)) ?? null
    const bytes = Buffer.byteLength(JSON.stringify(value))
    if (bytes > maxPayloadBytes) {
      const message = `the child's input is ${bytes} bytes; at most ${maxPayloadBytes} are taken`
      return { error: errorFact('PayloadTooLarge', message, path) }
    }
    const faults = childPlan.inputFaults(value)
    if (faults.length === 0) return { value }
    const error = errorFact('ValidationError', `the input does not fit the inputSchema of "${plan.workflow}"`, path)
    return { error: { ...error, details: { faults: faults as unknown as Json } } }
  } catch (thrown) {
    return { error: stepError(thrown, step) }
  }
}

const failed = ({ path }: StepState, error: ExecutionError): Finding => ({
  fact: { type: 'step.failed', path, data: { error, retryAt: null } },
})

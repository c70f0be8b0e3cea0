import type { Json } from '../../../src/definition/json.ts'
import {
  type Action,
  type ActionContext,
  ActionError,
  type ActionResult,
  failureOf,
} from '../../../src/engine/actions/action.ts'
import { ActionRegistry } from '../../../src/engine/actions/registry.ts'

/** The context of an attempt that nothing disturbs. */
export function contextOf(overrides: Partial<ActionContext> = {}): ActionContext {
  return {
    executionId: '01990000-0000-7000-8000-000000000001',
    workflowId: '01990000-0000-7000-8000-000000000002',
    path: 'step',
    stepId: 'step',
    attempt: 1,
    idempotencyKey: '01990000-0000-7000-8000-000000000001/0/step',
    correlationId: 'correlation-1',
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    data: null,
    signal: new AbortController().signal,
    log: { debug() {}, info() {}, warn() {} },
    mayPerform() {},
    ...overrides,
  }
}

/** Makes an attempt the way the executor does: the rendered config is checked first. */
export async function attempt(
  action: Action,
  config: unknown,
  overrides?: Partial<ActionContext>,
): Promise<ActionResult> {
  const checked = new ActionRegistry([action]).validate(action.type, config)
  return action.perform(checked, contextOf(overrides))
}

/** The failure of an attempt that must fail, as the journal would record it. */
export async function failure(action: Action, config: unknown, overrides?: Partial<ActionContext>) {
  try {
    const result = await attempt(action, config, overrides)
    throw new Error(`it succeeded: ${JSON.stringify(result)}`)
  } catch (error) {
    if (!(error instanceof ActionError)) throw error
    return failureOf(error) as ReturnType<typeof failureOf> & { details?: { [key: string]: Json } }
  }
}

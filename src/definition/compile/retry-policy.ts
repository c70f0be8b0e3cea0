import type { Expression } from '../expression.ts'
import type { Json, JsonObject } from '../json.ts'
import { pointerTo } from '../json-pointer.ts'
import type { RetryPolicy } from '../plan.ts'
import type { RetryPolicy as RetryPolicyDefinition } from '../schema-fields.ts'
import type { Compilation, Draft } from './draft.ts'
import { compileAt } from './expression-at.ts'

/** A step without a policy has one attempt. */
export const noRetry: RetryPolicy = {
  maxAttempts: 1,
  initialIntervalMs: 500,
  backoffCoefficient: 2,
  maxIntervalMs: 60_000,
  jitter: 0.2,
  maxElapsedMs: null,
  retryOn: null,
  nonRetryable: [],
  when: null,
}

/** The policy of a step, or of the root, which is the workflow's; null when it has none, or none that could be one. */
export function compileRetryPolicy({ retryPolicy }: JsonObject, draft: Draft, all: Compilation): RetryPolicy | null {
  if (typeof retryPolicy !== 'object' || retryPolicy === null || Array.isArray(retryPolicy)) return null
  const pointer = pointerTo(pointerTo(draft.pointer, 'retryPolicy'), 'when')
  return retryPolicyOf(retryPolicy as RetryPolicyDefinition, whenOf(retryPolicy.when, pointer, draft, all))
}

function whenOf(source: Json | undefined, pointer: string, draft: Draft, all: Compilation): Expression | null {
  // What is no text, or empty, is refused with the other fields.
  if (typeof source !== 'string' || source === '') return null
  return compileAt(source, pointer, draft, all, [...draft.locals, 'error', 'attempt'])
}

/** A policy with its defaults. A first wait longer than the default cap raises the cap instead of being cut short by it. */
function retryPolicyOf(policy: RetryPolicyDefinition, when: Expression | null): RetryPolicy {
  const initialIntervalMs = policy.initialIntervalMs ?? 500
  return {
    maxAttempts: policy.maxAttempts ?? 5,
    initialIntervalMs,
    backoffCoefficient: policy.backoffCoefficient ?? 2,
    maxIntervalMs: policy.maxIntervalMs ?? Math.max(60_000, initialIntervalMs),
    jitter: policy.jitter ?? 0.2,
    maxElapsedMs: policy.maxElapsedMs === undefined ? 600_000 : policy.maxElapsedMs,
    retryOn: policy.retryOn ?? null,
    nonRetryable: policy.nonRetryable ?? [],
    when,
  }
}

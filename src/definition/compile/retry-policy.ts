import type { RetryPolicy } from '../plan.ts'
import type { RetryPolicy as RetryPolicyDefinition } from '../schema-fields.ts'

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
}

/** A policy with its defaults. A first wait longer than the default cap raises the cap instead of being cut short by it. */
export function retryPolicyOf(policy: RetryPolicyDefinition): RetryPolicy {
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
  }
}

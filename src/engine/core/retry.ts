import type { Scope } from '../../definition/expression.ts'
import type { Json } from '../../definition/json.ts'
import type { RetryPolicy } from '../../definition/plan.ts'
import type { ExecutionError } from './event.ts'
import { narrowed } from './scope.ts'

/**
 * When the next attempt is due, or null when the step has failed for good: its attempts are used up, its error is not one
 * to retry, or the budget `maxElapsedMs` would be over by then. Times are ms since 1970. A policy with `when` needs the step's
 * scope; it throws an ExpressionError when that cannot be evaluated.
 */
export function nextRetryAt(
  policy: RetryPolicy,
  failure: { error: ExecutionError; attempt: number; firstStartedAt: number; at: number; seed: string },
  scope: Scope | null = null,
): number | null {
  if (failure.attempt >= policy.maxAttempts || !isRetryable(policy, failure, scope)) return null
  const backoff = backoffMs(policy, failure.attempt, failure.seed)
  const dueAt = failure.at + Math.max(backoff, askedToWaitMs(failure.error))
  const budgetEnd = policy.maxElapsedMs === null ? Infinity : failure.firstStartedAt + policy.maxElapsedMs
  return dueAt < budgetEnd ? dueAt : null
}

/** How long the other side asked to be left alone (HTTP's Retry-After), ms. The budget bounds it, the policy's cap does not. */
function askedToWaitMs({ details }: ExecutionError): number {
  const asked = details?.retryAfterMs
  return typeof asked === 'number' && Number.isFinite(asked) ? asked : 0
}

/** `nonRetryable` decides first, then `retryOn`; what they let through, `when`; without either the error's own `retryable`. */
function isRetryable(
  { nonRetryable, retryOn, when }: RetryPolicy,
  { error, attempt }: { error: ExecutionError; attempt: number },
  scope: Scope | null,
): boolean {
  if (nonRetryable.includes(error.type) || (retryOn !== null && !retryOn.includes(error.type))) return false
  if (when === null) return retryOn !== null || (error.retryable ?? false)
  const locals = { error: error as unknown as Json, attempt }
  return Boolean(when.evaluate(narrowed(scope!, { locals })))
}

/**
 * Exponential backoff with a cap, then jitter: initialIntervalMs × backoffCoefficient^(attempt − 1), at most
 * maxIntervalMs, ± `jitter` of it. The seed makes the jitter the same at every replay.
 */
export function backoffMs(policy: RetryPolicy, attempt: number, seed: string): number {
  const interval = Math.min(policy.initialIntervalMs * policy.backoffCoefficient ** (attempt - 1), policy.maxIntervalMs)
  return Math.round(interval * (1 + policy.jitter * (2 * fraction(`${seed}/${attempt}`) - 1)))
}

/** FNV-1a (32 bit) of the text with a final avalanche (murmur3's), as a fraction 0..1: well spread and the same everywhere. */
function fraction(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0) / 0x1_0000_0000
}

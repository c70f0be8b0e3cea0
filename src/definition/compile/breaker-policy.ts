import type { JsonObject } from '../json.ts'
import type { BreakerPolicy } from '../plan.ts'
import type { CircuitBreaker } from '../schema-fields.ts'

/** A step's policy with its defaults, which hold for a step without one too. What does not fit the schema is a fault already. */
export function breakerPolicyOf({ circuitBreaker }: JsonObject): BreakerPolicy {
  const isObject = typeof circuitBreaker === 'object' && circuitBreaker !== null && !Array.isArray(circuitBreaker)
  const given = (isObject ? circuitBreaker : {}) as CircuitBreaker
  return {
    key: given.key ?? null,
    failureThreshold: given.failureThreshold ?? 5,
    windowMs: given.windowMs ?? 60_000,
    openMs: given.openMs ?? 30_000,
    onOpen: given.onOpen === 'fail' ? 'fail' : 'park',
  }
}

import type { JsonObject } from '../json.ts'
import { pointerTo } from '../json-pointer.ts'
import type { RateLimitPlan } from '../rate-limit.ts'
import type { RateLimit } from '../schema-fields.ts'
import { sharedScope } from '../slot.ts'
import type { Compilation, Draft } from './draft.ts'
import { templateAt } from './template-at.ts'

/** The `rateLimit` of an action; null without one. What does not fit the schema is a fault already. */
export function compileRateLimit({ rateLimit }: JsonObject, draft: Draft, all: Compilation): RateLimitPlan | null {
  if (typeof rateLimit !== 'object' || rateLimit === null || Array.isArray(rateLimit)) return null
  const given = rateLimit as Partial<RateLimit> & JsonObject
  const pointer = pointerTo(draft.pointer, 'rateLimit')
  return {
    scope: typeof given.scope === 'string' ? sharedScope(given.scope) : null,
    key: given.key === undefined ? null : templateAt(given.key, pointerTo(pointer, 'key'), draft, all),
    limit: templateAt(given.limit ?? 1, pointerTo(pointer, 'limit'), draft, all),
    periodMs: Number(given.periodMs),
    burst: given.burst ?? 1,
  }
}

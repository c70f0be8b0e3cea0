import type { Moment } from '../../../definition/compile/moment.ts'
import type { Scope } from '../../../definition/expression.ts'
import type { Json } from '../../../definition/json.ts'

/** Ten years in ms: longer is a mistake of unit. */
const LONGEST_MS = 10 * 365 * 24 * 3600 * 1000

/** What a template gave for a number of milliseconds; null when it is none. */
export const durationOf = (given: Json | undefined): number | null =>
  typeof given === 'number' && given >= 0 && given <= LONGEST_MS ? Math.ceil(given) : null

export const durationText = 'a number of milliseconds, 0 or more'

/** A value in a message. */
export const shown = (given: Json | undefined): string => (JSON.stringify(given) ?? 'undefined').slice(0, 100)

/** When a moment is, in ms since 1970; what is wrong with it when it is none. */
export function momentOf({ kind, value }: Moment, scope: Scope, now: number): number | string {
  const given = value.render(scope)
  const waitMs = durationOf(given)
  const dueAt = kind === 'until' ? timeOf(given) : waitMs === null ? Number.NaN : now + waitMs
  if (Number.isFinite(dueAt)) return dueAt
  const wanted = kind === 'durationMs' ? durationText : 'a time (RFC 3339, or ms since 1970)'
  return `${kind} must be ${wanted}, and is ${shown(given)}`
}

function timeOf(given: Json | undefined): number {
  const time = typeof given === 'number' ? given : typeof given === 'string' ? Date.parse(given) : Number.NaN
  return Math.abs(time) <= 8.64e15 ? Math.ceil(time) : Number.NaN
}

import type { Json } from '../../../definition/json.ts'

/** Ten years in ms: longer is a mistake of unit. */
const LONGEST_MS = 10 * 365 * 24 * 3600 * 1000

/** What a template gave for a number of milliseconds; null when it is none. */
export const durationOf = (given: Json | undefined): number | null =>
  typeof given === 'number' && given >= 0 && given <= LONGEST_MS ? Math.ceil(given) : null

export const durationText = 'a number of milliseconds, 0 or more'

/** A value in a message. */
export const shown = (given: Json | undefined): string => (JSON.stringify(given) ?? 'undefined').slice(0, 100)

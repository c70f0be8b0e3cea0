import type { Template } from './template.ts'

/** How many calls of the same key may begin in a time, in the whole cluster. */
export interface RateLimitPlan {
  /** Within which keys are the same: a name of the namespace. null: the step of its workflow alone. */
  readonly scope: string | null
  /** Renders to the key; null: all have the same. */
  readonly key: Template | null
  /** Renders to how many calls may begin within `periodMs`, evenly spread. */
  readonly limit: Template
  readonly periodMs: number
  /** How many may begin at once when none has for a while. */
  readonly burst: number
}

/** The highest limit and the largest burst. */
export const MOST_CALLS = 1_000_000
/** 31 days. */
export const LONGEST_PERIOD_MS = 31 * 24 * 3_600_000

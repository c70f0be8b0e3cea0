import type { Template } from './template.ts'

/**
 * What becomes of who asks for a slot when there is none: it waits; it fails; the oldest go, and it waits; its execution is
 * cancelled.
 */
export const onLimits = ['queue', 'reject', 'cancel_running', 'cancel_new'] as const
export type OnLimit = (typeof onLimits)[number]

/** What a step, or an execution, must have before it begins: one of `limit` slots of its key, in the whole cluster. */
export interface SlotPlan {
  /** Within which keys are the same: a name of the namespace. null: the workflow, or the step of it, alone. */
  readonly scope: string | null
  /** Renders to the key; null: all have the same. */
  readonly key: Template | null
  /** Renders to how many may hold it at once. */
  readonly limit: Template
  readonly onLimit: OnLimit
  /** How long it waits in line before it fails; null: for as long as it takes. */
  readonly waitTimeoutMs: number | null
}

/** A name that definitions share, apart from the scopes that have none. */
export const sharedScope = (name: string): string => `shared:${name}`

/** The longest key, in UTF-16 units. */
export const LONGEST_KEY = 200

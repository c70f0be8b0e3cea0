import type { Plan } from '../definition/plan.ts'
import { CairnError } from '../errors.ts'
import { classify } from '../repository/classify.ts'
import type { ExecutionRow } from '../repository/execution-row.ts'
import type { Fact } from './core/event.ts'
import type { ExecutionState, StepState } from './core/state.ts'
import type { Draft } from './draft.ts'
import type { Services } from './services.ts'

/** Who looks something up: an execution, as it stands when it is asked. */
export interface Seeker {
  readonly row: ExecutionRow
  readonly plan: Plan
  readonly services: Services
  state(): ExecutionState
}

/** What a look-up has found out. */
export interface Finding {
  readonly fact: Fact
  /** Puts what goes with the fact into the same append. */
  readonly accompany?: (draft: Draft) => void
}

/**
 * Asks the database what a step needs; then what that means for the step, to be called in the turn in which it is recorded. It
 * changes nothing, so whoever has the execution next makes it again.
 */
export type LookUp<StepPlan> = (seeker: Seeker, plan: StepPlan, step: StepState) => Promise<() => Finding>

const FIRST_WAIT_MS = 500
const LONGEST_WAIT_MS = 30_000

/** How long (ms) to wait before a database that has not answered so many times is asked again: 0.5 s to 30 s, less a random half. */
export function askAgainIn(failures: number, random: number): number {
  const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (failures - 1))
  return Math.ceil(longest * (1 - random / 2))
}

/** Whether asking again may help: the database could not answer. Anything else is a bug. */
export const isWorthAsking = (thrown: unknown): boolean =>
  thrown instanceof CairnError ? thrown.status === 503 : classify(thrown) === 'retry'

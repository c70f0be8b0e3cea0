import type { Plan, StepPlan } from '../../definition/plan.ts'
import { percentOf } from './counting.ts'
import { type ExecutionState, type ExecutionStatus, isFinished, parentPath } from './state.ts'
import { isOpen } from './steps/step.ts'

/** How far an execution has come that another one has started and not let go. */
export interface ChildProgress {
  /** The step that started it. */
  readonly path: string
  readonly executionId: string
  readonly status: ExecutionStatus
  /** 0..100, with the shares of its own children where they are known. */
  readonly percentage: number
  /** null: nobody knows. */
  readonly estimatedRemainingMs: number | null
}

/**
 * The percentage of an execution when each step that waits for a child counts as far as that has come: at least what its own
 * journal says, at most 99 until it has ended. It falls where a child's does, and when a child fails whose end is caught.
 */
export function percentageWith(plan: Plan, state: ExecutionState, children: readonly ChildProgress[]): number {
  if (isFinished(state.status) || children.length === 0) return state.percentage
  let whole = state.progress
  for (const { path, executionId, percentage } of children) {
    const step = state.steps.get(path)
    if (step?.child !== executionId || !isOpen(step)) continue
    whole += (shareOf(plan.steps.get(step.id)!, path, state) * percentage) / 100
  }
  return Math.max(state.percentage, percentOf(whole))
}

/** A step instance's share of the whole: of an item under way, its part of the item's; 0 where nobody knows how many there are. */
function shareOf(plan: StepPlan, path: string, state: ExecutionState): number {
  const { parent } = plan
  const isIteration = plan.type === 'sequential' && plan.body?.label === null
  if ((!plan.isRepeated && !isIteration) || parent === null) return plan.weight
  const around = parentPath(path)
  const share = shareOf(parent, around, state)
  if (!isIteration) return share / parent.children.length
  const frame = state.steps.get(around)?.frame
  return frame?.type === 'each' && frame.growth === undefined ? share / Math.max(1, frame.total) : 0
}

import type { ParallelPlan, StepPlan } from '../../definition/plan.ts'
import { type ExecutionState, labelOf, type StepState } from './state.ts'
import { instancePath, instancesOf, isOpen } from './steps/step.ts'

// What counts as done: each step of the definition once, by its weight for the percentage, by one for completedSteps.

/** Sums of binary fractions fall short of the whole by a few ulps: 100 steps of 1/100 must still make 99, then 100. */
const ROUNDING = 1e-9

/** A sum of shares as whole percent, rounded down; 100 is for what is completed. */
export const percentOf = (progress: number): number => Math.min(99, Math.floor(progress * 100 + ROUNDING))

/** Counts a step's share as done. */
export function addProgress(state: ExecutionState, weight: number): void {
  state.progress += weight
  state.percentage = Math.max(state.percentage, percentOf(state.progress))
}

/** A leaf counts once, whatever its iterations: so completedSteps is at most totalSteps, and falls after a rollback only. */
export function countLeaf(state: ExecutionState, { number, isRepeated }: StepPlan): void {
  if (state.counted?.[number]) return
  state.completedLeaves += 1
  if (isRepeated) markCounted(state, number)
}

/** The leaf may be completed once more. */
export function markCounted(state: ExecutionState, number: number): void {
  state.counted ??= {}
  state.counted[number] = true
}

/** A step that begins anew counts anew; the percentage stands still until that has come as far. O(its size). */
export function uncount(state: ExecutionState, plan: StepPlan, path: string): void {
  state.progress -= plan.weight - uncounted(state, plan, path)
}

/** Counts as done what a step and all within it have not counted: nobody waits for that any more. O(its size), once. */
export function addRemainder(state: ExecutionState, plan: StepPlan, path: string): void {
  addProgress(state, uncounted(state, plan, path))
}

function uncounted(state: ExecutionState, plan: StepPlan, path: string): number {
  const step = state.steps.get(path)
  if (step === undefined) return plan.weight
  if (step.status === 'skipped') return 0
  if (step.status === 'completed' && plan.type === 'parallel') return uncountedRest(state, plan, step)
  if (step.status === 'completed' && (step.runsOn !== true || isAlive(state, plan, step))) return 0
  if (step.frame?.type === 'each') {
    const { ended, total, growth } = step.frame
    // Without items it is counted when that is known.
    if (growth === undefined) return total === 0 ? 0 : plan.weight * (1 - ended / total)
    return plan.weight - growth.counted
  }
  if (plan.isLeaf || step.frame === undefined || step.frame.type === 'loop' || plan.children.length === 0)
    return plan.weight
  const open = plan.children.filter((child) => !isCounted(state, plan, step, child))
  return sum(open.map((child) => uncounted(state, child, instancePath(path, child))))
}

/** Those that have lost a race are counted already, and what failed in a try when a catch took it. */
function isCounted(state: ExecutionState, plan: StepPlan, { path, frame }: StepState, child: StepPlan): boolean {
  if (frame?.type === 'race') return frame.winner !== null && labelOf(child.id) !== frame.winner
  if (plan.type !== 'try' || child !== plan.steps) return false
  const statuses = plan.catches.map(({ body }) => state.steps.get(instancePath(path, body))?.status)
  return statuses.some((status) => status !== undefined && status !== 'skipped')
}

/** What runs on in a parallel that is completed, or in one that is within it; what failed there is counted. */
function uncountedRest(state: ExecutionState, plan: ParallelPlan, step: StepState): number {
  const isOver = step.runsOn === true && !isAlive(state, plan, step)
  const open = plan.children.filter((child) => {
    const status = state.steps.get(instancePath(step.path, child))?.status
    return status === 'completed' || (isOver && status !== 'failed')
  })
  return sum(open.map((child) => uncounted(state, child, instancePath(step.path, child))))
}

/** Whether what runs on has not been cancelled: then it counts by itself as it ends. */
function isAlive(state: ExecutionState, plan: StepPlan, step: StepState): boolean {
  for (const { path } of instancesOf(plan, step)) {
    const inside = state.steps.get(path)
    if (inside !== undefined && isOpen(inside)) return true
  }
  return false
}

const sum = (list: readonly number[]): number => list.reduce((total, weight) => total + weight, 0)

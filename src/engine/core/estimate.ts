import type { StepPlan } from '../../definition/plan.ts'
import type { ChildProgress } from './child-progress.ts'
import { isQueued } from './slots.ts'
import type { ExecutionState, StepState } from './state.ts'
import { instancePath } from './steps/step.ts'
import { assertNever } from './turn.ts'

/** Median duration (ms) of each step by id, from the workflow's own history. */
export type Medians = ReadonlyMap<string, number>

/** What an estimate is made from. */
export interface Known {
  readonly medians: Medians
  readonly now: number
  /** By the paths of the steps that started them. */
  readonly children: ReadonlyMap<string, ChildProgress>
}

/**
 * What is still to be done, by medians: a sequence adds up, a parallel takes its longest child but no less than all of them
 * divided by its concurrency, a race its shortest branch until it has chosen, a condition or switch takes the longest way until
 * it has chosen, a loop counts what is left of its items, or one more iteration where nobody knows. NaN when an action that may
 * still run has no history.
 */
export function remainingMs(plan: StepPlan, path: string, state: ExecutionState, known: Known): number {
  const { medians, now } = known
  const step = state.steps.get(path)
  if (path !== '' && step !== undefined && step.completedAt !== null) return 0
  if (isQueued(step?.slot)) return Number.NaN
  const each = plan.children.map((child) => remainingMs(child, instancePath(path, child), state, known))
  switch (plan.type) {
    case 'sequential':
    case 'critical_section':
    case 'while':
    case 'until':
      return sum(each)
    case 'parallel':
      return Math.max(0, ...each, sum(each) / plan.concurrency)
    case 'condition':
      return plan.branches === null ? 0 : longerBranch(plan.branches.then.length, each)
    case 'switch':
      return Math.max(0, ...each)
    case 'race': {
      const open = plan.children.filter((child) => isStillIn(state.steps.get(instancePath(path, child))))
      return open.length === 0 ? 0 : Math.min(...open.map((child) => each[plan.children.indexOf(child)]!))
    }
    case 'foreach': {
      const left = step?.frame?.type === 'each' ? step.frame.total - step.frame.ended : 1
      return Math.ceil(left / plan.concurrency) * sum(each)
    }
    case 'try':
      return sum(
        each.filter((_, index) => plan.children[index] === plan.steps || plan.children[index] === plan.finally),
      )
    case 'action': {
      // The clock of the node that began it may be ahead of this one's.
      const elapsed = step?.status === 'running' && step.startedAt !== null ? Math.max(0, now - step.startedAt) : 0
      return dueIn(step, now) + Math.max(0, (medians.get(plan.id) ?? Number.NaN) - elapsed)
    }
    // What it takes is for the child to say.
    case 'sub_workflow':
      return plan.mode === 'wait' ? (known.children.get(path)?.estimatedRemainingMs ?? Number.NaN) : 0
    case 'wait':
      return dueIn(step, now)
    // Nobody knows how long people take.
    case 'approval':
    case 'complete':
    case 'emit':
    case 'fail':
    case 'set':
    case 'wait_for_signal':
      return 0
    default:
      return assertNever(plan)
  }
}

/** Of a race: a branch that may win yet. */
const isStillIn = (branch: StepState | undefined): boolean => branch === undefined || branch.completedAt === null

const dueIn = (step: StepState | undefined, now: number): number =>
  step?.status === 'waiting' && step.dueAt !== null ? Math.max(0, step.dueAt - now) : 0

const sum = (list: readonly number[]): number => list.reduce((total, ms) => total + ms, 0)

function longerBranch(thenCount: number, each: readonly number[]): number {
  return Math.max(sum(each.slice(0, thenCount)), sum(each.slice(thenCount)))
}

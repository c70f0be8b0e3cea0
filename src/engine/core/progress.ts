import type { Plan, StepPlan } from '../../definition/plan.ts'
import { aftermathBodies } from './aftermath.ts'
import { shownStatus } from './approvals.ts'
import { type ChildProgress, percentageWith } from './child-progress.ts'
import { type Known, type Medians, remainingMs } from './estimate.ts'
import type { ExecutionError } from './event.ts'
import { isQueued, type QueuedFor, queuedFor } from './slots.ts'
import {
  type ExecutionState,
  type ExecutionStatus,
  isFinished,
  parentPath,
  type StepState,
  type StepStatus,
} from './state.ts'
import type { Instance } from './steps/behaviour.ts'
import { instancePath, instancesOf, isOpen } from './steps/step.ts'

/** One step of the list, whether it was reached or not. Times are ms since 1970, durations ms. */
export interface StepProgress {
  readonly path: string
  readonly id: string
  readonly name: string
  readonly type: StepPlan['type']
  readonly status: StepStatus
  readonly attempt: number
  readonly startedAt: number | null
  readonly completedAt: number | null
  readonly durationMs: number | null
  readonly error: ExecutionError | null
  /** The approval that it has asked for last. */
  readonly approvalId?: string
  /** What it waits for before it begins; left out when it does not. */
  readonly queued?: QueuedFor
}

/** How far an execution has come, as of `lastSeq`. */
export interface Progress {
  readonly executionId: string
  readonly status: ExecutionStatus
  readonly requested: ExecutionState['requested']
  readonly currentStep: {
    readonly id: string
    readonly name: string
    readonly path: string
    readonly number: number
  } | null
  readonly completedSteps: number
  readonly totalSteps: number
  readonly percentage: number
  readonly estimatedRemainingMs: number | null
  readonly estimatedCompletionAt: number | null
  readonly steps: readonly StepProgress[]
  /** The executions that it has started and not let go, when they were asked for. */
  readonly children?: readonly ChildProgress[]
  /** What the execution itself waits for; left out when it does not. */
  readonly queued?: QueuedFor
  readonly startedAt: number | null
  readonly updatedAt: number
  readonly lastSeq: number
}

/**
 * Renders the state for people: every step of the definition in its order, reached or not. O(definition). With `children` the steps
 * that wait for them count as far as they have come.
 */
export function progressOf(
  plan: Plan,
  state: ExecutionState,
  medians: Medians,
  now: number,
  children?: readonly ChildProgress[],
): Progress {
  const steps: StepProgress[] = []
  let current: Instance | null = null
  let beside: Instance | null = null
  const show: Visitor = (instance, reached, inherited) => {
    steps.push(stepProgress(state, instance, reached, inherited))
    if (reached === undefined || !isOpen(reached)) return
    // An approval that waits is a leaf, whatever its deadline would bring about.
    if (instance.plan.children.length > 0 && reached.status !== 'waiting') return
    // What runs on after a join is current only when nothing else is.
    if (runsOnBeside(state, reached)) beside ??= instance
    else current ??= instance
  }
  visit(state, plan.root, '', 'pending', show)
  for (const body of aftermathBodies(plan, state)) visit(state, body.plan, body.path, 'pending', show)
  const active = isFinished(state.status) ? null : ((current ?? beside) as Instance | null)
  // Nobody knows how long compensations take.
  const isOver = isFinished(state.status) || state.aftermath !== undefined || isQueued(state.slot)
  const known: Known = { medians, now, children: new Map(children?.map((child) => [child.path, child])) }
  const left = isOver ? Number.NaN : remainingMs(plan.root, '', state, known)
  const delay = state.startAt === null ? 0 : Math.max(0, state.startAt - now)
  const remaining = Number.isNaN(left) ? null : Math.round(delay + left)
  return {
    executionId: state.executionId,
    status: state.status,
    requested: state.requested,
    currentStep: active && {
      id: active.plan.id,
      name: active.plan.name,
      path: active.path,
      number: active.plan.number,
    },
    completedSteps: state.completedLeaves,
    totalSteps: plan.leafCount,
    percentage: percentageWith(plan, state, children ?? []),
    estimatedRemainingMs: remaining,
    estimatedCompletionAt: remaining === null ? null : now + remaining,
    steps,
    ...(children !== undefined && { children }),
    ...queuedFor(state.slot),
    startedAt: state.startedAt,
    updatedAt: state.at,
    lastSeq: state.seq,
  }
}

function runsOnBeside({ steps }: ExecutionState, { path }: StepState): boolean {
  for (let at = parentPath(path); at !== ''; at = parentPath(at)) if (steps.get(at)?.runsOn) return true
  return false
}

type Visitor = (instance: Instance, reached: StepState | undefined, inherited: StepStatus) => void

/**
 * Document order; bodies are passed through. What was not reached, or is forgotten with its iteration, is as its surroundings
 * are: skipped with them, completed with a loop that is.
 */
function visit(state: ExecutionState, parent: StepPlan, at: string, inherited: StepStatus, visitor: Visitor): void {
  const around = state.steps.get(at)
  for (const instance of shownIn(parent, at, around)) {
    const { plan, path } = instance
    const reached = state.steps.get(path)
    const isBody = plan.type === 'sequential' && plan.body !== null
    if (!isBody) visitor(instance, reached, inherited)
    const below = reached === undefined ? inherited : statusBelow(plan, reached)
    visit(state, plan, path, below, visitor)
  }
}

/** The instances that there are, or where the first one would stand. */
function shownIn(parent: StepPlan, at: string, around: StepState | undefined): readonly Instance[] {
  const instances = around === undefined ? [] : [...instancesOf(parent, around)]
  if (instances.length > 0) return instances
  return parent.children.map((child) => ({ plan: child, path: instancePath(at, child) }))
}

const statusBelow = (plan: StepPlan, { status }: StepState): StepStatus =>
  status === 'skipped' || (status === 'completed' && plan.children.some((child) => isLoopBody(child)))
    ? status
    : 'pending'

const isLoopBody = (plan: StepPlan): boolean => plan.type === 'sequential' && plan.body?.label === null

function stepProgress(
  state: ExecutionState,
  { plan, path }: Instance,
  step: StepState | undefined,
  inherited: StepStatus,
): StepProgress {
  const startedAt = step?.firstStartedAt ?? step?.startedAt ?? null
  const completedAt = step?.completedAt ?? null
  return {
    path,
    id: plan.id,
    name: plan.name,
    type: plan.type,
    status: step === undefined ? inherited : shownStatus(state, step),
    attempt: step?.attempt ?? 0,
    startedAt,
    completedAt,
    durationMs: startedAt === null || completedAt === null ? null : completedAt - startedAt,
    error: step?.error ?? null,
    ...(step?.approval !== undefined && { approvalId: step.approval }),
    ...queuedFor(step?.slot),
  }
}

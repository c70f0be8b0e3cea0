import type { Plan, StepPlan } from '../../definition/plan.ts'
import { type Completion, undoneBy } from './aftermath.ts'
import { childrenOf, regroup } from './children.ts'
import { bodyPath, type Checkpoint, type Child, type ExecutionState, type StepStatus, stepIdOf } from './state.ts'

/** A step in a plan, as it stands now. */
export interface PlannedStep {
  readonly path: string
  readonly id: string
  readonly name: string
  readonly status: StepStatus
}

/** What a rollback to a checkpoint would do, as of `lastSeq`. */
export interface RollbackPlan {
  readonly executionId: string
  readonly checkpoint: Checkpoint
  readonly lastSeq: number
  /** What would be taken back first, in that order; empty unless that is asked for. `compensation` is where it would stand. */
  readonly compensated: readonly (PlannedStep & { readonly compensation: string })[]
  /** What was begun after the checkpoint, or was under way then, and begins anew when the flow comes to it. */
  readonly performedAgain: readonly PlannedStep[]
  /** What was completed before, and stays. */
  readonly kept: readonly PlannedStep[]
  /** Live children that would be cancelled, and those that go on. */
  readonly cancelledChildren: readonly string[]
  readonly keptChildren: readonly string[]
}

/** What the plan needs of the present, which may move on while the state at the checkpoint is read. */
export interface Present {
  readonly lastSeq: number
  readonly steps: readonly PlannedStep[]
  readonly undone: readonly Completion[]
  readonly children: Readonly<Record<string, Child>>
}

export function presentOf(plan: Plan, state: ExecutionState, { seq }: Checkpoint, compensate: boolean): Present {
  const steps: PlannedStep[] = []
  for (const { id, path, status } of state.steps.values()) {
    const stepPlan = plan.steps.get(id)
    if (stepPlan === undefined || !isShown(stepPlan)) continue
    steps.push({ path, id, name: stepPlan.name, status })
  }
  const undone = compensate ? undoneBy(state, seq).toReversed() : []
  return { lastSeq: state.seq, steps, undone, children: { ...childrenOf(state) } }
}

/** Leaves, and loops, whose iterations are forgotten when they are over; not what runs when the flow has failed. */
const isShown = ({ type, children, isAftermath }: StepPlan): boolean =>
  !isAftermath && (children.length === 0 || type === 'while' || type === 'until' || type === 'foreach')

/** Nothing is changed: `atCheckpoint` is the state that the rollback would make the present one. */
export function planRollback(
  plan: Plan,
  present: Present,
  atCheckpoint: ExecutionState,
  checkpoint: Checkpoint,
): RollbackPlan {
  const isKept = ({ path }: PlannedStep): boolean => atCheckpoint.steps.get(path)?.status === 'completed'
  const wasReached = ({ status }: PlannedStep): boolean => status !== 'skipped' && status !== 'pending'
  const children = regroup(present, atCheckpoint)
  return {
    executionId: atCheckpoint.executionId,
    checkpoint,
    lastSeq: present.lastSeq,
    compensated: present.undone.map(({ path }) => compensatedAt(plan, path)),
    performedAgain: present.steps.filter((step) => wasReached(step) && !isKept(step)),
    kept: present.steps.filter(isKept),
    cancelledChildren: children?.superseded ?? [],
    keptChildren: children?.kept ?? [],
  }
}

function compensatedAt(plan: Plan, path: string) {
  const id = stepIdOf(path)
  const { name } = plan.steps.get(id)!
  return { path, id, name, status: 'completed' as const, compensation: bodyPath(path, 'compensate') }
}

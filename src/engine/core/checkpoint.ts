import type { Json, JsonObject } from '../../definition/json.ts'
import type { Plan, StepPlan } from '../../definition/plan.ts'
import { shownStatus } from './approvals.ts'
import { outputOf } from './data.ts'
import type { ExecutionError } from './event.ts'
import type { Checkpoint, ExecutionState, StepState, StepStatus } from './state.ts'
import type { Turn } from './turn.ts'

/** The journal position after a completed leaf: the last `keep` are kept, and as many of the root's own steps. */
export function markCheckpoint(turn: Turn, plan: StepPlan, step: StepState): void {
  const { checkpoints, seq } = turn.state
  const checkpoint: Checkpoint = { index: checkpoints.next++, seq, path: step.path, stepId: step.id, at: turn.at }
  keepLast(checkpoints.recent, checkpoint, turn.plan.checkpoints.keep)
  if (plan.parent?.id === '') keepLast(checkpoints.root, checkpoint, turn.plan.checkpoints.keep)
}

function keepLast(list: Checkpoint[], checkpoint: Checkpoint, keep: number): void {
  list.push(checkpoint)
  if (list.length > keep) list.shift()
}

/** Those before `index` are no longer kept. */
export function forgetCheckpointsBefore({ checkpoints }: ExecutionState, index: number): void {
  checkpoints.recent = checkpoints.recent.filter((checkpoint) => checkpoint.index >= index)
  checkpoints.root = checkpoints.root.filter((checkpoint) => checkpoint.index >= index)
}

/** Those that are not among `indexes` are no longer kept. */
export function keepCheckpoints({ checkpoints }: ExecutionState, indexes: readonly number[]): void {
  const kept = new Set(indexes)
  checkpoints.recent = checkpoints.recent.filter(({ index }) => kept.has(index))
  checkpoints.root = checkpoints.root.filter(({ index }) => kept.has(index))
}

/** All that are kept, oldest first. */
export function keptCheckpoints(state: ExecutionState): readonly Checkpoint[] {
  const kept = new Map<number, Checkpoint>()
  for (const checkpoint of [...state.checkpoints.root, ...state.checkpoints.recent])
    kept.set(checkpoint.index, checkpoint)
  return [...kept.values()].sort((a, b) => a.index - b.index)
}

/** A kept checkpoint, or why there is none: it never existed, or it is no longer kept. */
export function findCheckpoint(state: ExecutionState, index: number): Checkpoint | 'never_existed' | 'no_longer_kept' {
  if (!Number.isInteger(index) || index < 0 || index >= state.checkpoints.next) return 'never_existed'
  const { recent, root } = state.checkpoints
  return recent.find((c) => c.index === index) ?? root.find((c) => c.index === index) ?? 'no_longer_kept'
}

/** One step as a checkpoint shows it. */
export interface CheckpointStep {
  readonly status: StepStatus
  readonly attempt: number
  readonly output?: Json
  readonly error?: ExecutionError
  readonly meta?: JsonObject
}

/** The complete state as a checkpoint shows it: variables, and every step that was reached, by path. */
export interface CheckpointState {
  readonly variables: JsonObject
  readonly steps: Readonly<Record<string, CheckpointStep>>
}

export function checkpointStateOf(plan: Plan, state: ExecutionState): CheckpointState {
  const steps: Record<string, CheckpointStep> = {}
  for (const step of state.steps.values()) {
    if (step.path === '') continue
    const output = outputOf(plan, state, step)
    steps[step.path] = {
      status: shownStatus(state, step),
      attempt: step.attempt,
      ...(output !== undefined && { output }),
      ...(step.error !== undefined && { error: step.error }),
      ...(step.meta !== undefined && { meta: step.meta }),
    }
  }
  return { variables: state.variables, steps }
}

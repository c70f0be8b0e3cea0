import type { Static } from 'typebox'
import type { JournalEvent } from '../engine/core/event.ts'
import type { Progress, StepProgress } from '../engine/core/progress.ts'
import type { Checkpoint } from '../engine/core/state.ts'
import type * as schema from './schema.ts'

/* Inside, times are ms since 1970; what leaves has RFC 3339 in UTC. */

export const rfc3339 = (ms: number): string => new Date(ms).toISOString()

const rfc3339OrNull = (ms: number | null): string | null => (ms === null ? null : rfc3339(ms))

export function stepResource(step: StepProgress): Static<typeof schema.StepProgress> {
  const { startedAt, completedAt, error, ...rest } = step
  return {
    ...rest,
    startedAt: rfc3339OrNull(startedAt),
    completedAt: rfc3339OrNull(completedAt),
    error: error as Static<typeof schema.ExecutionErrorSchema> | null,
  }
}

export function progressResource(progress: Progress): Static<typeof schema.Progress> {
  const { steps, estimatedCompletionAt, startedAt, updatedAt, ...rest } = progress
  return {
    ...rest,
    estimatedCompletionAt: rfc3339OrNull(estimatedCompletionAt),
    steps: steps.map(stepResource),
    startedAt: rfc3339OrNull(startedAt),
    updatedAt: rfc3339(updatedAt),
  }
}

export function eventResource(event: JournalEvent): Static<typeof schema.Event> {
  const { executionId, seq, type, path, attempt, at, percentage, data } = event
  return {
    executionId,
    seq,
    type,
    ...(path !== null && { path }),
    ...(attempt !== null && { attempt }),
    at: rfc3339(at),
    percentage,
    data,
  }
}

export function checkpointResource(checkpoint: Checkpoint): Static<typeof schema.Checkpoint> {
  const { index, seq, path, stepId, at } = checkpoint
  return { index, seq, stepPath: path, stepId, createdAt: rfc3339(at) }
}

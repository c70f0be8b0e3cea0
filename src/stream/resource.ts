import type { Static } from 'typebox'
import type { Json, JsonObject } from '../definition/json.ts'
import type { JournalEvent } from '../engine/core/event.ts'
import type { Progress, StepProgress } from '../engine/core/progress.ts'
import type { QueuedFor } from '../engine/core/slots.ts'
import type { Checkpoint } from '../engine/core/state.ts'
import type * as schema from './schema.ts'

/* Inside, times are ms since 1970; what leaves has RFC 3339 in UTC. */

let second = Number.NaN
let secondText = ''

/** The text of the second is kept: most times are near the one before, and each message has two (Date takes 1.2 µs). */
export function rfc3339(ms: number): string {
  const whole = Math.trunc(ms)
  const next = Math.floor(whole / 1000)
  if (next !== second) {
    secondText = new Date(next * 1000).toISOString().slice(0, -'000Z'.length)
    second = next
  }
  return `${secondText}${String(whole - next * 1000).padStart(3, '0')}Z`
}

const rfc3339OrNull = (ms: number | null): string | null => (ms === null ? null : rfc3339(ms))

function queuedResource({ scope, key, since, dueAt }: QueuedFor): Static<typeof schema.Queued> {
  return { scope, key, since: rfc3339(since), ...(dueAt !== undefined && { dueAt: rfc3339(dueAt) }) }
}

export function stepResource(step: StepProgress): Static<typeof schema.StepProgress> {
  const { startedAt, completedAt, error, queued, ...rest } = step
  return {
    ...rest,
    ...(queued && { queued: queuedResource(queued) }),
    startedAt: rfc3339OrNull(startedAt),
    completedAt: rfc3339OrNull(completedAt),
    error: error as Static<typeof schema.ExecutionErrorSchema> | null,
  }
}

export function progressResource(progress: Progress): Static<typeof schema.Progress> {
  const { steps, children, estimatedCompletionAt, startedAt, updatedAt, queued, ...rest } = progress
  return {
    ...rest,
    ...(queued && { queued: queuedResource(queued) }),
    estimatedCompletionAt: rfc3339OrNull(estimatedCompletionAt),
    steps: steps.map(stepResource),
    ...(children !== undefined && { children: [...children] }),
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
    data: withTimes(data),
  }
}

/** Members of an event's data that are times, whatever the event: ms inside, RFC 3339 on the wire. */
const timeNames: ReadonlySet<string> = new Set(['retryAt', 'wakeAt', 'startAt', 'dueAt'])

/** Only the engine's own members are looked at, never what a user put in an output or a payload. */
export function withTimes(data: Json): Json {
  if (typeof data !== 'object' || data === null || Array.isArray(data)) return data
  if (!hasTimes(data)) return data
  const entries = Object.entries(data).map(([name, value]): [string, Json] => {
    if (timeNames.has(name) && typeof value === 'number') return [name, rfc3339(value)]
    if (name === 'signal') return [name, signalResource(value)]
    if (name === 'kept' && Array.isArray(value)) return [name, value.map(signalResource)]
    return [name, value]
  })
  return Object.fromEntries(entries)
}

function hasTimes(data: JsonObject): boolean {
  for (const name in data) if (timeNames.has(name) || name === 'signal' || name === 'kept') return true
  return false
}

function signalResource(value: Json): Json {
  const { at, ...signal } = value as JsonObject & { at: number }
  return { ...signal, at: rfc3339(at) }
}

export function checkpointResource(checkpoint: Checkpoint): Static<typeof schema.Checkpoint> {
  const { index, seq, path, stepId, at } = checkpoint
  return { index, seq, stepPath: path, stepId, createdAt: rfc3339(at) }
}

import type { ExecutionImage } from '../repository/execution-row.ts'
import { alreadyDue } from './clock.ts'
import type { ExecutionState } from './core/state.ts'
import { isFinished } from './core/state.ts'
import type { Draft } from './draft.ts'
import type { Services } from './services.ts'

/** The columns whose change makes a row change; the rest goes with them. */
export type RowImage = Pick<ExecutionImage, 'status' | 'requested'>

/** Later than anything: a pending row must say when it is due. */
const NEVER = 8_640_000_000_000_000

/**
 * The execution's row after the draft, or null when it says what it said before. An execution is given away (no owner)
 * when nothing will happen by itself before `wakeAt`: finished, paused, parked, released, or not due to start yet.
 */
export function imageOf(
  state: ExecutionState,
  draft: Draft,
  before: RowImage | null,
  { node, clock }: Pick<Services, 'node' | 'clock'>,
): ExecutionImage | null {
  const last = draft.events.at(-1)!
  const isReleased = last.type === 'execution.released'
  const isGiven =
    isReleased ||
    state.status === 'waiting' ||
    state.status === 'pending' ||
    state.status === 'paused' ||
    isFinished(state.status)
  const isSame = before !== null && before.status === state.status && before.requested === state.requested
  if (isSame && !isGiven) return null
  return {
    status: state.status,
    requested: state.requested,
    output: state.output,
    error: state.error,
    owner: isGiven ? null : node,
    wakeAt: isReleased && state.status === 'running' ? alreadyDue(clock) : wakeAtOf(state, last.data),
    startedAt: state.startedAt,
    completedAt: state.completedAt,
    lastSeq: last.seq,
    updatedAt: last.at,
  }
}

function wakeAtOf(state: ExecutionState, data: unknown): number | null {
  // In line for a slot: its inbox wakes it, or the end of its wait.
  if (state.status === 'pending') return state.slot?.isHeld === false ? (state.slot.dueAt ?? NEVER) : state.startAt
  if (state.status === 'waiting') return (data as { wakeAt: number | null }).wakeAt
  return null
}

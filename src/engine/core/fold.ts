import type { Plan } from '../../definition/plan.ts'
import type { Event, JournalEvent } from './event.ts'
import type { ExecutionState } from './state.ts'
import { transition } from './transition.ts'

/** Replay: folds effective events, in order, into the state. Evaluates nothing, performs nothing. */
export function fold(plan: Plan, state: ExecutionState, events: Iterable<JournalEvent>): ExecutionState {
  for (const event of events) {
    if (event.type !== 'execution.quarantined') transition(plan, state, eventOf(event))
    else state.seq = event.seq
  }
  return state
}

/** The fact in a journal row. */
export function eventOf(row: JournalEvent): Event {
  const { seq, at, type, data } = row
  return {
    seq,
    at,
    type,
    data,
    ...(row.path !== null && { path: row.path }),
    ...(row.attempt !== null && { attempt: row.attempt }),
  } as unknown as Event
}

/** A rollback as the journal has it. */
export interface Rollback {
  readonly seq: number
  readonly toSeq: number
}

/**
 * The ranges of seq (inclusive, ascending) that make the effective history up to `lastSeq`: each rollback supersedes all
 * between the checkpoint that it went back to and itself. Rollbacks may come in any order.
 */
export function effectiveRanges(
  rollbacks: readonly Rollback[],
  lastSeq: number,
): readonly (readonly [number, number])[] {
  const ranges: (readonly [number, number])[] = []
  let end = lastSeq
  for (const rollback of [...rollbacks].sort((a, b) => b.seq - a.seq)) {
    if (rollback.seq > end) continue
    ranges.push([rollback.seq, end])
    end = rollback.toSeq
  }
  if (end >= 1) ranges.push([1, end])
  return ranges.reverse()
}

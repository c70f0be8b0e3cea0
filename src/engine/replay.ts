import type { Plan } from '../definition/plan.ts'
import type { ExecutionRow } from '../repository/executions.ts'
import type { Snapshot as StoredSnapshot } from '../repository/snapshots.ts'
import type { Store } from '../repository/store.ts'
import type { JournalEvent, RolledBack } from './core/event.ts'
import { effectiveRanges, fold } from './core/fold.ts'
import { imageIn, stateOf } from './core/snapshot.ts'
import { createState, type ExecutionState } from './core/state.ts'
import { eventPages } from './event-pages.ts'
import { roughBytes } from './json-size.ts'

/** What replay reads; the whole store has it. */
export type ReplayStore = Pick<Store, 'eventsAfter' | 'rollbacksOf' | 'newestSnapshot'>

/** The state that an execution's effective history folds to, and what the reading of it brought to light. */
export interface Replay {
  readonly state: ExecutionState
  /** The event that took the execution out of service, while no later one brought it back. */
  quarantine: JournalEvent | null
  /** seq of the newest rollback that the state accounts for; 0 without any. */
  readonly rollbackSeq: number
  /** When the last event that was read was; ms since 1970. */
  lastAt: number
  /** The last event that was read gives the execution to whoever claims it. */
  isReleased: boolean
  /** About what the state takes in memory, never less: all that was folded into it. */
  bytes: number
}

/** The journal holds something that the fold rules cannot take: a bug in the core, or foreign hands. */
export class FoldError extends Error {
  override readonly name: string = 'FoldError'
}

/** Events are missing where the reading began or went on: never there, or compacted away meanwhile. */
export class GapError extends FoldError {
  override readonly name = 'GapError'
}

/** Beyond any seq, yet exact as a number. */
const END = Number.MAX_SAFE_INTEGER

/**
 * Folds an execution's effective history up to `through` (its end when left out): the newest effective snapshot, then the
 * events after it in pages, so that memory holds the state and one page. The state belongs to the caller.
 */
export async function replay(
  store: ReplayStore,
  plan: Plan,
  row: ExecutionRow,
  through: number = END,
): Promise<Replay> {
  for (;;) {
    const history = effectiveHistory(await store.rollbacksOf(row.id), through)
    const snapshot = await effectiveSnapshot(store, row, history.ranges)
    const result = beginReplay(plan, row, snapshot, history.rollbackSeq)
    try {
      if (await foldRanges(store, plan, result, history.ranges)) return result
    } catch (error) {
      if (!(error instanceof GapError)) throw error
      // What was compacted away while it was being read has left a newer snapshot behind.
      const newer = await effectiveSnapshot(store, row, history.ranges)
      if ((newer?.seq ?? 0) <= (snapshot?.seq ?? 0)) throw error
    }
  }
}

/** Which events count, ascending ranges of seq (inclusive), and the newest rollback that decided it. */
export interface EffectiveHistory {
  readonly ranges: readonly (readonly [number, number])[]
  readonly rollbackSeq: number
}

export function effectiveHistory(rolledBack: readonly JournalEvent[], through: number = END): EffectiveHistory {
  const rollbacks = rolledBack
    .filter((event) => event.seq <= through)
    // One that does not say where to is found out when it is folded: it must not hurt the others of a batch.
    .map((event) => ({ seq: event.seq, toSeq: (event.data as unknown as RolledBack | null)?.toSeq ?? 0 }))
  return {
    ranges: effectiveRanges(rollbacks, through),
    rollbackSeq: Math.max(0, ...rollbacks.map((rollback) => rollback.seq)),
  }
}

/**
 * Folds what was committed since; false when that cannot be done and the state must be replayed: a rollback is among it, or it
 * was compacted away.
 */
export async function advance(store: ReplayStore, plan: Plan, result: Replay): Promise<boolean> {
  try {
    return await foldRanges(store, plan, result, [[result.state.seq + 1, END]])
  } catch (error) {
    if (error instanceof GapError) return false
    throw error
  }
}

/**
 * A snapshot within an effective range holds effective history only: what came before it is the same for both. One that
 * cannot be read is passed over: it is a cache, and an older one or the journal says the same.
 */
async function effectiveSnapshot(
  store: ReplayStore,
  row: ExecutionRow,
  ranges: EffectiveHistory['ranges'],
): Promise<StoredSnapshot | null> {
  for (const [from, to] of ranges.toReversed()) {
    let snapshot = await store.newestSnapshot(row.id, to)
    while (snapshot !== null && snapshot.seq >= from) {
      if (stateIn(snapshot, row) !== null) return snapshot
      snapshot = await store.newestSnapshot(row.id, snapshot.seq - 1)
    }
    if (snapshot === null) return null
  }
  return null
}

/** The replay before the first event that it has to fold: the state as a snapshot has it, or an empty one. */
export function beginReplay(
  plan: Plan,
  row: ExecutionRow,
  snapshot: StoredSnapshot | null,
  rollbackSeq: number,
): Replay {
  const replay = { quarantine: null, rollbackSeq, isReleased: false }
  if (snapshot !== null) {
    const state = stateIn(snapshot, row)
    if (state === null) throw new FoldError(`${row.id}: the snapshot at seq ${snapshot.seq} is no state of it`)
    return { ...replay, state, bytes: roughBytes(row.input) + roughBytes(snapshot.state), lastAt: state.at }
  }
  const { id: executionId, format, input } = row
  const state = createState({ executionId, format, input, variables: plan.variables })
  return { ...replay, state, bytes: roughBytes(input), lastAt: 0 }
}

/** The state that a snapshot holds, or null when it holds none of this execution at its seq. */
export function stateIn(
  { seq, state: stored }: StoredSnapshot,
  { id, format, input }: ExecutionRow,
): ExecutionState | null {
  const image = imageIn(stored, createState({ executionId: id, format, input, variables: {} }), seq)
  return image === null ? null : stateOf(image, input)
}

async function foldRanges(
  store: ReplayStore,
  plan: Plan,
  result: Replay,
  ranges: EffectiveHistory['ranges'],
): Promise<boolean> {
  for (const [from, to] of ranges) {
    if (to <= result.state.seq) continue
    let next = Math.max(from, result.state.seq + 1)
    for await (const page of eventPages(store, result.state.executionId, next - 1, to)) {
      if (page.events.some((event) => event.type === 'execution.rolled_back' && event.seq > result.rollbackSeq))
        return false
      foldPage(plan, result, page.events, next)
      next = page.events.at(-1)!.seq + 1
      result.bytes += page.bytes
    }
  }
  return true
}

/** Folds events without a hole, the first of which must be `next`. */
export function foldPage(plan: Plan, result: Replay, events: readonly JournalEvent[], next: number): void {
  const { executionId } = result.state
  const hole = events.findIndex(({ seq }, index) => seq !== next + index)
  if (hole !== -1) throw new GapError(`${executionId}: the events from seq ${next + hole} on are missing`)
  try {
    fold(plan, result.state, events)
  } catch (cause) {
    throw new FoldError(`${executionId} after seq ${result.state.seq}: ${(cause as Error).message}`, { cause })
  }
  result.lastAt = events.at(-1)!.at
  result.isReleased = events.at(-1)!.type === 'execution.released'
  for (const event of events) result.quarantine = event.type === 'execution.quarantined' ? event : null
}

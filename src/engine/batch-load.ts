import { CairnError } from '../errors.ts'
import type { JournalRange } from '../repository/events.ts'
import type { ExecutionRow } from '../repository/execution-row.ts'
import type { Snapshot } from '../repository/snapshots.ts'
import type { Store } from '../repository/store.ts'
import type { Clock } from './clock.ts'
import type { JournalEvent } from './core/event.ts'
import { eventBytes } from './event-pages.ts'
import { type History, invalid, type LoadedExecution, loadedFrom } from './history.ts'
import { Pace } from './pace.ts'
import type { Plans } from './plans.ts'
import { beginReplay, type EffectiveHistory, effectiveHistory, foldPage, type Replay, stateIn } from './replay.ts'

export interface BatchLoadOptions {
  readonly store: Pick<Store, 'ownedRows' | 'rollbacksOfMany' | 'newestSnapshots' | 'eventsOfMany'>
  readonly plans: Pick<Plans, 'get'>
  readonly history: Pick<History, 'load'>
  readonly clock: Clock
  /** This node's id: what it does not own is not loaded. */
  readonly node: string
}

/** What became of one execution of the batch. */
export type LoadOutcome = { readonly executionId: string } & (
  | { readonly type: 'loaded'; readonly execution: LoadedExecution }
  | { readonly type: 'unreadable'; readonly row: ExecutionRow; readonly error: CairnError }
  /** The table says that this node does not own it (any more). */
  | { readonly type: 'not_owned' }
)

/** What one query may bring of stored (compressed) payloads; one item alone may be larger. */
const PORTION_BYTES = 4 * 1024 * 1024
/** Events that one query may bring. */
const PORTION_EVENTS = 4_000

/** An execution that is being folded: the ranges of its effective history that are still to come. */
class Folding {
  readonly row: ExecutionRow
  readonly replay: Replay
  readonly #plan: LoadedExecution['plan']
  #ranges: [number, number][]

  constructor(row: ExecutionRow, plan: LoadedExecution['plan'], history: EffectiveHistory, snapshot: Snapshot | null) {
    this.row = row
    this.#plan = plan
    this.replay = beginReplay(plan, row, snapshot, history.rollbackSeq)
    const { seq } = this.replay.state
    this.#ranges = history.ranges.filter(([, to]) => to > seq).map(([from, to]) => [Math.max(from, seq + 1), to])
  }

  get isOver(): boolean {
    return this.#ranges.length === 0
  }

  get next(): JournalRange {
    const [from, through] = this.#ranges[0]!
    return { executionId: this.row.id, after: from - 1, through }
  }

  /** `isLast`: the range has no more events. False when some are missing. */
  take(events: readonly JournalEvent[], isLast: boolean): boolean {
    if (events.length > 0) {
      if (events[0]!.seq !== this.#ranges[0]![0]) return false
      foldPage(this.#plan, this.replay, events, this.#ranges[0]![0])
      for (const event of events) this.replay.bytes += eventBytes(event)
      this.#ranges[0]![0] = events.at(-1)!.seq + 1
    }
    if (isLast || this.#ranges[0]![0] > this.#ranges[0]![1]) this.#ranges.shift()
    return true
  }

  loaded(): LoadedExecution {
    return loadedFrom(this.row, this.#plan, this.replay)
  }
}

/**
 * The states of many executions that this node owns, folded as `replay` would fold each, with a number of queries that does
 * not depend on how many they are: it grows with their bytes only, since what is read at once is bounded. Answers in portions,
 * each as soon as it is complete; whoever has had enough stops asking. One that cannot be read does not stop the others.
 * Throws while the database does not answer.
 *
 * Nobody else writes to an execution that is ours, so nothing changes while it is being read; but what its former owner
 * compacts may still go, and then it is read again alone.
 */
export async function* loadMany(
  options: BatchLoadOptions,
  executionIds: readonly string[],
): AsyncGenerator<readonly LoadOutcome[]> {
  const pace = new Pace(options.clock)
  let rest = executionIds
  while (rest.length > 0) {
    const { items: rows, isCut } = await options.store.ownedRows(options.node, rest, PORTION_BYTES)
    const count = isCut ? rest.indexOf(rows.at(-1)!.id) + 1 : rest.length
    const owned = new Set(rows.map((row) => row.id))
    const others = rest.slice(0, count).filter((executionId) => !owned.has(executionId))
    if (others.length > 0) yield others.map((executionId) => ({ type: 'not_owned', executionId }))
    yield* loadRows(options, rows, pace)
    rest = rest.slice(count)
  }
}

async function* loadRows(
  options: BatchLoadOptions,
  rows: readonly ExecutionRow[],
  pace: Pace,
): AsyncGenerator<readonly LoadOutcome[]> {
  const rolledBack = await options.store.rollbacksOfMany(rows.map((row) => row.id))
  const byExecution = Map.groupBy(rolledBack, (event) => event.executionId)
  let rest = rows.map((row) => ({ row, history: effectiveHistory(byExecution.get(row.id) ?? []) }))
  while (rest.length > 0) {
    // Newest range first: the first snapshot that is found in an execution's ranges is the one to begin with.
    const ranges = rest.flatMap(({ row, history }) =>
      history.ranges.toReversed().map(([from, through]) => ({ executionId: row.id, after: from - 1, through })),
    )
    const { items: found, isCut } = await options.store.newestSnapshots(ranges, PORTION_BYTES)
    const snapshots = new Map(found.toReversed().map((snapshot) => [snapshot.executionId, snapshot]))
    const last = found.at(-1)?.executionId
    const count = isCut ? rest.findIndex(({ row }) => row.id === last) + 1 : rest.length
    const apart: LoadOutcome[] = []
    const foldings: Folding[] = []
    for (const { row, history } of rest.slice(0, count)) {
      await isolated(row, apart, async () => {
        const plan = await options.plans.get(row.workflowId, row.workflowVersion)
        const snapshot = snapshots.get(row.id) ?? null
        if (snapshot === null || stateIn(snapshot, row) !== null) {
          foldings.push(new Folding(row, plan, history, snapshot))
          return
        }
        // Rare enough to be read alone, from what the garbled snapshot stood for.
        const execution = await options.history.load(row.id)
        apart.push({ type: 'loaded', executionId: row.id, execution })
      })
    }
    if (apart.length > 0) yield apart
    yield* fold(options, foldings, pace)
    rest = rest.slice(count)
  }
}

async function* fold(
  { store, history }: BatchLoadOptions,
  foldings: readonly Folding[],
  pace: Pace,
): AsyncGenerator<readonly LoadOutcome[]> {
  let open = foldings
  while (open.length > 0) {
    const each = Math.ceil(PORTION_EVENTS / open.length)
    const ranges = open.filter((folding) => !folding.isOver).map((folding) => folding.next)
    const { items, isCut } = await store.eventsOfMany(ranges, each, PORTION_BYTES)
    const pages = Map.groupBy(items, (event) => event.executionId)
    const last = isCut ? open.findIndex(({ row }) => row.id === items.at(-1)!.executionId) : open.length
    const outcomes: LoadOutcome[] = []
    const still: Folding[] = []
    for (const [place, folding] of open.entries()) {
      await pace.breathe()
      const page = pages.get(folding.row.id) ?? []
      await isolated(folding.row, outcomes, async () => {
        if (!folding.isOver && place <= last && !folding.take(page, place < last && page.length < each)) {
          const execution = await history.load(folding.row.id)
          outcomes.push({ type: 'loaded', executionId: folding.row.id, execution })
        } else if (folding.isOver) {
          outcomes.push({ type: 'loaded', executionId: folding.row.id, execution: folding.loaded() })
        } else still.push(folding)
      })
    }
    if (outcomes.length > 0) yield outcomes
    open = still
  }
}

/** What is wrong with one execution is its own; that the database does not answer concerns all. */
async function isolated(row: ExecutionRow, outcomes: LoadOutcome[], task: () => Promise<void>): Promise<void> {
  try {
    await task()
  } catch (thrown) {
    const error = invalid(row.id, thrown)
    if (!(error instanceof CairnError) || error.status >= 503) throw error
    outcomes.push({ type: 'unreadable', executionId: row.id, row, error })
  }
}

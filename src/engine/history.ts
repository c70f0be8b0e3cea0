import { LRUCache } from 'lru-cache'
import type { Plan } from '../definition/plan.ts'
import { CairnError } from '../errors.ts'
import type { Basis } from '../repository/append.ts'
import type { ExecutionRow } from '../repository/executions.ts'
import type { Store } from '../repository/store.ts'
import { type CheckpointState, checkpointStateOf, findCheckpoint, keptCheckpoints } from './core/checkpoint.ts'
import type { ChildProgress } from './core/child-progress.ts'
import { refusalOf } from './core/control.ts'
import type { Medians } from './core/estimate.ts'
import type { Refusal } from './core/event.ts'
import { type Progress, progressOf, type StepProgress } from './core/progress.ts'
import { planRollback, presentOf, type RollbackPlan } from './core/rollback-plan.ts'
import { type Checkpoint, type ExecutionState, FORMATS, isFinished } from './core/state.ts'
import { type ControlPayload, rollbackTarget } from './inbox-fact.ts'
import { Latest } from './latest.ts'
import type { Plans } from './plans.ts'
import { advance, FoldError, GapError, type Replay, type ReplayStore, replay } from './replay.ts'
import { progressOfRow } from './row-progress.ts'

export interface HistoryOptions {
  readonly store: ReplayStore & Pick<Store, 'findExecution' | 'findExecutionView'>
  readonly plans: Pick<Plans, 'get'>
  /** Median duration (ms) of each step by id from the workflow's statistics; empty while there are none. */
  readonly medians: (workflowId: string) => Promise<Medians>
  /** The database's clock, ms since 1970. */
  readonly now: () => number
  /** The formats that can be folded here; those of this release by default. */
  readonly formats?: readonly number[]
  /** What the cached states may take together, in bytes. */
  readonly cacheBytes?: number
}

/** One checkpoint with the complete state as it was right after it. */
export interface CheckpointView extends Checkpoint {
  readonly state: CheckpointState
}

/** An execution to go on with: a state of the caller's own, and about what it takes. */
export interface LoadedExecution {
  readonly row: ExecutionRow
  readonly plan: Plan
  readonly state: ExecutionState
  readonly bytes: number
  /** The last event that was read. */
  readonly basis: Basis
  /** Its owner had it when that was written, and had not given it away. */
  readonly wasOwned: boolean
}

/** What an execution does with signals. */
export interface Mailbox {
  readonly untaken: number
  readonly signalFaults: Plan['signalFaults']
}

export const NO_MAILBOX: Mailbox = { untaken: 0, signalFaults: () => [] }

/** An execution as it is known here. The row is as old as the entry; the state is what counts. */
interface Entry {
  readonly row: ExecutionRow
  readonly plan: Plan
  replay: Replay
}

const CACHE_BYTES = 64 * 1024 * 1024
const ENTRY_BYTES = 2_000
/** Less than retention leaves to an execution that has ended: one that was not asked for in this time may be gone. */
const CACHED_FOR_MS = 600_000

/**
 * What the journal says of an execution, on any node, whether it owns it or not. States are cached by bytes and moved on by
 * the events committed since, so an answer is current as of its call and asking again costs one small query.
 */
export class History {
  readonly #options: HistoryOptions
  readonly #entries: LRUCache<string, Entry>
  readonly #latest = new Latest((executionId) => this.#current(executionId))
  /** Raised when all is forgotten: what was being read then must not be kept. */
  #generation = 0

  constructor(options: HistoryOptions) {
    this.#options = options
    this.#entries = new LRUCache({
      maxSize: options.cacheBytes ?? CACHE_BYTES,
      ttl: CACHED_FOR_MS,
      perf: { now: options.now },
      ttlResolution: 0,
      sizeCalculation: (entry) => ENTRY_BYTES + entry.replay.bytes,
    })
  }

  /** Lets go of what nobody has asked for lately. To be called now and then. */
  tidy(): void {
    this.#entries.purgeStale()
  }

  /**
   * A state of the caller's own, folded up to `through`: for taking an execution over. One that is quarantined is failed,
   * whatever its events fold to. EXECUTION_NOT_FOUND, FORMAT_UNKNOWN, HISTORY_INVALID.
   */
  async load(executionId: string, through?: number): Promise<LoadedExecution> {
    const { row, plan } = await this.#find(executionId)
    try {
      return loadedFrom(row, plan, await replay(this.#options.store, plan, row, through))
    } catch (error) {
      throw invalid(executionId, error)
    }
  }

  /**
   * How many signals no step has taken, and what keeps its definition from ever taking one; nothing when its format is unknown
   * here. EXECUTION_NOT_FOUND, HISTORY_INVALID.
   */
  async mailbox(executionId: string): Promise<Mailbox> {
    const mailbox = this.#valid(executionId, ({ plan, replay }) => ({
      untaken: replay.state.mailbox.length,
      signalFaults: plan.signalFaults,
    }))
    return unlessUnknown(mailbox, async () => NO_MAILBOX)
  }

  /**
   * How far an execution has come, as far as that can be said without a fold where its format is unknown here: no steps then.
   * For subscribers, who hear the events besides. EXECUTION_NOT_FOUND.
   */
  async overview(executionId: string): Promise<Progress> {
    return unlessUnknown(this.progress(executionId), async () => {
      const view = await this.#options.store.findExecutionView(executionId)
      if (view === null) throw new CairnError('EXECUTION_NOT_FOUND', [executionId])
      return progressOfRow(view, null)
    })
  }

  /**
   * How far an execution has come, by its own journal, or with the children that `childrenIn` finds of its state.
   * EXECUTION_NOT_FOUND, FORMAT_UNKNOWN. An unreadable history leaves what the row says.
   */
  async progress(
    executionId: string,
    childrenIn?: (state: ExecutionState) => Promise<readonly ChildProgress[]>,
  ): Promise<Progress> {
    try {
      const entry = await this.#latest.get(executionId)
      const medians = await this.#options.medians(entry.row.workflowId)
      const children = await childrenIn?.(entry.replay.state)
      // Another caller may have moved the state on meanwhile: it is newer then, and as whole.
      const { state, quarantine } = entry.replay
      const progress = progressOf(entry.plan, state, medians, this.#options.now(), children)
      return quarantine === null ? progress : quarantined(progress, quarantine.at)
    } catch (error) {
      if (!(error instanceof FoldError)) throw error
      const { row, plan } = await this.#find(executionId)
      return progressOfRow(row, plan)
    }
  }

  /** Every step of the definition with status, attempts and timings. EXECUTION_NOT_FOUND, FORMAT_UNKNOWN, HISTORY_INVALID. */
  async steps(executionId: string): Promise<readonly StepProgress[]> {
    const none: Medians = new Map()
    return this.#valid(executionId, ({ plan, replay }) => progressOf(plan, replay.state, none, 0).steps)
  }

  /** The checkpoints that are kept, oldest first. EXECUTION_NOT_FOUND, FORMAT_UNKNOWN, HISTORY_INVALID. */
  async checkpoints(executionId: string): Promise<readonly Checkpoint[]> {
    return this.#valid(executionId, ({ replay }) => keptCheckpoints(replay.state))
  }

  /**
   * One checkpoint with its complete state. EXECUTION_NOT_FOUND, FORMAT_UNKNOWN, HISTORY_INVALID; CHECKPOINT_NOT_FOUND when it never existed
   * (or is superseded and not yet reached again), CHECKPOINT_GONE when it is no longer kept.
   */
  async checkpoint(executionId: string, index: number): Promise<CheckpointView> {
    const { row, plan, found } = await this.#keptCheckpoint(executionId, index)
    return { ...found, state: checkpointStateOf(plan, await this.#stateAt(row, plan, found)) }
  }

  /** What a rollback would do as things stand, or why it would be refused. Changes nothing. As `checkpoint`. */
  async planRollback(executionId: string, request: ControlPayload): Promise<RollbackPlan | Refusal> {
    const asked = await this.#valid(executionId, ({ row, plan, replay: { state } }) => {
      const target = refusalOf(state, 'rollback') ?? rollbackTarget(request, state)
      if ('code' in target) return target
      return { row, plan, target, present: presentOf(plan, state, target, request.compensate === true) }
    })
    if ('code' in asked) return asked
    const { row, plan, target, present } = asked
    return planRollback(plan, present, await this.#stateAt(row, plan, target), target)
  }

  async #stateAt(row: ExecutionRow, plan: Plan, { seq, index }: Checkpoint): Promise<ExecutionState> {
    try {
      return (await replay(this.#options.store, plan, row, seq)).state
    } catch (error) {
      // The execution went on meanwhile, and what the checkpoint needs was compacted away.
      if (error instanceof GapError) await this.#keptCheckpoint(row.id, index)
      throw invalid(row.id, error)
    }
  }

  async #keptCheckpoint(executionId: string, index: number) {
    const { row, plan, found, oldest } = await this.#valid(executionId, ({ row, plan, replay }) => ({
      row,
      plan,
      found: findCheckpoint(replay.state, index),
      oldest: keptCheckpoints(replay.state)[0]?.index,
    }))
    if (found === 'never_existed') throw new CairnError('CHECKPOINT_NOT_FOUND', [executionId, index])
    if (found === 'no_longer_kept')
      throw new CairnError('CHECKPOINT_GONE', [index, executionId, oldest], {
        details: { oldestIndex: oldest ?? null },
      })
    return { row, plan, found }
  }

  /** Forgets all states: after a rebirth the journal may hold less than before. */
  clear(): void {
    this.#generation += 1
    this.#entries.clear()
  }

  /** `render` runs in the turn in which the state is complete; later ones may move it on. */
  async #valid<T>(executionId: string, render: (entry: Entry) => T): Promise<T> {
    try {
      return render(await this.#latest.get(executionId))
    } catch (error) {
      throw invalid(executionId, error)
    }
  }

  async #current(executionId: string): Promise<Entry> {
    const generation = this.#generation
    const cached = this.#entries.get(executionId)
    // Out of the cache while it is being changed: what fails halfway must not be found again.
    this.#entries.delete(executionId)
    // One that has ended may be gone, and no event tells.
    if (cached !== undefined && (cached.replay.quarantine !== null || isFinished(cached.replay.state.status)))
      await this.#find(executionId)
    const entry = cached ?? (await this.#begin(executionId))
    if (cached !== undefined && !(await advance(this.#options.store, entry.plan, entry.replay))) {
      entry.replay = await replay(this.#options.store, entry.plan, entry.row)
    }
    if (generation === this.#generation) this.#entries.set(executionId, entry)
    return entry
  }

  async #begin(executionId: string): Promise<Entry> {
    const { row, plan } = await this.#find(executionId)
    return { row, plan, replay: await replay(this.#options.store, plan, row) }
  }

  async #find(executionId: string): Promise<{ row: ExecutionRow; plan: Plan }> {
    const row = await this.#options.store.findExecution(executionId)
    if (row === null) throw new CairnError('EXECUTION_NOT_FOUND', [executionId])
    const { formats = FORMATS } = this.#options
    if (!formats.includes(row.format)) throw new CairnError('FORMAT_UNKNOWN', [executionId, row.format])
    return { row, plan: await this.#options.plans.get(row.workflowId, row.workflowVersion) }
  }
}

export function loadedFrom(row: ExecutionRow, plan: Plan, replay: Replay): LoadedExecution {
  const { state, quarantine, bytes, lastAt, isReleased } = replay
  if (quarantine !== null)
    Object.assign(state, { status: 'failed', error: row.error, requested: null, completedAt: row.completedAt })
  // What else gives it away leaves another status; see imageOf().
  const wasOwned = state.status === 'running' && !isReleased
  return { row, plan, state, bytes, basis: { seq: state.seq, at: lastAt }, wasOwned }
}

/** HISTORY_INVALID for what the fold rules cannot take; anything else as it is. */
export function invalid(executionId: string, error: unknown): unknown {
  if (!(error instanceof FoldError)) return error
  return new CairnError('HISTORY_INVALID', [executionId, error.message], { cause: error })
}

/** The answer, or what is said instead where the execution's format is not known. */
async function unlessUnknown<T>(answer: Promise<T>, instead: () => Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof CairnError && error.code === 'FORMAT_UNKNOWN') return instead()
    throw error
  }
}

/** Out of service: the journal's last word, which is never folded. */
function quarantined(progress: Progress, at: number): Progress {
  return {
    ...progress,
    status: 'failed',
    requested: null,
    currentStep: null,
    estimatedRemainingMs: null,
    estimatedCompletionAt: null,
    updatedAt: at,
  }
}

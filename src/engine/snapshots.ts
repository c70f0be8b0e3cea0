import type { Json } from '../definition/json.ts'
import type { Append } from '../repository/append.ts'
import type { Compactable } from '../repository/retention.ts'
import { keptCheckpoints } from './core/checkpoint.ts'
import type { RolledBack } from './core/event.ts'
import { snapshotOf } from './core/snapshot.ts'
import { type Checkpoint, type ExecutionState, isFinished } from './core/state.ts'
import { roughBytes } from './json-size.ts'
import type { Services } from './services.ts'

/** The last event that a snapshot holds. */
type Seen = Compactable['seen']

/** What must stay readable: the kept checkpoints, and without a snapshot of their own those from `oldestSeq` on. */
interface Needed {
  readonly kept: readonly Checkpoint[]
  readonly oldestSeq: number
}

/** Events are folded quickly: below this a snapshot saves nothing. */
export const SNAPSHOT_BYTES = 64 * 1024
/** Of the state that events must outweigh where they go afterwards: a state that has only grown is written too. */
const COMPACTING_SHARE = 0.5
/** So much more must have come before the state is looked at again: looking costs its size, and together no more than the journal. */
const NEXT_LOOK = 1.25

/**
 * Writes an execution's snapshots, outside the flush: when the events since the last one outweigh the next, so that all snapshots
 * together cost no more than the journal. A snapshot is a cache; one that fails is only logged.
 *
 * With `checkpoints.compact` the journal begins behind a snapshot at or before the last few checkpoints. The older ones that are
 * kept, which are the root's own, get a snapshot each before that: a loop under the root may go on for ever.
 */
export class Snapshots {
  readonly #executionId: string
  readonly #isCompacting: boolean
  readonly #services: Services
  #bytesSince = 0
  /** Fewer bytes of events are no reason for a snapshot. */
  #worthBytes: number
  #isWriting = false
  /** The seqs of those that were written here and count, ascending. */
  #written: number[] = []
  /** The seqs of checkpoints that have a snapshot of their own. */
  readonly #pinned = new Set<number>()
  #rollbacks = 0

  constructor(executionId: string, isCompacting: boolean, services: Services) {
    this.#executionId = executionId
    this.#isCompacting = isCompacting
    this.#services = services
    this.#worthBytes = services.limits.snapshotBytes
  }

  /** `isExact`: the state is what is committed, it has not run ahead. */
  afterCommit(state: ExecutionState, append: Append, isExact: boolean): void {
    for (const { type, data } of append.events)
      if (type === 'execution.rolled_back') this.#rolledBack(data as unknown as RolledBack)
    this.#bytesSince += append.bytes
    if (!isExact || this.#isWriting || this.#bytesSince < this.#worthBytes || isFinished(state.status)) return
    const snapshot = snapshotOf(state) as unknown as Json
    // A state that has only grown is as quickly read from its events; it is looked at again when they outweigh it.
    const share = this.#isCompacting ? COMPACTING_SHARE : 1
    this.#worthBytes = Math.max(this.#services.limits.snapshotBytes, share * roughBytes(snapshot))
    if (this.#bytesSince < this.#worthBytes) {
      this.#worthBytes = Math.max(this.#worthBytes, NEXT_LOOK * this.#bytesSince)
      return
    }
    this.#bytesSince = 0
    this.#isWriting = true
    const kept = keptCheckpoints(state)
    const oldest = this.#isCompacting ? state.checkpoints.recent[0] : kept[0]
    void this.#write({ seq: state.seq, at: state.at }, snapshot, { kept, oldestSeq: oldest?.seq ?? state.seq })
  }

  /** What lies between the checkpoint and the rollback is no image of the history that counts. */
  #rolledBack({ toSeq }: RolledBack): void {
    this.#rollbacks += 1
    this.#written = this.#written.filter((seq) => seq <= toSeq)
  }

  /** The store encodes the state before it first waits, so it may change afterwards. */
  async #write(last: Seen, state: Json, { kept, oldestSeq }: Needed): Promise<void> {
    const { store, clock, log } = this.#services
    const { seq } = last
    const rollbacks = this.#rollbacks
    try {
      await store.insertSnapshot({ executionId: this.#executionId, ...last, state, createdAt: clock.now() })
      if (rollbacks !== this.#rollbacks) return
      this.#written.push(seq)
      const floor = this.#written.findLast((written) => written <= oldestSeq)
      if (floor !== undefined) await this.#dropBefore(floor, kept, last)
    } catch (error) {
      log.warn(
        { executionId: this.#executionId, seq, err: error },
        'snapshot not written; recovery will fold more events',
      )
    } finally {
      this.#isWriting = false
    }
  }

  /** What is before `floor` serves nobody but the kept checkpoints there. */
  async #dropBefore(floor: number, kept: readonly Checkpoint[], seen: Seen): Promise<void> {
    this.#written = this.#written.filter((seq) => seq >= floor)
    const { store, compaction } = this.#services
    const executionId = this.#executionId
    if (!this.#isCompacting) return store.deleteSnapshotsBefore(executionId, floor)
    const pinned = kept.filter(({ seq }) => seq < floor)
    for (const checkpoint of pinned) await this.#pin(checkpoint)
    compaction.note({ executionId, through: floor, seen, pinned: pinned.map(({ seq }) => seq) })
  }

  /** Gives a checkpoint a snapshot of its own: then it needs no events. One whose events are gone has had it since before. */
  async #pin({ seq, at }: Checkpoint): Promise<void> {
    if (this.#pinned.has(seq)) return
    const { store, history, clock } = this.#services
    const executionId = this.#executionId
    const { state } = await history.load(executionId, seq)
    const image = snapshotOf(state) as unknown as Json
    await store.insertSnapshot({ executionId, seq, at, state: image, createdAt: clock.now() })
    this.#pinned.add(seq)
  }
}

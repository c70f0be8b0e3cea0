import type { Json } from '../definition/json.ts'
import type { Append } from '../repository/flush.ts'
import { keptCheckpoints } from './core/checkpoint.ts'
import type { RolledBack } from './core/event.ts'
import { snapshotOf } from './core/snapshot.ts'
import { type ExecutionState, isFinished } from './core/state.ts'
import { roughBytes } from './json-size.ts'
import type { Services } from './services.ts'

/** Events are folded quickly: below this a snapshot saves nothing. */
const LEAST_BYTES = 64 * 1024

/**
 * Writes an execution's snapshots, outside the flush: when the events since the last one outweigh it, so that all snapshots
 * together cost no more than the journal. A snapshot is a cache; one that fails is only logged.
 */
export class Snapshots {
  readonly #executionId: string
  readonly #isCompacting: boolean
  readonly #services: Services
  #bytesSince = 0
  #lastBytes = LEAST_BYTES
  #isWriting = false
  /** The seqs of those that were written here and count, ascending. */
  #written: number[] = []
  #rollbacks = 0

  constructor(executionId: string, isCompacting: boolean, services: Services) {
    this.#executionId = executionId
    this.#isCompacting = isCompacting
    this.#services = services
  }

  /** `isExact`: the state is what is committed, it has not run ahead. */
  afterCommit(state: ExecutionState, append: Append, isExact: boolean): void {
    for (const { type, data } of append.events)
      if (type === 'execution.rolled_back') this.#rolledBack(data as unknown as RolledBack)
    this.#bytesSince += append.bytes
    if (!isExact || this.#isWriting || this.#bytesSince < this.#lastBytes || isFinished(state.status)) return
    const snapshot = snapshotOf(state) as unknown as Json
    this.#bytesSince = 0
    this.#lastBytes = Math.max(LEAST_BYTES, roughBytes(snapshot))
    this.#isWriting = true
    const oldestKept = keptCheckpoints(state)[0]?.seq ?? state.seq
    void this.#write({ seq: state.seq, at: state.at }, snapshot, oldestKept)
  }

  /** What lies between the checkpoint and the rollback is no image of the history that counts. */
  #rolledBack({ toSeq }: RolledBack): void {
    this.#rollbacks += 1
    this.#written = this.#written.filter((seq) => seq <= toSeq)
  }

  /** The store encodes the state before it first waits, so it may change afterwards. */
  async #write(last: { readonly seq: number; readonly at: number }, state: Json, oldestKept: number): Promise<void> {
    const { store, clock, log } = this.#services
    const { seq } = last
    const rollbacks = this.#rollbacks
    try {
      await store.insertSnapshot({ executionId: this.#executionId, ...last, state, createdAt: clock.now() })
      if (rollbacks !== this.#rollbacks) return
      this.#written.push(seq)
      await this.#dropBefore(
        this.#written.findLast((written) => written <= oldestKept),
        last,
      )
    } catch (error) {
      log.warn(
        { executionId: this.#executionId, seq, err: error },
        'snapshot not written; recovery will fold more events',
      )
    } finally {
      this.#isWriting = false
    }
  }

  /** `floor`: the newest snapshot at or before the oldest checkpoint that is kept. What is before it serves nobody. */
  async #dropBefore(floor: number | undefined, seen: { readonly seq: number; readonly at: number }): Promise<void> {
    if (floor === undefined) return
    this.#written = this.#written.filter((seq) => seq >= floor)
    const { store, compaction } = this.#services
    if (this.#isCompacting) compaction.note({ executionId: this.#executionId, through: floor, seen })
    else await store.deleteSnapshotsBefore(this.#executionId, floor)
  }
}

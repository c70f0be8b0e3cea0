import type { Json } from '../definition/json.ts'
import type { Append } from '../repository/flush.ts'
import { keptCheckpoints } from './core/checkpoint.ts'
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
  readonly #services: Services
  #bytesSince = 0
  #lastBytes = LEAST_BYTES
  #isWriting = false

  constructor(executionId: string, services: Services) {
    this.#executionId = executionId
    this.#services = services
  }

  /** `isExact`: the state is what is committed, it has not run ahead. */
  afterCommit(state: ExecutionState, append: Append, isExact: boolean): void {
    this.#bytesSince += append.bytes
    if (!isExact || this.#isWriting || this.#bytesSince < this.#lastBytes || isFinished(state.status)) return
    const snapshot = snapshotOf(state) as unknown as Json
    this.#bytesSince = 0
    this.#lastBytes = Math.max(LEAST_BYTES, roughBytes(snapshot))
    this.#isWriting = true
    void this.#write(state.seq, snapshot, keptCheckpoints(state)[0]?.seq ?? 0)
  }

  /** The store encodes the state before it first waits, so it may change afterwards. */
  async #write(seq: number, state: Json, oldestKept: number): Promise<void> {
    const { store, clock, log } = this.#services
    try {
      await store.insertSnapshot({ executionId: this.#executionId, seq, state, createdAt: clock.now() })
      await store.deleteSnapshotsBefore(this.#executionId, oldestKept)
    } catch (error) {
      log.warn(
        { executionId: this.#executionId, seq, err: error },
        'snapshot not written; recovery will fold more events',
      )
    } finally {
      this.#isWriting = false
    }
  }
}

import type { Json } from '../definition/json.ts'
import { snapshotOf } from './core/snapshot.ts'
import type { ExecutionState } from './core/state.ts'
import type { HeldShare } from './held-bytes.ts'
import { roughBytes } from './json-size.ts'
import type { Bounds } from './result.ts'
import type { Services } from './services.ts'

/** What the state of one execution takes, and what it may still grow by, in bytes. */
export class StateRoom {
  readonly #share: HeldShare
  readonly #services: Pick<Services, 'limits' | 'held'>

  constructor(executionId: string, services: Pick<Services, 'limits' | 'held'>, bytes: number) {
    this.#share = services.held.open(executionId)
    this.#services = services
    this.holdAnew(bytes)
  }

  /** Notes that so much was folded in. It counts until the next measurement, also when it has left the state by then. */
  hold(bytes: number): void {
    this.holdAnew(this.#share.bytes + bytes)
  }

  /** The state is another one now: this is what it takes at the most. */
  holdAnew(bytes: number): void {
    this.#services.held.set(this.#share, bytes)
  }

  /** What may be added to the state. */
  bounds(state: ExecutionState): Bounds {
    return { maxBytes: this.#services.limits.maxPayloadBytes, roomFor: (bytes) => this.#roomFor(bytes, state) }
  }

  /** Before `wanted` is refused, the state is measured: of what a loop folded in little is left. */
  #roomFor(wanted: number, state: ExecutionState): number {
    const { maxStateBytes } = this.#services.limits
    if (wanted > maxStateBytes - this.#share.bytes) this.holdAnew(roughBytes(snapshotOf(state) as unknown as Json))
    return maxStateBytes - this.#share.bytes
  }
}

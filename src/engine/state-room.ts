import type { Json } from '../definition/json.ts'
import { snapshotOf } from './core/snapshot.ts'
import type { ExecutionState } from './core/state.ts'
import { roughBytes } from './json-size.ts'
import type { Bounds } from './result.ts'
import type { Services } from './services.ts'

/** What the state of one execution takes, and what it may still grow by, in bytes. */
export class StateRoom {
  readonly #executionId: string
  readonly #services: Pick<Services, 'limits' | 'held'>

  constructor(executionId: string, services: Pick<Services, 'limits' | 'held'>, bytes: number) {
    this.#executionId = executionId
    this.#services = services
    this.holdAnew(bytes)
  }

  /** Notes that so much was folded in. It counts until the next measurement, also when it has left the state by then. */
  hold(bytes: number): void {
    this.holdAnew(this.#held + bytes)
  }

  /** The state is another one now: this is what it takes at the most. */
  holdAnew(bytes: number): void {
    this.#services.held.set(this.#executionId, bytes)
  }

  /** What may be added to the state. */
  bounds(state: ExecutionState): Bounds {
    return { maxBytes: this.#services.limits.maxPayloadBytes, roomFor: (bytes) => this.#roomFor(bytes, state) }
  }

  get #held(): number {
    return this.#services.held.of(this.#executionId)
  }

  /** Before `wanted` is refused, the state is measured: of what a loop folded in little is left. */
  #roomFor(wanted: number, state: ExecutionState): number {
    const { maxStateBytes } = this.#services.limits
    if (wanted > maxStateBytes - this.#held) this.holdAnew(roughBytes(snapshotOf(state) as unknown as Json))
    return maxStateBytes - this.#held
  }
}

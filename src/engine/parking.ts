import type { Fact } from './core/event.ts'
import type { ExecutionState } from './core/state.ts'
import type { Services } from './services.ts'
import type { Timers } from './timers.ts'

/** What parking needs of the executor. */
export interface Parked {
  /** Nothing is being written or performed, and no fact waits. */
  isQuiet(): boolean
  record(fact: Fact): void
  /** Looks whether the execution is due to start. */
  look(): void
}

/** Gives an execution that has nothing under way back to the database, which wakes it. */
export class Parking {
  readonly #timers: Timers
  readonly #services: Services
  readonly #executor: Parked

  constructor(timers: Timers, services: Services, executor: Parked) {
    this.#timers = timers
    this.#services = services
    this.#executor = executor
  }

  /** To be called whenever something has ended: it parks after a while, at once when the node is draining. */
  consider(state: ExecutionState, isDraining: boolean): void {
    this.#timers.clear('park')
    if (!this.#executor.isQuiet()) return
    if (isDraining) return this.#executor.record({ type: 'execution.released', data: { reason: 'drain' } })
    const { clock, limits } = this.#services
    if (state.status === 'pending' && state.requested === null && state.startAt !== null) {
      // It was claimed by the database's clock, which may be ahead of ours.
      return this.#timers.set('start', state.startAt, () => this.#executor.look())
    }
    const parkAt = clock.now() + limits.parkAfterMs
    const wakeAt = parkingTime(state, this.#timers.earliest(), parkAt)
    if (wakeAt === undefined) return
    this.#timers.set('park', parkAt, () => {
      if (this.#executor.isQuiet()) this.#executor.record({ type: 'execution.parked', data: { wakeAt } })
    })
  }
}

/**
 * When the database should wake an execution that has nothing under way: a due time, null when only the inbox can wake it;
 * undefined when it is not worth parking, since something is due before `worthFrom` or it is on its way out anyway.
 */
function parkingTime(state: ExecutionState, earliest: number | null, worthFrom: number): number | null | undefined {
  if (state.status !== 'running' || state.runningAttempts > 0) return undefined
  return earliest !== null && earliest <= worthFrom ? undefined : earliest
}

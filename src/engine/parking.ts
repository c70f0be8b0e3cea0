import type { Fact } from './core/event.ts'
import { isQueued } from './core/slots.ts'
import { type ExecutionState, isFinished } from './core/state.ts'
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
  #hasReadInbox = false

  constructor(timers: Timers, services: Services, executor: Parked) {
    this.#timers = timers
    this.#services = services
    this.#executor = executor
  }

  /** Its inbox was read since it came here: what brought it here is answered, or was answered elsewhere. */
  inboxRead(): void {
    this.#hasReadInbox = true
  }

  /** To be called whenever something has ended: it parks after a while, at once when the node is draining. */
  consider(state: ExecutionState, isDraining: boolean): void {
    this.#timers.clear('park')
    if (!this.#executor.isQuiet()) return
    if (isDraining) return this.#executor.record({ type: 'execution.released', data: { reason: 'drain' } })
    const { clock, limits } = this.#services
    if (state.status === 'pending' && state.requested === null && state.startAt !== null && !isQueued(state.slot)) {
      // It was claimed by the database's clock, which may be ahead of ours.
      return this.#timers.set('start', state.startAt, () => this.#executor.look())
    }
    const parkAt = clock.now() + limits.parkAfterMs
    const fact = this.#leaving(state, parkAt)
    if (fact === null) return
    this.#timers.set('park', parkAt, () => {
      if (this.#executor.isQuiet()) this.#executor.record(fact)
    })
  }

  /** How it goes. What does not run is here for its inbox alone, and stays until that was read. */
  #leaving(state: ExecutionState, parkAt: number): Fact | null {
    const isRunning = state.status === 'running'
    if (!isRunning && !this.#hasReadInbox) return null
    const earliest = this.#timers.earliest()
    const isInLine = state.status === 'pending' && isQueued(state.slot)
    if (isInLine && earliest !== null && earliest <= parkAt) return null
    if (state.status === 'paused' || isInLine || isFinished(state.status))
      return { type: 'execution.released', data: { reason: 'idle' } }
    const wakeAt = parkingTime(state, earliest, parkAt)
    return wakeAt === undefined ? null : { type: 'execution.parked', data: { wakeAt } }
  }
}

/**
 * When the database should wake an execution that has nothing under way: a due time, null when only the inbox can wake it;
 * undefined when it is not worth parking, since something is due before `worthFrom` or it is on its way out anyway.
 */
function parkingTime(state: ExecutionState, earliest: number | null, worthFrom: number): number | null | undefined {
  if (state.status === 'pending' || state.runningAttempts > 0) return undefined
  return earliest !== null && earliest <= worthFrom ? undefined : earliest
}

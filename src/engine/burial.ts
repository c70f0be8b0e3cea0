import type { Store } from '../repository/store.ts'
import type { Clock } from './clock.ts'
import type { Log } from './log.ts'

export interface BurialOptions {
  readonly store: Pick<Store, 'removeNode'>
  readonly clock: Clock
  readonly log: Log
  readonly leaseMs: number
}

/**
 * Takes away the row of a life of this process that is over, so that nobody waits for its lease before they go on with what
 * it owned. It has begun its last attempt and aborted all others; what it has sent and not been answered commits before the
 * row goes, or never (docs/adr/0013).
 *
 * One burial a lease: lives that end sooner than that, one after another, are left to their leases. Each takeover counts
 * towards the crash loop of the executions that it finds, and whatever ends the node that often is not their fault.
 */
export class Burial {
  readonly #options: BurialOptions
  #lastAt = Number.NEGATIVE_INFINITY

  constructor(options: BurialOptions) {
    this.#options = options
  }

  /** True when what the life owned is free. Never rejects: what fails is left to the lease. */
  async bury(node: string): Promise<boolean> {
    const { store, clock, log, leaseMs } = this.#options
    const now = clock.monotonic()
    if (now - this.#lastAt < leaseMs) return false
    this.#lastAt = now
    try {
      await store.removeNode(node)
      return true
    } catch (error) {
      log.warn({ node, err: error }, 'the row of the former life was not removed; its lease will run out')
      return false
    }
  }
}

import { LRUCache } from 'lru-cache'
import { foldBatch } from '../repository/statistics.ts'
import type { Store } from '../repository/store.ts'
import { type Clock, type Timer, timedBy } from './clock.ts'
import type { Medians } from './core/estimate.ts'
import type { Log } from './log.ts'

export interface StatisticsReaderOptions {
  readonly store: Pick<Store, 'stepMedians' | 'foldStatistics'>
  readonly clock: Clock
  readonly log: Log
}

const FOLD_MS = 10_000
/** Estimates need no better: a median moves slowly. */
const MEDIANS_FOR_MS = 10_000

/** Statistics for estimates, read now and then, and the fold of what the flushes appended. */
export class StatisticsReader {
  readonly #options: StatisticsReaderOptions
  readonly #medians: LRUCache<string, Promise<Medians>>
  #timer: Timer | null = null
  #folding: Promise<void> | null = null
  #isStopped = false

  constructor(options: StatisticsReaderOptions) {
    this.#options = options
    this.#medians = new LRUCache({ max: 1_000, ttl: MEDIANS_FOR_MS, ...timedBy(options.clock) })
  }

  /** Median duration (ms) of each step of a workflow by id; empty while there are none. */
  medians(workflowId: string): Promise<Medians> {
    const known = this.#medians.get(workflowId)
    if (known !== undefined) return known
    const medians = this.#options.store.stepMedians(workflowId)
    medians.catch(() => this.#medians.delete(workflowId))
    this.#medians.set(workflowId, medians)
    return medians
  }

  /** Forgets the medians: after a failover they may be of executions that never were. */
  clear(): void {
    this.#medians.clear()
  }

  /** Folds every ten seconds from now on; any number of nodes may. */
  start(): void {
    this.#timer = this.#options.clock.after(FOLD_MS, () => {
      this.#folding = this.#fold().finally(() => {
        this.#folding = null
        if (!this.#isStopped) this.start()
      })
    })
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#timer?.cancel()
    await this.#folding
  }

  async #fold(): Promise<void> {
    try {
      while ((await this.#options.store.foldStatistics()) >= foldBatch && !this.#isStopped);
    } catch (error) {
      this.#options.log.warn({ err: error }, 'statistics not folded; the next fold will')
    }
  }
}

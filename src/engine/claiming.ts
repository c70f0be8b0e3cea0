import type { Claimed } from '../repository/claim.ts'
import { isUnavailable } from '../repository/classify.ts'
import type { Store } from '../repository/store.ts'
import { type BatchLoadOptions, type LoadOutcome, loadMany } from './batch-load.ts'
import type { Clock } from './clock.ts'
import type { Log } from './log.ts'
import type { OwnedExecutions } from './owned-executions.ts'

export interface ClaimingOptions {
  readonly store: Pick<Store, 'claim' | 'findOwned'> & BatchLoadOptions['store']
  readonly plans: BatchLoadOptions['plans']
  readonly history: BatchLoadOptions['history']
  /** Executions of other formats are left to the nodes that know them. */
  readonly formats: readonly number[]
  readonly clock: Clock
  readonly log: Log
  readonly node: string
  readonly owned: OwnedExecutions
  /** Beyond this many, starts and wakes wait in the database; takeovers come on top. */
  readonly maxRunning: number
  /** Beyond this many bytes of states nothing is claimed or loaded at all. */
  readonly maxHeldBytes: number
  /** False: nothing more is claimed. */
  readonly mayClaim: () => boolean
}

/** An execution that is ours; `from` as with Claimed, undefined when the claim's answer was lost. */
interface Owned {
  readonly executionId: string
  readonly from: string | null | undefined
}

/** Planning the claim costs 3 ms, whatever it brings. */
const CLAIM_BATCH = 500
/** Executions that are read at once; see loadMany() for how many bytes of them. */
const LOAD_BATCH = 250

/**
 * What this node takes up from the database: it claims in batches, oldest first, and loads what it has claimed as fast as
 * memory takes it. What it owns but has not loaded yet waits here by id; it is in the table and cannot be lost.
 *
 *   due, addressed, orphaned ──claim──▶ claimed (ids) ──load──▶ in memory   (or set aside: it cannot be read)
 */
export class Claiming {
  readonly #options: ClaimingOptions
  readonly #claimed = new Map<string, Owned>()
  #running: Promise<void> | null = null
  #again = false
  /** A claim or a keyed start ended without an answer: what the table says is ours must be compared with what we hold. */
  #isUnsure = false

  constructor(options: ClaimingOptions) {
    this.#options = options
  }

  /** Claims at once instead of at the next poll. */
  soon(): void {
    if (!this.#options.mayClaim()) return
    if (this.#running !== null) this.#again = true
    else this.#running = this.#run().finally(() => (this.#running = null))
  }

  /** Something of unknown outcome may have made executions ours: the next round looks. */
  unsure(): void {
    this.#isUnsure = true
  }

  /** Resolves when nothing is being claimed or loaded. */
  async idle(): Promise<void> {
    await this.#running
  }

  async #run(): Promise<void> {
    const { log, mayClaim } = this.#options
    do {
      this.#again = false
      try {
        if (await this.#round()) this.#again = true
      } catch (error) {
        this.#again = false
        log.warn({ err: error }, 'claim failed')
      }
    } while (this.#again && mayClaim())
  }

  /** True when there may be more at once. */
  async #round(): Promise<boolean> {
    if (this.#isUnsure) await this.#findOwned()
    await this.#load()
    const limit = this.#batchSize()
    if (limit === 0 || !this.#options.mayClaim()) return false
    const claimed = await this.#claim(limit)
    this.#note(claimed)
    await this.#load()
    return claimed.length >= limit
  }

  async #claim(limit: number): Promise<readonly Claimed[]> {
    const { store, formats, node, owned, maxRunning } = this.#options
    const room = Math.max(0, maxRunning - owned.size - this.#claimed.size)
    try {
      return await store.claim(node, { limit, room, formats })
    } catch (error) {
      this.#isUnsure = true
      throw error
    }
  }

  /** No more than should fit, going by what those in memory take. */
  #batchSize(): number {
    const { owned, maxHeldBytes } = this.#options
    if (!this.#hasMemory()) return 0
    if (owned.size === 0) return CLAIM_BATCH
    const fits = Math.floor((maxHeldBytes - owned.heldBytes) / (owned.heldBytes / owned.size))
    return Math.max(1, Math.min(CLAIM_BATCH, fits))
  }

  /** One alone is always let in, whatever it takes. */
  #hasMemory(): boolean {
    const { owned, maxHeldBytes } = this.#options
    return owned.size === 0 || owned.heldBytes < maxHeldBytes
  }

  async #findOwned(): Promise<void> {
    const { store, node, owned } = this.#options
    // Asked again while this is being answered, it looks again.
    this.#isUnsure = false
    const executionIds = await store.findOwned(node).catch((error: unknown) => {
      this.#isUnsure = true
      throw error
    })
    const found = executionIds.filter((id) => !owned.has(id) && !this.#claimed.has(id))
    this.#note(found.map((executionId) => ({ executionId, from: undefined })))
  }

  /** From whom it was taken stays known until it is loaded. */
  #note(claimed: readonly Owned[]): void {
    for (const one of claimed) {
      const known = this.#claimed.get(one.executionId)
      if (typeof known?.from !== 'string') this.#claimed.set(one.executionId, one)
    }
  }

  /** Loads what was claimed, as far as memory takes it; the rest stays for the next round. */
  async #load(): Promise<void> {
    const { owned } = this.#options
    // One that this node is giving away just now waits for the end of that.
    const waiting = [...this.#claimed.keys()].filter((executionId) => !owned.holds(executionId))
    for (let first = 0; first < waiting.length && this.#hasMemory(); first += LOAD_BATCH) {
      await this.#loadBatch(waiting.slice(first, first + LOAD_BATCH))
    }
    for (const executionId of this.#claimed.keys()) if (owned.has(executionId)) this.#claimed.delete(executionId)
  }

  /** What cannot be read together is read in halves: one that PostgreSQL cannot give must not stop the others. */
  async #loadBatch(executionIds: readonly string[]): Promise<void> {
    try {
      await this.#take(executionIds.filter((executionId) => this.#claimed.has(executionId)))
    } catch (error) {
      if (isUnavailable(error)) throw error
      if (executionIds.length === 1) {
        this.#options.log.warn(
          { executionId: executionIds[0], err: error },
          'execution not loaded; it will be tried again',
        )
        return
      }
      const middle = executionIds.length >> 1
      await this.#loadBatch(executionIds.slice(0, middle))
      await this.#loadBatch(executionIds.slice(middle))
    }
  }

  async #take(executionIds: readonly string[]): Promise<void> {
    for await (const outcomes of loadMany(this.#options, executionIds)) {
      const settled = await Promise.allSettled(outcomes.map((outcome) => this.#settle(outcome)))
      for (const result of settled) if (result.status === 'rejected') throw result.reason
      if (!this.#hasMemory()) return
    }
  }

  /** One that finds no memory any more, or whose quarantine fails, stays for the next round. */
  async #settle(outcome: LoadOutcome): Promise<void> {
    const { owned } = this.#options
    if (outcome.type === 'loaded') {
      if (!this.#hasMemory()) return
      owned.take(outcome.execution, this.#claimed.get(outcome.executionId)?.from)
    }
    if (outcome.type === 'unreadable') await owned.setAside(outcome.row, outcome.error)
    this.#claimed.delete(outcome.executionId)
  }
}

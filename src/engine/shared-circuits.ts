import { LRUCache } from 'lru-cache'
import type { Circuit, Circuits } from '../repository/circuit-breakers.ts'
import { type Clock, type Timer, timedBy } from './clock.ts'
import type { Log } from './log.ts'

export interface SharedCircuitsOptions {
  readonly circuits: Circuits
  readonly clock: Clock
  readonly log: Log
  /** How often they are read. */
  readonly everyMs: number
  /** Circuits that were not closed before this and are now: what was counted of them counts no more. */
  readonly onClosed: (key: string) => void
}

/** How long a probe is its node's when that does not renew it. */
export const PROBE_LEASE_MS = 15_000
/** A target is noted as in use once in so long, and forgotten after so long without use. */
const NOTE_EVERY_MS = 3_600_000
const FORGET_AFTER_MS = 7 * 24 * NOTE_EVERY_MS
/** More targets than this are known by the nodes that call them, but not listed. */
const MOST_NOTED = 10_000

/**
 * What this node knows of the circuits that are not plainly closed. All of them are read at once, now and then, from the first
 * call of a target or change of a circuit on: an engine whose actions have no targets never asks.
 */
export class SharedCircuits {
  readonly #options: SharedCircuitsOptions
  #guarded: ReadonlyMap<string, Circuit> = new Map()
  readonly #probes = new Set<string>()
  readonly #noted: LRUCache<string, true>
  #unnoted: string[] = []
  #hasRead = false
  /** Changes that this node has made; what was read before one of them is old. */
  #changes = 0
  #reading: Promise<void> | null = null
  #timer: Timer | null = null
  #round: Promise<void> | null = null
  #forgottenAt = Number.NEGATIVE_INFINITY
  #waiting: (() => void)[] = []
  #isStopped = false

  constructor(options: SharedCircuitsOptions) {
    this.#options = options
    this.#noted = new LRUCache({ max: MOST_NOTED, ttl: NOTE_EVERY_MS, ...timedBy(options.clock) })
  }

  /** They were read once: `get` tells the truth of at most a moment ago. */
  get areKnown(): boolean {
    return this.#hasRead
  }

  /** How many are known not to be closed. */
  get size(): number {
    return this.#guarded.size
  }

  /** Undefined: closed. */
  get(key: string): Circuit | undefined {
    return this.#guarded.get(key)
  }

  /** A target is about to be called. */
  note(key: string): void {
    if (this.#noted.has(key)) return
    this.#noted.set(key, true)
    this.#unnoted.push(key)
    this.#keepReading()
  }

  /** This node has a probe under way, or no longer. */
  probing(probeId: string, isUnderWay: boolean): void {
    if (isUnderWay) this.#probes.add(probeId)
    else this.#probes.delete(probeId)
  }

  /** This node has changed one: reads them anew, and from now on now and then. Rejects while the database does not answer. */
  changed(): Promise<void> {
    this.#changes += 1
    this.#keepReading()
    return this.read()
  }

  /** Resolves when they were read after this call. Rejects while the database does not answer. */
  read(): Promise<void> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = null
    })
    return this.#reading
  }

  /** Resolves at the next reading, or after `ms`. */
  next(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#options.clock.after(ms, resolve)
      this.#waiting.push(() => {
        timer.cancel()
        resolve()
      })
    })
  }

  /** Idempotent. What is under way is ended first. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#timer?.cancel()
    this.#tell()
    await this.#round
    await this.#reading?.catch(() => {})
  }

  async #read(): Promise<void> {
    let before: number
    let read: Circuit[]
    do {
      before = this.#changes
      read = await this.#options.circuits.guarded()
    } while (before !== this.#changes)
    const former = this.#guarded
    this.#guarded = new Map(read.map((circuit) => [circuit.key, circuit]))
    this.#hasRead = true
    for (const key of former.keys()) if (!this.#guarded.has(key)) this.#options.onClosed(key)
    this.#tell()
  }

  #tell(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  #keepReading(): void {
    if (this.#timer === null && this.#round === null && !this.#isStopped) this.#runLater(0)
  }

  #runLater(delayMs: number): void {
    this.#timer = this.#options.clock.after(delayMs, () => {
      this.#timer = null
      this.#round = this.#run().finally(() => {
        this.#round = null
        if (!this.#isStopped) this.#runLater(this.#options.everyMs)
      })
    })
  }

  async #run(): Promise<void> {
    const { circuits, clock, log } = this.#options
    const noted = this.#unnoted.splice(0)
    try {
      if (noted.length > 0) await circuits.noteTargets(noted)
      if (this.#probes.size > 0) await circuits.renewProbes([...this.#probes], PROBE_LEASE_MS)
      await this.read()
      if (clock.monotonic() - this.#forgottenAt < NOTE_EVERY_MS) return
      this.#forgottenAt = clock.monotonic()
      await circuits.forget(FORGET_AFTER_MS)
    } catch (error) {
      this.#unnoted.push(...noted)
      log.warn({ err: error }, 'the circuits were not read; what was known of them goes on')
    }
  }
}

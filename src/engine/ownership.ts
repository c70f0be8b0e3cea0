import { hostname } from 'node:os'
import type { Store } from '../repository/store.ts'
import type { Clock, Timer } from './clock.ts'
import { FORMAT } from './core/state.ts'
import type { Log } from './log.ts'
import type { OwnedExecutions } from './owned-executions.ts'

/*
 * One life of a node: its row in `nodes`, its lease, and the executions that it claims.
 *
 *   (made) ──start──▶ alive ──drain──▶ draining ──stop──▶ stopped   the row goes
 *                       └──────────────────┴──die──▶ dead           the row is gone; an id never revives
 *
 * NOTIFY is a hint, polling is the truth: a tick claims what is claimable and reads the inbox of what is owned.
 */
export interface OwnershipOptions {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  readonly leaseMs: number
  readonly lanes: number
  /** Beyond this many, starts stay pending for others; takeovers come on top. */
  readonly maxRunning: number
  /** The lease was not renewed, or somebody swept this node away. */
  readonly onDeath: (reason: string) => void
}

const POLL_MS = 250
const CLAIM_BATCH = 100
const INBOX_BATCH = 1000
const ROTATE_MS = 30_000

export class Ownership {
  readonly node: string
  readonly #options: OwnershipOptions
  #owned: OwnedExecutions | null = null
  #phase: 'made' | 'alive' | 'draining' | 'over' = 'made'
  #leaseUntil = 0
  #performUntil = 0
  /** Something was not performed because the lease was too old. */
  #hasLapsed = false
  #timers: Timer[] = []
  #claiming: Promise<void> | null = null
  #claimAgain = false
  /** A claim or a load ended without an answer: what the table says is ours must be compared with what we hold. */
  #isUnsure = false

  constructor(options: OwnershipOptions) {
    this.#options = options
    this.node = options.clock.newId()
  }

  /** True while something may be performed: within two thirds of the lease, counted from before the heartbeat was sent. */
  readonly mayPerform = (): boolean => {
    const isWithin = this.#options.clock.monotonic() < this.#performUntil && this.#phase !== 'over'
    if (!isWithin) this.#hasLapsed = true
    return isWithin
  }

  get isAlive(): boolean {
    return this.#phase === 'alive' && this.#options.clock.monotonic() < this.#leaseUntil
  }

  /** ms since the lease was last renewed. */
  get leaseAgeMs(): number {
    return this.#options.clock.monotonic() - (this.#leaseUntil - this.#options.leaseMs)
  }

  /** Registers the node; `owned` is what its claims go to. */
  async start(owned: OwnedExecutions): Promise<void> {
    const { store, leaseMs, lanes, clock } = this.#options
    const before = clock.monotonic()
    await store.registerNode({ id: this.node, host: hostname(), lanes, leaseMs })
    this.#renewed(before, await store.databaseNow())
    this.#owned = owned
    this.#phase = 'alive'
    this.#every(
      () => ROTATE_MS,
      async () => owned.rotateAnswered(),
    )
    this.#every(
      () => leaseMs / 3,
      () => this.#heartbeat(),
    )
    this.#every(
      () => leaseMs / 3,
      () => this.#sweep(),
    )
    // A claim without an answer may commit long after the table was looked at, and nobody else takes what it made ours.
    this.#every(
      () => leaseMs,
      async () => this.unsure(),
    )
    this.#every(
      () => POLL_MS * (0.8 + 0.4 * clock.random()),
      () => this.#tick(),
    )
    this.claimSoon()
  }

  /** Claims at once instead of at the next poll. */
  claimSoon(): void {
    if (this.#phase !== 'alive') return
    if (this.#claiming !== null) this.#claimAgain = true
    else this.#claiming = this.#claimAll().finally(() => (this.#claiming = null))
  }

  /** Something may have made executions ours without our knowing: the next poll looks. */
  unsure(): void {
    this.#isUnsure = true
  }

  /** No claims any more; heartbeats go on. */
  async drain(): Promise<void> {
    if (this.#phase === 'alive') this.#phase = 'draining'
    await this.#claiming
  }

  /** Ends this life; the row goes, so that others need not wait for the lease. */
  async stop(): Promise<void> {
    const wasRegistered = this.#phase !== 'made' && this.#phase !== 'over'
    this.end()
    if (!wasRegistered) return
    try {
      await this.#options.store.removeNode(this.node)
    } catch (error) {
      this.#options.log.warn({ node: this.node, err: error }, 'node not removed; its lease will run out')
    }
  }

  /** Ends this life without a word to the database. */
  end(): void {
    this.#phase = 'over'
    for (const timer of this.#timers.splice(0)) timer.cancel()
  }

  #every(intervalMs: () => number, task: () => Promise<void>): void {
    const index = this.#timers.length
    const next = (): void => {
      if (this.#phase === 'over') return
      this.#timers[index] = this.#options.clock.after(intervalMs(), () => void task().finally(next))
    }
    next()
  }

  #renewed(before: number, databaseNow: number): void {
    const { clock, leaseMs } = this.#options
    const after = clock.monotonic()
    this.#leaseUntil = before + leaseMs
    this.#performUntil = before + (leaseMs * 2) / 3
    clock.synchronise(databaseNow, (before + after) / 2)
    if (!this.#hasLapsed || this.#owned === null) return
    this.#hasLapsed = false
    this.#owned.performAgain()
  }

  async #heartbeat(): Promise<void> {
    const { store, leaseMs, clock, log } = this.#options
    const before = clock.monotonic()
    try {
      const answer = await store.heartbeat(this.node, leaseMs)
      if (this.#phase === 'over') return
      if (answer.alive) this.#renewed(before, answer.databaseNow)
      else this.#die('its lease ran out')
    } catch (error) {
      log.warn(
        { node: this.node, err: error, leftMs: Math.round(this.#leaseUntil - clock.monotonic()) },
        'heartbeat failed',
      )
    }
  }

  async #sweep(): Promise<void> {
    const { store, log } = this.#options
    try {
      const dead = await store.sweep()
      if (dead.length === 0) return
      log.warn({ dead }, 'nodes were declared dead')
      if (dead.includes(this.node)) return this.#die('its lease had run out')
      this.claimSoon()
    } catch (error) {
      log.warn({ err: error }, 'sweep failed')
    }
  }

  async #tick(): Promise<void> {
    this.claimSoon()
    const { store, log } = this.#options
    try {
      if (this.#owned!.size > 0) this.#owned!.receive(await store.inboxOfOwner(this.node, INBOX_BATCH))
    } catch (error) {
      log.warn({ err: error }, 'inbox not read')
    }
  }

  async #claimAll(): Promise<void> {
    do {
      this.#claimAgain = false
      try {
        if (this.#isUnsure) await this.#loadOwned()
        if (await this.#claimBatch()) this.#claimAgain = true
      } catch (error) {
        this.#isUnsure = true
        this.#claimAgain = false
        this.#options.log.warn({ err: error }, 'claim failed')
      }
    } while (this.#claimAgain && this.#phase === 'alive')
  }

  /** True when the batch was full: there may be more. */
  async #claimBatch(): Promise<boolean> {
    const { store, maxRunning } = this.#options
    const fresh = Math.max(0, maxRunning - this.#owned!.size)
    const claimed = await store.claim(this.node, { limit: CLAIM_BATCH, fresh, formats: [FORMAT] })
    if (claimed.length === 0) return false
    const loads = await Promise.allSettled(claimed.map(({ execution, from }) => this.#owned!.load(execution, from)))
    this.#noteFailures(loads)
    return claimed.length >= CLAIM_BATCH
  }

  async #loadOwned(): Promise<void> {
    this.#isUnsure = false
    const owned = this.#owned!
    const rows = await this.#options.store.loadOwned(this.node, owned.ids())
    const missing = rows.filter((row) => owned.get(row.id) === undefined)
    // What is being given away may be ours anew: that can be told once its commit is known here.
    if (rows.some((row) => owned.get(row.id)?.isLeaving === true)) this.#isUnsure = true
    this.#noteFailures(await Promise.allSettled(missing.map((row) => this.#owned!.load(row, null))))
  }

  #noteFailures(loads: readonly PromiseSettledResult<void>[]): void {
    for (const load of loads) {
      if (load.status === 'fulfilled') continue
      this.#isUnsure = true
      this.#options.log.warn({ err: load.reason }, 'execution not loaded; it will be tried again')
    }
  }

  #die(reason: string): void {
    if (this.#phase === 'over') return
    this.end()
    this.#options.onDeath(reason)
  }
}

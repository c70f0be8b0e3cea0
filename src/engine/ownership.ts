import { hostname } from 'node:os'
import { troubleOf } from '../repository/classify.ts'
import type { Store } from '../repository/store.ts'
import type { Claiming } from './claiming.ts'
import type { Clock, Timer } from './clock.ts'
import type { Log } from './log.ts'
import type { OwnedExecutions } from './owned-executions.ts'

/*
 * One life of a node: its row in `nodes` and its lease, and what it does at regular times.
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
  readonly pollMs: number
  readonly lanes: number
  /** The lease was renewed: the database has answered. */
  readonly onRenewed: () => void
  /** The lease was not renewed, or somebody swept this node away. */
  readonly onDeath: (reason: string) => void
}

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
  /** Of the last heartbeat. */
  #failure: Error | null = null
  #timers: Timer[] = []
  #claiming: Claiming | null = null

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

  /** This life is over: its id never comes back. */
  get isOver(): boolean {
    return this.#phase === 'over'
  }

  /** Why the lease is not renewed, in words; null while it is. */
  get trouble(): string | null {
    if (!this.isAlive) return 'the node has lost its lease and has not got a new one yet'
    return this.#failure === null ? null : `heartbeats fail: ${troubleOf(this.#failure)}`
  }

  /** ms since the lease was last renewed. */
  get leaseAgeMs(): number {
    return this.#options.clock.monotonic() - (this.#leaseUntil - this.#options.leaseMs)
  }

  /** More may be taken up. */
  get mayClaim(): boolean {
    return this.#phase === 'alive'
  }

  /** Registers the node and begins to claim. */
  async start(owned: OwnedExecutions, claiming: Claiming): Promise<void> {
    const { store, leaseMs, lanes, clock } = this.#options
    const before = clock.monotonic()
    await store.registerNode({ id: this.node, host: hostname(), lanes, leaseMs })
    this.#renewed(before, await store.databaseNow())
    this.#owned = owned
    this.#claiming = claiming
    this.#phase = 'alive'
    this.#every(
      () => ROTATE_MS,
      async () => owned.rotateAnswered(),
    )
    this.#every(
      // One that failed is tried again soon: there is a lease to lose.
      () => (this.#failure === null ? leaseMs / 3 : leaseMs / 15),
      () => this.#heartbeat(),
    )
    this.#every(
      () => leaseMs / 3,
      () => this.#sweep(),
    )
    // A claim without an answer may commit long after the table was looked at, and nobody else takes what it made ours.
    this.#every(
      () => leaseMs,
      async () => claiming.unsure(),
    )
    this.#every(
      () => this.#options.pollMs * (0.8 + 0.4 * clock.random()),
      () => this.poll(),
    )
    this.claimSoon()
  }

  /** Claims at once instead of at the next poll. */
  claimSoon(): void {
    this.#claiming?.soon()
  }

  /** Claims what can be claimed, and reads the inbox of what is owned; done every `pollMs`. */
  async poll(): Promise<void> {
    this.claimSoon()
    const { store, log } = this.#options
    try {
      if (this.#owned!.size > 0) await this.#owned!.readInbox(() => store.inboxOfOwner(this.node, INBOX_BATCH))
    } catch (error) {
      log.warn({ err: error }, 'inbox not read')
    }
  }

  /** No claims any more; heartbeats go on. */
  async drain(): Promise<void> {
    if (this.#phase === 'alive') this.#phase = 'draining'
    await this.#claiming?.idle()
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
    const { clock, leaseMs, onRenewed } = this.#options
    onRenewed()
    const after = clock.monotonic()
    this.#leaseUntil = before + leaseMs
    this.#performUntil = before + (leaseMs * 2) / 3
    clock.synchronise(databaseNow, (before + after) / 2, (after - before) / 2)
    if (!this.#hasLapsed || this.#owned === null) return
    this.#hasLapsed = false
    this.#owned.performAgain()
  }

  async #heartbeat(): Promise<void> {
    const { store, leaseMs, clock, log } = this.#options
    const before = clock.monotonic()
    try {
      const answer = await store.heartbeat(this.node, leaseMs)
      this.#failure = null
      if (this.#phase === 'over') return
      if (answer.alive) this.#renewed(before, answer.databaseNow)
      else this.die('its lease ran out')
    } catch (error) {
      this.#failure = error as Error
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
      if (dead.includes(this.node)) return this.die('its lease had run out')
      this.claimSoon()
    } catch (error) {
      log.warn({ err: error }, 'sweep failed')
    }
  }

  /** Declares this life dead, once. */
  die(reason: string): void {
    if (this.#phase === 'over') return
    this.end()
    this.#options.onDeath(reason)
  }
}

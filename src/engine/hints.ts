import { AsyncLocalStorage } from 'node:async_hooks'
import type { ExecutionChange } from '../repository/executions.ts'
import { commonChannel, type Notifications } from '../repository/notifications.ts'
import type { Breakers } from './breakers.ts'
import type { Clock, Timer } from './clock.ts'
import type { Feed } from './feed.ts'
import { type HintMessage, parseHint } from './hint-message.ts'
import { HintOutbox } from './hint-outbox.ts'
import type { Log } from './log.ts'
import type { OwnedExecutions } from './owned-executions.ts'
import type { Ownership } from './ownership.ts'
import { Watchers } from './watchers.ts'

export interface HintsOptions {
  /** The id of this life of the node. */
  readonly node: string
  readonly notifications: Notifications
  readonly clock: Clock
  readonly log: Log
  readonly feed: Pick<Feed, 'isWatched' | 'watched' | 'nudge' | 'executionChanged' | 'poll'>
  readonly owned: Pick<OwnedExecutions, 'has' | 'poke'>
  readonly ownership: Pick<Ownership, 'claimSoon' | 'poll'>
  readonly breakers: Pick<Breakers, 'heard'> | null
}

/** Hints that follow within so short a time are sent together. */
const TOGETHER_MS = 20
/** How often a node says what is watched there. */
const RENEW_MS = 30_000
/** After how long a silent node's word counts no more; looked at once in RENEW_MS. */
const FORGET_MS = 60_000
/** How many executions it remembers to have had until lately. */
const LEFT = 1_000
/** See notifyOwners(). */
const INBOXES = 200

/** Hints belong to nobody's request, nor to its trace. */
const inOwnContext = AsyncLocalStorage.snapshot()

/**
 * One life's hints to other nodes and from them, by NOTIFY: whoever commits tells those that watch, whoever posts into an
 * inbox tells its owner. Each is sent after the commit that it tells of, in a statement of its own, many at once. Every one
 * of them may be lost: all that they tell of is polled for as well.
 *
 * Every node knows what is watched on every other, whoever owns it at the moment: a new owner has its watchers at once. What
 * is owned here is watched here without a word.
 */
export class Hints {
  readonly #options: HintsOptions
  readonly #watchers = new Watchers()
  readonly #outbox: HintOutbox
  readonly #listener
  /** Executions that ended here or were given away, the latest last. */
  readonly #left = new Set<string>()
  #timer: Timer | null = null
  #renewal: Timer | null = null
  #sending: Promise<void> | null = null
  #sentAt = Number.NEGATIVE_INFINITY
  #isListening = false
  #isWarned = false
  /** What this node said to all last has not come back to it. */
  #isUnheard = false
  #isOver = false

  constructor(options: HintsOptions) {
    this.#options = options
    this.#outbox = new HintOutbox(options.node)
    this.#listener = options.notifications.openListener(options.node, {
      onPayload: (payload) => this.#receive(payload),
      onListening: () => this.#listening(),
      onLost: (error) => this.#lost(error),
      onDeaf: () => this.#deaf(),
    })
  }

  /** Listens, in the background; nothing waits for it. */
  start(): void {
    this.#listener.start()
    this.#renewLater()
  }

  /** Sends what is left, and stops listening. */
  async stop(): Promise<void> {
    this.#timer?.cancel()
    await this.#sending
    await this.#send()
    await this.end()
  }

  /** Stops at once, without a word. Idempotent. */
  async end(): Promise<void> {
    this.#isOver = true
    this.#timer?.cancel()
    this.#renewal?.cancel()
    await this.#listener.close()
    await this.#sending
  }

  /** An execution is owned here no longer. */
  left(executionId: string): void {
    this.#left.add(executionId)
    if (this.#left.size > LEFT) this.#left.delete(this.#left.values().next().value!)
    // Whoever owns it next is to know who listens here.
    if (this.#options.feed.isWatched(executionId)) this.watched(executionId)
  }

  /** Somebody here watches this execution or workflow from now on. */
  watched(id: string): void {
    if (!this.#isListening) return
    this.#outbox.watch([id])
    this.#sendSoon()
  }

  /** An execution's events up to `seq` are committed here. Costs one look-up when nobody watches. */
  committed(executionId: string, seq: number): void {
    const nodes = this.#watchers.of(executionId)
    if (nodes === undefined) return
    for (const node of nodes) this.#outbox.events(executionId, seq, node)
    this.#sendSoon()
  }

  /** A change of an execution's status is committed here. */
  changed(change: ExecutionChange): void {
    const nodes = this.#watchers.of(change.workflowId)
    if (nodes === undefined) return
    for (const node of nodes) this.#outbox.change(change, node)
    this.#sendSoon()
  }

  /** Something waits in the inbox of an execution that is not owned here. */
  posted(executionId: string): void {
    this.#outbox.inbox(executionId)
    this.#sendSoon()
  }

  /** Circuits were changed here. */
  circuitsChanged(): void {
    this.#outbox.circuits()
    this.#sendSoon()
  }

  /** Something can be claimed, and this node will not. */
  claimable(): void {
    this.#outbox.claimable()
    this.#sendSoon()
  }

  #listening(): void {
    this.#options.log.info({ node: this.#options.node }, 'listening for what other nodes tell')
    this.#isListening = true
    this.#isWarned = false
    this.#isUnheard = false
    this.#outbox.hello()
    this.#outbox.watch(this.#options.feed.watched())
    this.#sendSoon()
    // What was told before was told to nobody.
    void this.#options.feed.poll()
    void this.#options.ownership.poll()
    this.#options.breakers?.heard()
  }

  #lost(err: Error): void {
    this.#isListening = false
    this.#options.log.info({ err }, 'the connection that listens is lost; until it is back other nodes are polled')
  }

  #deaf(): void {
    this.#isListening = false
    if (this.#isWarned) return
    this.#isWarned = true
    this.#options.log.warn(
      {},
      'LISTEN hears nothing over this connection, as behind PgBouncer in transaction mode: other nodes are polled. ' +
        'Set CAIRN_LISTEN_URL to an address of PostgreSQL itself, or CAIRN_NOTIFY=off',
    )
  }

  #receive(payload: string): void {
    const message = this.#isOver ? null : parseHint(payload)
    if (message === null) return
    const { from, inbox, claim } = message
    if (from === this.#options.node) this.#isUnheard = false
    else if (from !== undefined) this.#hear(from, message)
    for (const executionId of inbox ?? []) this.#options.owned.poke(executionId)
    if (claim === true) this.#options.ownership.claimSoon()
  }

  #hear(from: string, { hello, watch, unwatch, events, changes, circuits }: HintMessage): void {
    const { feed, breakers } = this.#options
    if (circuits === true) breakers?.heard()
    if (hello === true) this.#outbox.watch(feed.watched(), from)
    for (const id of unwatch ?? []) this.#watchers.remove(id, from)
    for (const id of watch ?? []) this.#watch(id, from)
    for (const [executionId, seq] of events ?? []) {
      if (!feed.nudge(executionId, seq)) this.#outbox.unwatch(executionId, from)
    }
    for (const change of changes ?? []) {
      if (feed.isWatched(change.workflowId)) feed.executionChanged(change)
      else this.#outbox.unwatch(change.workflowId, from)
    }
    this.#sendSoon()
  }

  /** What was committed before this node heard of the watcher, the end perhaps, was told to nobody: it had better look. */
  #watch(id: string, node: string): void {
    const { clock, owned } = this.#options
    const isNew = this.#watchers.add(id, node, clock.monotonic() + FORGET_MS)
    if (isNew && (owned.has(id) || this.#left.has(id))) this.#outbox.events(id, null, node)
  }

  #renewLater(): void {
    if (this.#isOver) return
    this.#renewal = this.#options.clock.after(RENEW_MS, () => {
      this.#renew()
      this.#renewLater()
    })
  }

  #renew(): void {
    const { clock, feed } = this.#options
    this.#watchers.expire(clock.monotonic())
    if (!this.#isListening) return
    if (this.#isUnheard) return this.#listener.reconnect()
    this.#outbox.watch(feed.watched())
    this.#sendSoon()
  }

  #sendSoon(): void {
    if (this.#timer !== null || this.#sending !== null || this.#isOver || this.#outbox.isEmpty) return
    const { clock } = this.#options
    const waitMs = Math.max(0, this.#sentAt + TOGETHER_MS - clock.monotonic())
    this.#timer = clock.after(waitMs, () => {
      this.#timer = null
      this.#sending = inOwnContext(() => this.#send()).finally(() => {
        this.#sending = null
        this.#sendSoon()
      })
    })
  }

  async #send(): Promise<void> {
    const { node, notifications, feed, owned, log, clock } = this.#options
    this.#sentAt = clock.monotonic()
    const isWatched = (id: string): boolean => feed.isWatched(id) && !owned.has(id)
    const { notifications: sent, inboxes, isClaimable } = this.#outbox.take(isWatched)
    if (this.#isListening && sent.some(({ channel }) => channel === commonChannel)) this.#isUnheard = true
    try {
      if (sent.length > 0) await notifications.notify(sent)
      for (let i = 0; i < inboxes.length; i += INBOXES)
        await notifications.notifyOwners(node, inboxes.slice(i, i + INBOXES))
      if (isClaimable) await notifications.notifyClaimer(node)
    } catch (error) {
      this.#isUnheard = false
      log.debug({ err: error }, 'hints not sent; other nodes poll')
    }
  }
}

import type { Append } from '../repository/append.ts'
import type { SlotKey, SlotsSettled } from '../repository/concurrency-slots.ts'
import type { Store } from '../repository/store.ts'
import type { Clock, Timer } from './clock.ts'
import type { Log } from './log.ts'

export interface SlotSettlingOptions {
  readonly store: Pick<Store, 'settleSlots' | 'unsettledKeys'>
  readonly clock: Clock
  readonly log: Log
  /** Something waits in the inbox of an execution. */
  readonly tellOwner: (executionId: string) => void
  /** How often this node looks for keys that somebody who died has left unsettled, ms. */
  readonly everyMs: number
}

/** Keys that are settled by one statement, and how long (ms) one is left to the node that changed it. */
const MOST_KEYS = 50
const LEFT_AFTER_MS = 1_000

/**
 * Settles the lines of keys after their slots have changed: who may have one is given it. The rows themselves say that it is to
 * be done, from the commit that asks or gives back on; whoever does it, once or twice, does it right. A node looks for what was
 * left undone from its first slot on; before that it asks nothing.
 */
export class SlotSettling {
  readonly #options: SlotSettlingOptions
  readonly #keys = new Map<string, SlotKey>()
  #settling: Promise<void> | null = null
  #timer: Timer | null = null
  #isStopped = false
  /** Slots asked for by executions of this node; those granted and refused by this node. */
  asked = 0
  granted = 0
  refused = 0

  constructor(options: SlotSettlingOptions) {
    this.#options = options
  }

  /** An append is committed. */
  committed({ asks = [], releases = [] }: Append): void {
    this.asked += asks.length
    this.settle([...asks, ...releases])
  }

  /** A start had its slot at once, or was refused. */
  decidedAtStart(isGranted: boolean): void {
    this.asked += 1
    if (isGranted) this.granted += 1
    else this.refused += 1
  }

  settle(keys: readonly SlotKey[]): void {
    for (const { namespace, scope, key } of keys) this.#add({ namespace, scope, key })
    this.#settleSoon()
    this.watch()
  }

  /** Slots are in use here: looks now and then for what others have left undone. */
  watch(): void {
    if (this.#timer !== null || this.#isStopped) return
    this.#timer = this.#options.clock.after(this.#options.everyMs, () => {
      this.#timer = null
      void this.sweep().finally(() => this.watch())
    })
  }

  /** Settles what has been left unsettled for a while. */
  async sweep(): Promise<void> {
    try {
      for (const key of await this.#options.store.unsettledKeys(LEFT_AFTER_MS, MOST_KEYS)) this.#add(key)
    } catch (error) {
      this.#options.log.warn({ err: error }, 'not known which keys are unsettled; the next look tells')
    }
    this.#settleSoon()
    await this.#settling
  }

  /** Idempotent. What is under way is ended first. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#timer?.cancel()
    await this.#settling
  }

  #add(key: SlotKey): void {
    this.#keys.set(`${key.namespace}\n${key.scope}\n${key.key}`, key)
  }

  #settleSoon(): void {
    if (this.#keys.size === 0 || this.#settling !== null || this.#isStopped) return
    this.#settling = this.#settle().finally(() => {
      this.#settling = null
      this.#settleSoon()
    })
  }

  async #settle(): Promise<void> {
    const taken = [...this.#keys].slice(0, MOST_KEYS)
    for (const [name] of taken) this.#keys.delete(name)
    try {
      this.#tell(await this.#options.store.settleSlots(taken.map(([, key]) => key)))
    } catch (error) {
      this.#options.log.warn({ err: error, keys: taken.length }, 'slots not settled; whoever looks next settles them')
    }
  }

  #tell({ granted, refused, cancelled }: SlotsSettled): void {
    this.granted += granted.length
    this.refused += refused.length
    for (const executionId of new Set([...granted, ...refused, ...cancelled])) this.#options.tellOwner(executionId)
  }
}

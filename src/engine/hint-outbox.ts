import type { ExecutionChange } from '../repository/executions.ts'
import { channelOf, commonChannel, type Notification } from '../repository/notifications.ts'
import { type HintMessage, hintPayloads } from './hint-message.ts'

/** What is to be said on one channel. */
interface Letter {
  isHello: boolean
  areCircuitsChanged: boolean
  readonly watch: Set<string>
  readonly unwatch: Set<string>
  /** Execution → the newest seq; null: whatever there is. */
  readonly events: Map<string, number | null>
  changes: ExecutionChange[]
}

/** While the database is away the oldest go: polling finds them. */
const MOST_CHANGES = 1_000
const MOST_INBOXES = 1_000

/** Hints that wait to be sent together, said once however often they come up. */
export class HintOutbox {
  readonly #node: string
  #letters = new Map<string, Letter>()
  #inboxes = new Set<string>()
  #isClaimable = false

  constructor(node: string) {
    this.#node = node
  }

  get isEmpty(): boolean {
    return this.#letters.size === 0 && this.#inboxes.size === 0 && !this.#isClaimable
  }

  hello(): void {
    this.#letterTo(commonChannel).isHello = true
  }

  circuits(): void {
    this.#letterTo(commonChannel).areCircuitsChanged = true
  }

  /** Says what is watched here, to everybody or to one node. */
  watch(ids: Iterable<string>, node?: string): void {
    const channel = node === undefined ? commonChannel : channelOf(node)
    for (const id of ids) this.#letterTo(channel).watch.add(id)
  }

  unwatch(id: string, node: string): void {
    this.#letterTo(channelOf(node)).unwatch.add(id)
  }

  events(executionId: string, seq: number | null, node: string): void {
    this.#letterTo(channelOf(node)).events.set(executionId, seq)
  }

  change(change: ExecutionChange, node: string): void {
    const { changes } = this.#letterTo(channelOf(node))
    changes.push(change)
    if (changes.length > MOST_CHANGES) changes.shift()
  }

  inbox(executionId: string): void {
    if (this.#inboxes.size < MOST_INBOXES) this.#inboxes.add(executionId)
  }

  claimable(): void {
    this.#isClaimable = true
  }

  /** Empties it. `isWatched` tells what is watched here, and not ours to commit to, at this moment. */
  take(isWatched: (id: string) => boolean): { notifications: Notification[]; inboxes: string[]; isClaimable: boolean } {
    const notifications = [...this.#letters].flatMap(([channel, letter]) =>
      this.#payloadsOf(letter, isWatched).map((payload) => ({ channel, payload })),
    )
    const taken = { notifications, inboxes: [...this.#inboxes], isClaimable: this.#isClaimable }
    this.#letters = new Map()
    this.#inboxes = new Set()
    this.#isClaimable = false
    return taken
  }

  #payloadsOf(letter: Letter, isWatched: (id: string) => boolean): string[] {
    const from = this.#node
    const hello: HintMessage = { from, hello: true }
    const circuits: HintMessage = { from, circuits: true }
    const watch = [...letter.watch].filter(isWatched)
    const unwatch = [...letter.unwatch].filter((id) => !isWatched(id))
    return [
      ...(letter.isHello ? [JSON.stringify(hello)] : []),
      ...(letter.areCircuitsChanged ? [JSON.stringify(circuits)] : []),
      ...hintPayloads(unwatch, (page) => ({ from, unwatch: page })),
      ...hintPayloads(watch, (page) => ({ from, watch: page })),
      ...hintPayloads(letter.events, (page) => ({ from, events: page })),
      ...hintPayloads(letter.changes, (page) => ({ from, changes: page })),
    ]
  }

  #letterTo(channel: string): Letter {
    let letter = this.#letters.get(channel)
    if (letter === undefined) {
      const none = { isHello: false, areCircuitsChanged: false }
      letter = { ...none, watch: new Set(), unwatch: new Set(), events: new Map(), changes: [] }
      this.#letters.set(channel, letter)
    }
    return letter
  }
}

import type { Listener, ListenerEvents } from '../../../src/repository/listener.ts'
import {
  channelOf,
  commonChannel,
  type Notification,
  type Notifications,
} from '../../../src/repository/notifications.ts'
import type { Body, World } from '../world.ts'
import type { Server } from './server.ts'
import type { Wire } from './wire.ts'

/** How likely a notification is lost, comes twice, or comes late, and how late, ms. */
const LOST = 0.15
const TWICE = 0.1
const LATE = 0.2
const LATEST_MS = 3_000
/** How likely a listening connection breaks when something comes over it. */
const BREAKS = 0.01
/** How long it takes to listen again, ms. */
const CONNECT_MS = 300

/** LISTEN and NOTIFY between all nodes of a world: whatever is told may be lost, late, or told twice. */
export class PostOffice {
  readonly world: World
  readonly server: Server
  readonly #listeners = new Map<string, Set<ModelListener>>()

  constructor(world: World, server: Server) {
    this.world = world
    this.server = server
  }

  join(channel: string, listener: ModelListener): void {
    const there = this.#listeners.get(channel) ?? new Set()
    this.#listeners.set(channel, there.add(listener))
  }

  leave(channel: string, listener: ModelListener): void {
    this.#listeners.get(channel)?.delete(listener)
  }

  deliver({ channel, payload }: Notification): void {
    const { random } = this.world
    for (const listener of [...(this.#listeners.get(channel) ?? [])]) {
      if (random.chance(BREAKS)) listener.reconnect()
      const copies = random.chance(LOST) ? 0 : random.chance(TWICE) ? 2 : 1
      for (let copy = 0; copy < copies; copy++) {
        const delayMs = random.chance(LATE) ? random.between(0, LATEST_MS) : random.between(0.1, 2)
        this.world.after(delayMs, listener.body, () => listener.hear(payload))
      }
    }
  }
}

/** src/repository/notifications.ts */
export function modelNotifications(office: PostOffice, wire: Wire, body: Body): Notifications {
  return {
    notify: (notifications) =>
      // biome-ignore lint/correctness/useYield: it waits for nobody
      wire.send(function* notify() {
        for (const notification of notifications) office.deliver(notification)
      }),
    notifyOwners: (node, ids) =>
      wire.send(function* notifyOwners(_, { executions }) {
        const owned = ids.filter((id) => (executions.get(id)?.owner ?? node) !== node)
        for (const [owner, inbox] of Map.groupBy(owned, (id) => executions.get(id)!.owner!)) {
          office.deliver({ channel: channelOf(owner), payload: JSON.stringify({ inbox }) })
        }
      }),
    notifyClaimer: (node) =>
      wire.send(function* notifyClaimer(transaction, { nodes }) {
        const others = [...nodes.values()].filter(({ id, expiresAt }) => id !== node && expiresAt > transaction.now)
        if (others.length === 0) return
        const { id } = office.world.random.pick(others)
        office.deliver({ channel: channelOf(id), payload: JSON.stringify({ claim: true }) })
      }),
    openListener: (node, events) =>
      new ModelListener(office, body, [channelOf(node), commonChannel], events) as unknown as Listener,
  }
}

/** src/repository/listener.ts, as far as nodes know it. */
class ModelListener {
  readonly body: Body
  readonly #office: PostOffice
  readonly #channels: readonly string[]
  readonly #events: ListenerEvents
  #isListening = false
  #isClosed = false

  constructor(office: PostOffice, body: Body, channels: readonly string[], events: ListenerEvents) {
    this.#office = office
    this.body = body
    this.#channels = channels
    this.#events = events
  }

  start(): void {
    const { world, server } = this.#office
    world.after(world.random.between(0, CONNECT_MS), this.body, () => {
      if (this.#isClosed || this.#isListening) return
      if (!server.isUp) return this.start()
      this.#isListening = true
      for (const channel of this.#channels) this.#office.join(channel, this)
      this.#events.onListening()
    })
  }

  reconnect(): void {
    if (!this.#isListening || this.#isClosed) return
    this.#leave()
    this.#events.onLost(new Error('Connection terminated unexpectedly'))
    this.start()
  }

  hear(payload: string): void {
    if (this.#isListening && !this.#isClosed) this.#events.onPayload(payload)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#leave()
  }

  #leave(): void {
    this.#isListening = false
    for (const channel of this.#channels) this.#office.leave(channel, this)
  }
}

import type { StreamMessage, Subscription } from '../../src/engine/stream-message.ts'
import type { Audit } from './audit.ts'
import type { Server } from './model/server.ts'
import type { SimulatedNode } from './node.ts'
import type { Body } from './world.ts'

/**
 * A client that watches an execution: it hears every event once, in order and only what is committed; when its node goes
 * away it comes back on another one with the last seq that it heard.
 */
export class Subscriber {
  readonly executionId: string
  readonly #server: Server
  readonly #audit: Audit
  #seen: number | null
  #node: SimulatedNode | null = null
  #body: Body | null = null
  #end: Subscription | null = null

  constructor(server: Server, audit: Audit, executionId: string, after: number | null) {
    this.#server = server
    this.#audit = audit
    this.executionId = executionId
    this.#seen = after
  }

  get isConnected(): boolean {
    return this.#node !== null && this.#node.engine !== null && this.#node.body === this.#body && !this.#body.isGone
  }

  /** The last seq that it heard; null before it knows where it is. */
  get seen(): number | null {
    return this.#seen
  }

  connect(node: SimulatedNode): void {
    if (node.engine === null) return
    this.#end?.()
    this.#node = node
    this.#body = node.body
    const options = this.#seen === null ? {} : { after: this.#seen }
    const body = node.body
    this.#end = node.engine.subscribe(
      this.executionId,
      (message) => {
        if (body === this.#body && !body.isGone) this.#hear(message)
      },
      options,
    )
  }

  #hear(message: StreamMessage): void {
    switch (message.type) {
      case 'snapshot':
        if (this.#seen === null || (this.#audit.hasLostCommits && message.seq < this.#seen)) this.#seen = message.seq
        if (message.seq > this.#committed.size) this.#fault(`a snapshot of seq ${message.seq}`)
        return
      case 'event':
        return this.#hearEvent(message.seq, message.event)
      case 'lagged':
        return 'fromSeq' in message ? this.#passBy(message.fromSeq, message.toSeq) : undefined
      case 'error':
        this.#body = null
        return
      default:
        return
    }
  }

  #hearEvent(seq: number, event: { readonly type: string; readonly at: number }): void {
    const row = this.#committed.get(seq)
    if (this.#seen !== null && seq !== this.#seen + 1) this.#fault(`${seq} after ${this.#seen}`)
    if (row === undefined || row.type !== event.type || row.at !== event.at) this.#fault(`seq ${seq} ${event.type}`)
    this.#seen = seq
  }

  /** Nobody is slow here: what is not told was removed. */
  #passBy(from: number, to: number): void {
    const there = this.#server.tables.events.get(this.executionId)
    if (this.#seen !== null && from !== this.#seen + 1) this.#fault(`lagged from ${from} after ${this.#seen}`)
    for (let seq = from; seq <= to; seq++) if (there?.has(seq)) this.#fault(`lagged over ${seq}, which is there`)
    this.#seen = to
  }

  get #committed() {
    return this.#audit.archive.events.get(this.executionId) ?? new Map()
  }

  #fault(what: string): void {
    if (this.#audit.hasLostCommits) return
    this.#audit.fault('a subscriber hears every event once, in order, and only what is committed', what)
  }
}

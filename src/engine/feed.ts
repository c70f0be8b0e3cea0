import { CairnError } from '../errors.ts'
import type { ExecutionChange } from '../repository/executions.ts'
import type { Store } from '../repository/store.ts'
import type { Timer } from './clock.ts'
import type { JournalEvent } from './core/event.ts'
import { FeedPoll, type FeedPollOptions } from './feed-poll.ts'
import { Gate } from './gate.ts'
import type { History } from './history.ts'
import type { Listener, SnapshotMessage, StartedHint, SubscribeOptions, Subscription } from './stream-message.ts'
import { Subscriber, type SubscriberContext } from './subscriber.ts'
import { Tail } from './tail.ts'
import { WorkflowWatch } from './workflow-watch.ts'

export interface FeedOptions extends FeedPollOptions {
  readonly store: FeedPollOptions['store'] & Pick<Store, 'eventsAfter'>
  readonly history: Pick<History, 'progress'>
  /** How often the journals of other nodes' executions are read. */
  readonly pollMs?: number
  /** Somebody watches an execution, or a workflow, that nobody here has watched. */
  readonly onWatched?: (id: string) => void
}

const POLL_MS = 250
/** Snapshots and pages read for subscribers at once; the others wait in line. */
const READERS = 4
/** How long one turn may hold the event loop with deliveries. */
const TURN_MS = 5

const always = (): boolean => true

/**
 * Committed events to subscribers. Events come from this node's journal (`publish`) and, for executions of other nodes, from
 * one query a poll; a subscription begins with a snapshot and goes on without gap or repeat (see Tail and Subscriber). A
 * terminal event ends no subscription: a retry or rollback may follow. Nothing here holds up whoever publishes: deliveries
 * have turns of their own, and what slow subscribers leave behind is bounded.
 */
export class Feed {
  readonly #options: FeedOptions
  readonly #tails = new Map<string, Tail>()
  readonly #workflows = new WorkflowWatch()
  readonly #gate = new Gate(READERS)
  readonly #context: SubscriberContext
  readonly #poll: FeedPoll
  #dirty = new Set<Tail>()
  #turn: Timer | null = null
  #stalled: (() => void)[] = []
  #timer: Timer | null = null
  #polling: Promise<void> | null = null
  #isStopped = false

  constructor(options: FeedOptions) {
    this.#options = options
    this.#poll = new FeedPoll(options, this.#tails, this.#workflows, {
      changed: (change) => this.executionChanged(change),
      gone: (executionId) => this.#endAll(executionId),
    })
    this.#context = {
      monotonic: () => options.clock.monotonic(),
      budget: { used: 0 },
      read: (executionId, after, limit) => this.#gate.run(() => options.store.eventsAfter(executionId, after, limit)),
      snapshot: (executionId) => this.#gate.run(() => this.#snapshot(executionId)),
      schedule: (tail) => this.#schedule(tail),
      stalled: (again, error) => {
        if (this.#isStopped) return
        options.log.warn({ err: error }, 'reading for subscribers failed; it is tried again')
        this.#stalled.push(again)
      },
      broken: (executionId, error) => options.log.error({ executionId, err: error }, 'a subscriber threw'),
      end: (subscriber, error) => this.#end(subscriber, error),
    }
  }

  /**
   * An execution, or a workflow. O(1). Ask it when events are committed, not when they are made: somebody may have come
   * meanwhile.
   */
  isWatched(id: string): boolean {
    return this.#tails.has(id) || this.#workflows.has(id)
  }

  /** The executions and workflows that are watched here, for telling their owners. */
  watched(): string[] {
    return [...this.#tails.keys(), ...this.#workflows.workflowIds]
  }

  /** Takes an execution's events, committed and consecutive. */
  publish(executionId: string, events: readonly JournalEvent[]): void {
    this.#tails.get(executionId)?.offer(events)
  }

  /** Passes on what is not in the journal: it has no seq and is lost on those who are not up to date. */
  hint(message: StartedHint): void {
    this.#tails.get(message.executionId)?.hint(message)
  }

  /**
   * Another node has said that it committed events up to `seq` (null: whatever there is): read them now instead of at the next
   * poll. False when nobody watches here.
   */
  nudge(executionId: string, seq: number | null): boolean {
    const tail = this.#tails.get(executionId)
    if (tail === undefined) return false
    if (tail.hear(seq ?? tail.next ?? 0)) this.#poll.nudge(tail)
    return true
  }

  /** Takes a change of an execution's status, committed. */
  executionChanged(change: ExecutionChange): void {
    this.#workflows.publish(change, (error) => this.#options.log.error({ err: error }, 'a subscriber threw'))
  }

  /**
   * Hears an execution: its snapshot, then the events after `after` (by default the snapshot's seq), then what comes. An
   * unknown execution is answered by an `error` message, which ends the subscription.
   */
  subscribe(executionId: string, options: SubscribeOptions, listener: Listener): Subscription {
    const next = options.after === undefined ? null : options.after + 1
    return this.#attach(executionId, { next, snapshot: true, ready: options.ready ?? always }, listener)
  }

  /** Hears of every change of status of a workflow's executions, at least once, from now on. */
  subscribeWorkflow(
    workflowId: string,
    listener: Listener,
    options: Pick<SubscribeOptions, 'ready'> = {},
  ): Subscription {
    const isNew = !this.#workflows.has(workflowId)
    const subscription = this.#workflows.subscribe(workflowId, listener, options.ready ?? always)
    if (isNew) this.#options.onWatched?.(workflowId)
    return subscription
  }

  /**
   * The first event after `after`, which must be a committed seq, that `predicate` accepts; null when none has come within
   * `timeoutMs`, or when the feed stops.
   */
  waitFor(
    executionId: string,
    after: number,
    predicate: (event: JournalEvent) => boolean,
    timeoutMs: number,
  ): Promise<JournalEvent | null> {
    return new Promise((resolve) => {
      let subscription: Subscription | null = null
      const finish = (event: JournalEvent | null): void => {
        timer.cancel()
        subscription?.()
        resolve(event)
      }
      const timer = this.#options.clock.after(timeoutMs, () => finish(null))
      const options = { next: after + 1, snapshot: false, ready: always }
      subscription = this.#attach(executionId, options, (message) => {
        if (message.type === 'error') finish(null)
        else if (message.type === 'event' && predicate(message.event)) finish(message.event)
      })
      const tail = this.#tails.get(executionId)
      if (tail?.next !== null) return
      tail.place(after + 1)
      // What was committed before anybody watched was published to nobody.
      tail.fill()
    })
  }

  start(): void {
    this.#isStopped = false
    this.#wait()
  }

  /** Ends every subscription with an ENGINE_STOPPING message. Idempotent, safe before `start()`. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#timer?.cancel()
    this.#turn?.cancel()
    this.#turn = null
    this.#dirty.clear()
    this.#stalled = []
    for (const tail of this.#tails.values()) {
      for (const subscriber of tail.subscribers) this.#end(subscriber, new CairnError('ENGINE_STOPPING'))
    }
    this.#workflows.clear()
    await this.#polling
  }

  /** After a rebirth the journals may end earlier than what was heard: every subscription begins again with a snapshot. */
  resync(): void {
    for (const tail of this.#tails.values()) {
      tail.displace()
      for (const subscriber of tail.subscribers) subscriber.reopen()
    }
    this.#workflows.forget()
  }

  /** Reads once what other nodes have committed; `start()` does so every `pollMs`. One at a time. */
  poll(): Promise<void> {
    for (const again of this.#stalled.splice(0)) again()
    this.#polling ??= this.#poll.run().finally(() => {
      this.#polling = null
    })
    return this.#polling
  }

  #attach(
    executionId: string,
    options: { next: number | null; snapshot: boolean; ready: () => boolean },
    listener: Listener,
  ): Subscription {
    let tail = this.#tails.get(executionId)
    if (tail === undefined) {
      tail = new Tail(executionId, this.#context)
      this.#tails.set(executionId, tail)
      this.#options.onWatched?.(executionId)
    }
    const subscriber = new Subscriber(tail, this.#context, options, listener)
    tail.subscribers.add(subscriber)
    if (this.#isStopped) this.#end(subscriber, new CairnError('ENGINE_STOPPING'))
    else queueMicrotask(() => subscriber.resume())
    return Object.assign(() => this.#detach(subscriber), { resume: () => subscriber.resume() })
  }

  #end(subscriber: Subscriber, error: CairnError): void {
    const { executionId } = subscriber.tail
    const { code, message } = error
    subscriber.close({ type: 'error', executionId, code, message, at: this.#options.clock.now() })
    this.#detach(subscriber)
  }

  #endAll(executionId: string): void {
    for (const subscriber of this.#tails.get(executionId)?.subscribers ?? [])
      this.#end(subscriber, new CairnError('EXECUTION_NOT_FOUND', [executionId]))
  }

  #detach(subscriber: Subscriber): void {
    const { tail } = subscriber
    subscriber.close()
    tail.subscribers.delete(subscriber)
    if (this.#tails.get(tail.executionId) !== tail) return
    if (tail.subscribers.size > 0) {
      // What was held for it alone may go.
      this.#schedule(tail)
      return
    }
    this.#tails.delete(tail.executionId)
    this.#dirty.delete(tail)
    tail.displace()
  }

  async #snapshot(executionId: string): Promise<SnapshotMessage> {
    const progress = await this.#options.history.progress(executionId)
    return { type: 'snapshot', executionId, seq: progress.lastSeq, at: progress.updatedAt, progress }
  }

  #schedule(tail: Tail): void {
    if (this.#isStopped) return
    this.#dirty.add(tail)
    this.#turn ??= this.#options.clock.soon(() => this.#deliver())
  }

  #deliver(): void {
    this.#turn = null
    const { clock } = this.#options
    const until = clock.monotonic() + TURN_MS
    for (const tail of this.#dirty) {
      this.#dirty.delete(tail)
      if (!tail.deliver(until)) this.#dirty.add(tail)
      if (clock.monotonic() > until) break
    }
    if (this.#dirty.size > 0) this.#turn ??= clock.soon(() => this.#deliver())
  }

  #wait(): void {
    this.#timer = this.#options.clock.after(this.#options.pollMs ?? POLL_MS, async () => {
      await this.poll()
      if (!this.#isStopped) this.#wait()
    })
  }
}

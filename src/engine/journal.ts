import { AsyncLocalStorage } from 'node:async_hooks'
import type { Append } from '../repository/append.ts'
import { classify, troubleOf } from '../repository/classify.ts'
import type { LaneWriter } from '../repository/lane.ts'
import type { Clock } from './clock.ts'

/*
 * The journal is a group commit. A lane has one flush under way; what is appended meanwhile forms the next one, so no timer
 * delays a lone write and a busy lane writes big batches.
 *
 *   append ──▶ waiting ──▶ flushing ──▶ committed   (sink.committed: effects, answers, subscribers)
 *                             │  ▲
 *                             ├──┘ no answer: the identical rows go again until there is one
 *                             ├──▶ halved until the bad append stands alone: sink.rejected
 *                             └──▶ fenced: this node is dead, onFenced; nothing more is told to anybody
 */

/** Whoever appended hears exactly one of these. */
export interface AppendSink {
  committed(append: Append): void
  /** PostgreSQL refuses this very append, whatever is tried. */
  rejected(append: Append, error: Error): void
  /** This node is dead or has stopped; whether it was written is for the database to say. */
  abandoned(error: Error): void
}

interface Entry {
  readonly append: Append
  readonly sink: AppendSink
}

export interface JournalOptions {
  readonly lanes: readonly LaneWriter[]
  readonly clock: Clock
  /** The fence is gone: another node swept this one away, or the database lost acknowledged commits. */
  readonly onFenced: (reason: string) => void
  readonly onFlush: (flush: { rows: number; bytes: number; durationMs: number }) => void
  readonly onSinkError: (executionId: string, error: Error) => void
  readonly onRetry: (failure: { error: Error; appends: number; attempt: number }) => void
}

/** Flushes belong to nobody's request: without this the first append's async context (its trace) would run them all. */
const inOwnContext = AsyncLocalStorage.snapshot()

/** A flush takes at most this much; an append that is larger goes alone. */
const FLUSH_ROWS = 1000
const FLUSH_BYTES = 4 * 1024 * 1024
/** Beyond this, new executions are turned away (503) until the database has caught up. */
const QUEUE_BYTES = 256 * 1024 * 1024
const QUEUE_APPENDS = 100_000
const LONGEST_PAUSE_MS = 1000
/** A flush that failed and one that is not answered are trouble when they have been so for this long. */
const FAILING_MS = 1_000
const UNANSWERED_MS = 5_000

export class Journal {
  readonly #lanes: readonly LaneQueue[]

  constructor(options: JournalOptions) {
    this.#lanes = options.lanes.map((lane) => new LaneQueue(lane, options))
  }

  /** Takes an append for the next flush of its execution's lane. One of an execution may be under way at a time. */
  append(append: Append, sink: AppendSink): void {
    this.#lanes[laneOf(append.executionId, this.#lanes.length)]!.add({ append, sink })
  }

  /** True when so much waits for the database that nothing new should begin. */
  isFull(): boolean {
    return this.#lanes.some((lane) => lane.isFull())
  }

  /** Why nothing gets written, in words; null while flushes are answered. */
  trouble(): string | null {
    return this.#lanes.map((lane) => lane.trouble()).find((trouble) => trouble !== null) ?? null
  }

  /** Appends that wait or are being flushed. */
  depth(): number {
    return this.#lanes.reduce((sum, lane) => sum + lane.depth(), 0)
  }

  /** Resolves when all that was appended is committed. */
  async idle(): Promise<void> {
    await Promise.all(this.#lanes.map((lane) => lane.idle()))
  }

  /**
   * To be called now and then, each call a round. True: nothing that the lanes still lean on in the journal, and no flush under
   * way, is from before the last round but one. Idle lanes are made to lean on a mark of their own instead. Never rejects.
   */
  async settle(): Promise<boolean> {
    const settled = await Promise.all(this.#lanes.map((lane) => lane.settle()))
    return settled.every(Boolean)
  }

  /** Forgets what waits and what is under way. For a node that is dead or stops. */
  close(error: Error): void {
    for (const lane of this.#lanes) lane.close(error)
  }
}

/** The lane of an execution: FNV-1a over its id, the same for its whole life on this node. */
function laneOf(executionId: string, lanes: number): number {
  if (lanes === 1) return 0
  let hash = 0x811c9dc5
  for (let i = 0; i < executionId.length; i++) hash = Math.imul(hash ^ executionId.charCodeAt(i), 0x01000193)
  return (hash >>> 0) % lanes
}

function rowsOf({ events, also, sends }: Append): number {
  const own = events.length + (sends === undefined ? 0 : sends.length)
  return also === undefined ? own : also.reduce((sum, start) => sum + start.events.length, own)
}

class LaneQueue {
  readonly #lane: LaneWriter
  readonly #options: JournalOptions
  #waiting: Entry[] = []
  #waitingBytes = 0
  #flushing: readonly Entry[] = []
  #running = false
  /** When the flush under way was first sent; null when none is. */
  #sentAt: number | null = null
  #failure: Error | null = null
  #closed = false
  #idle: (() => void)[] = []
  /** How often settle() was called. */
  #round = 0
  /** The round in which what is being flushed was first sent. */
  #sentIn = Number.POSITIVE_INFINITY
  /** The round in which the flush was first sent whose last event the fence rests on; Infinity: on a mark, or nothing. */
  #restsOn = Number.POSITIVE_INFINITY

  constructor(lane: LaneWriter, options: JournalOptions) {
    this.#lane = lane
    this.#options = options
  }

  add(entry: Entry): void {
    if (this.#closed) return entry.sink.abandoned(new Error('the journal is closed'))
    this.#waiting.push(entry)
    this.#waitingBytes += entry.append.bytes
    if (this.#running) return
    this.#running = true
    // A microtask later, so that all that this turn of the event loop appends goes in one flush.
    queueMicrotask(() => void inOwnContext(() => this.#run()))
  }

  isFull(): boolean {
    return this.#waitingBytes > QUEUE_BYTES || this.#waiting.length > QUEUE_APPENDS
  }

  depth(): number {
    return this.#waiting.length + this.#flushing.length
  }

  trouble(): string | null {
    if (this.#sentAt === null) return null
    const waitedMs = this.#options.clock.monotonic() - this.#sentAt
    if (this.#failure !== null && waitedMs > FAILING_MS) return `flushes fail: ${troubleOf(this.#failure)}`
    return waitedMs > UNANSWERED_MS ? 'flushes are not answered' : null
  }

  idle(): Promise<void> {
    return this.#running && !this.#closed ? new Promise((resolve) => this.#idle.push(resolve)) : Promise.resolve()
  }

  close(error: Error): void {
    this.#closed = true
    const abandoned = [...this.#flushing, ...this.#waiting]
    this.#flushing = []
    this.#waiting = []
    this.#waitingBytes = 0
    for (const { sink } of abandoned) sink.abandoned(error)
    this.#tellIdle()
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0 && !this.#closed) {
      const batch = this.#take()
      this.#flushing = batch
      this.#sentIn = this.#round
      this.#sentAt = this.#options.clock.monotonic()
      await this.#flush(batch, false)
      this.#sentIn = Number.POSITIVE_INFINITY
      this.#flushing = []
      this.#sentAt = null
      this.#failure = null
    }
    this.#running = false
    this.#tellIdle()
  }

  #tellIdle(): void {
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  /** The oldest appends up to the size of a flush. */
  #take(): Entry[] {
    let rows = 0
    let bytes = 0
    let count = 0
    for (const { append } of this.#waiting) {
      rows += rowsOf(append)
      bytes += append.bytes
      if (count > 0 && (rows > FLUSH_ROWS || bytes > FLUSH_BYTES)) break
      this.#waitingBytes -= append.bytes
      count++
    }
    const batch = count === this.#waiting.length ? this.#waiting : this.#waiting.slice(0, count)
    this.#waiting = count === this.#waiting.length ? [] : this.#waiting.slice(count)
    return batch
  }

  /** Sends the batch until there is an answer. Never decides by reading: the old backend may still commit. */
  async #flush(batch: readonly Entry[], sentBefore: boolean): Promise<void> {
    const appends = batch.map((entry) => entry.append)
    for (let attempt = 1; !this.#closed; attempt++) {
      const startedAt = this.#options.clock.monotonic()
      try {
        const outcome = await this.#lane.flush(appends, sentBefore || attempt > 1)
        if (this.#closed) return
        if (outcome === 'fenced') return this.#options.onFenced('the fence of its lane is gone')
      } catch (thrown) {
        if (this.#closed) return
        const error = thrown as Error
        const kind = classify(error)
        if (kind === 'alarm') return this.#options.onFenced(`someone else wrote to its executions: ${error.message}`)
        if (kind === 'data') return this.#isolate(batch, error, sentBefore || attempt > 1)
        this.#failure = error
        this.#options.onRetry({ error, appends: batch.length, attempt })
        await this.#pause(Math.min(LONGEST_PAUSE_MS, 20 * 2 ** Math.min(attempt, 10)))
        continue
      }
      return this.#acknowledge(batch, this.#options.clock.monotonic() - startedAt)
    }
  }

  async settle(): Promise<boolean> {
    this.#round += 1
    const isOld = this.#restsOn < this.#round - 1
    if (isOld && !this.#running && !this.#closed) await this.#mark()
    return this.#sentIn >= this.#round - 2 && this.#restsOn >= this.#round - 2
  }

  /** Takes the place of a flush: what is appended meanwhile waits. Without an answer the next round tries again. */
  async #mark(): Promise<void> {
    this.#running = true
    try {
      if ((await this.#lane.mark()) === 'committed') this.#restsOn = Number.POSITIVE_INFINITY
      else if (!this.#closed) this.#options.onFenced('the fence of its lane is gone')
    } catch (error) {
      if (!this.#closed) this.#options.onRetry({ error: error as Error, appends: 0, attempt: 1 })
    }
    void inOwnContext(() => this.#run())
  }

  #acknowledge(batch: readonly Entry[], durationMs: number): void {
    this.#restsOn = this.#sentIn
    let rows = 0
    let bytes = 0
    for (const { append } of batch) {
      rows += rowsOf(append)
      bytes += append.bytes
    }
    this.#options.onFlush({ rows, bytes, durationMs })
    // Told one by one, and no longer this lane's to tell: what they do next may append again, or close the journal.
    this.#flushing = []
    for (const { append, sink } of batch) {
      try {
        sink.committed(append)
      } catch (error) {
        // It is committed whatever its executor makes of it, and the others are to hear of theirs.
        this.#options.onSinkError(append.executionId, error as Error)
      }
    }
  }

  /** One bad append must not stop the others: halve until it stands alone. */
  async #isolate(batch: readonly Entry[], error: Error, sentBefore: boolean): Promise<void> {
    if (batch.length === 1) return batch[0]!.sink.rejected(batch[0]!.append, error)
    const middle = batch.length >> 1
    await this.#flush(batch.slice(0, middle), sentBefore)
    await this.#flush(batch.slice(middle), sentBefore)
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#options.clock.after(ms, resolve))
  }
}

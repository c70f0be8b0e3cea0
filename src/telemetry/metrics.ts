import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AttemptOutcome } from '../engine/attempt.ts'
import type { EventType } from '../engine/core/event.ts'
import type { AttemptSubject } from '../engine/step-attempt.ts'
import type { Append } from '../repository/append.ts'
import { type Counter, type Histogram, Registry } from './instruments.ts'
import { watchProcess } from './process-metrics.ts'

/** Seconds: from a lone commit to a slow agent. */
const attemptBounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300]
const flushBounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5]
const httpBounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const rowBounds = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
const byteBounds = [256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304]

/** What the engine knows by itself; asked at each scrape. */
export interface EngineGauges {
  /** Executions in this node's memory. */
  running(): number
  /** Appends that wait for the database or are being flushed. */
  queueDepth(): number
  subscribers(): number
  /** Since the lease was last renewed, ms; null without one. */
  leaseAgeMs(): number | null
  /** What retention and compaction have removed so far. */
  removed(): { readonly executions: number; readonly retiredEvents: number; readonly compactedEvents: number }
  /** Circuits that are not closed, as this node knows, and how many it has opened. */
  circuits(): { readonly guarded: number; readonly opened: number }
  /** Slots of keys that executions here have asked for, and those that this node has granted or refused to anybody. */
  slots(): { readonly asked: number; readonly granted: number; readonly refused: number }
  /** Calls with a rate limit that were let go here, and that were put off. */
  rateLimits(): { readonly granted: number; readonly deferred: number }
}

/** How an event counts, when it does. */
const ends: Partial<Record<EventType, string>> = {
  'execution.completed': 'completed',
  'execution.failed': 'failed',
  'execution.quarantined': 'failed',
  'execution.cancelled': 'cancelled',
}

/** The metrics of one process, always on. Names and labels are documented by `# HELP` and in docs/operations. */
export class Metrics {
  readonly #registry = new Registry()
  readonly #started: Counter
  readonly #recovered: Counter
  /** By event type: the counter that goes up by one. */
  readonly #byEvent = new Map<EventType, Counter>()
  readonly #stepFailed: Counter
  readonly #stepRetried: Counter
  readonly #stepDeferred: Counter
  readonly #attempts = new Map<string, { completed: Counter; failed: Counter; duration: Histogram }>()
  readonly #attemptCells
  readonly #attemptDurations
  readonly #flushDuration: Histogram
  readonly #flushRows: Histogram
  readonly #flushBytes: Histogram
  readonly #http

  constructor() {
    const registry = this.#registry
    this.#started = registry.counters('cairn_executions_started_total', 'Executions that began to run here').of()
    const ended = registry.counters('cairn_executions_ended_total', 'Executions that ended here, by status', ['status'])
    for (const status of ['completed', 'failed', 'cancelled']) ended.of(status)
    this.#recovered = registry
      .counters('cairn_executions_recovered_total', 'Executions taken over from a dead node')
      .of()
    const steps = registry.counters(
      'cairn_steps_total',
      'Ends of step instances; retried: a failed attempt that is not the last; deferred: none was made, the circuit was open or a rate limit reached',
      ['outcome'],
    )
    this.#attemptCells = registry.counters('cairn_attempts_total', 'Attempts of actions', ['action', 'outcome'])
    this.#attemptDurations = registry.histograms(
      'cairn_attempt_duration_seconds',
      'How long attempts took',
      attemptBounds,
      ['action'],
    )
    this.#flushDuration = registry
      .histograms('cairn_flush_duration_seconds', 'From sending a flush to its acknowledgement', flushBounds)
      .of()
    this.#flushRows = registry.histograms('cairn_flush_rows', 'Journal rows in a flush', rowBounds).of()
    this.#flushBytes = registry.histograms('cairn_flush_bytes', 'Bytes in a flush', byteBounds).of()
    this.#http = registry.histograms('cairn_http_request_duration_seconds', 'Answers of the API', httpBounds, [
      'method',
      'route',
      'status',
    ])
    this.#byEvent.set('execution.started', this.#started).set('execution.recovered', this.#recovered)
    for (const [type, status] of Object.entries(ends)) this.#byEvent.set(type as EventType, ended.of(status))
    this.#byEvent.set('step.completed', steps.of('completed')).set('step.skipped', steps.of('skipped'))
    this.#stepFailed = steps.of('failed')
    this.#stepRetried = steps.of('retried')
    this.#stepDeferred = steps.of('deferred')
    watchProcess(registry)
  }

  /** Shows the engine's own gauges; call it once, when there is an engine. */
  watch(engine: EngineGauges): void {
    const registry = this.#registry
    registry.gauge('cairn_executions_running', "Executions in this node's memory", engine.running)
    registry.gauge(
      'cairn_journal_queue_depth',
      'Appends that wait for the database or are being flushed',
      engine.queueDepth,
    )
    registry.gauge('cairn_subscribers', 'Subscriptions to executions and workflows', engine.subscribers)
    registry.gauge('cairn_lease_age_seconds', "Since this node's lease was renewed", () => {
      const age = engine.leaseAgeMs()
      return age === null ? null : age / 1000
    })
    this.#watchRemoved(engine)
    this.#watchSlots(engine)
    this.#watchRateLimits(engine)
    registry.gauge('cairn_circuits_open', 'Circuits that are open, half-open or held', () => engine.circuits().guarded)
    registry.counter('cairn_circuits_opened_total', 'Circuits that this node opened', () => engine.circuits().opened)
  }

  #watchRateLimits({ rateLimits }: EngineGauges): void {
    const registry = this.#registry
    registry.counter(
      'cairn_rate_limits_granted_total',
      'Calls with a rate limit that this node let go',
      () => rateLimits().granted,
    )
    registry.counter(
      'cairn_rate_limits_deferred_total',
      'Calls that this node put off until their place in the line of a rate limit',
      () => rateLimits().deferred,
    )
  }

  /** Split from watch() for its length alone: what this node's housekeeping has removed. */
  #watchRemoved({ removed }: EngineGauges): void {
    const count = (name: string, help: string, read: () => number): void => this.#registry.counter(name, help, read)
    count('cairn_retired_executions_total', 'Finished executions that were removed', () => removed().executions)
    count('cairn_retired_events_total', 'Journal rows of removed executions', () => removed().retiredEvents)
    count('cairn_compacted_events_total', 'Journal rows that compaction removed', () => removed().compactedEvents)
  }

  /** The same for the slots of `concurrency` and `critical_section`: over all nodes, asked - granted - refused wait or have left. */
  #watchSlots({ slots }: EngineGauges): void {
    const count = (name: string, help: string, read: () => number): void => this.#registry.counter(name, help, read)
    count('cairn_slots_asked_total', 'Slots of keys that executions here asked for', () => slots().asked)
    count(
      'cairn_slots_granted_total',
      'Slots that this node granted, on whatever node they are used',
      () => slots().granted,
    )
    count('cairn_slots_refused_total', 'Slots that this node refused to who would not wait', () => slots().refused)
  }

  committed({ events }: Append): void {
    for (const { type, data } of events) {
      if (type === 'step.failed') {
        const { retryAt, deferred } = data as { retryAt?: unknown; deferred?: true }
        const counter = retryAt === null ? this.#stepFailed : deferred ? this.#stepDeferred : this.#stepRetried
        counter.value++
        continue
      }
      const counter = this.#byEvent.get(type)
      if (counter !== undefined) counter.value++
    }
  }

  flushed({ rows, bytes, durationMs }: { rows: number; bytes: number; durationMs: number }): void {
    this.#flushDuration.observe(durationMs / 1000)
    this.#flushRows.observe(rows)
    this.#flushBytes.observe(bytes)
  }

  attemptEnded({ plan }: AttemptSubject, outcome: AttemptOutcome): void {
    const cells = this.#attempts.get(plan.action) ?? this.#attemptsOf(plan.action)
    cells[outcome.type].value++
    cells.duration.observe(outcome.durationMs / 1000)
  }

  /** `route` is the route's pattern, never the path that was asked for: its values must be few. */
  answered(method: string, route: string, status: number, durationMs: number): void {
    this.#http.of(method, route, String(status)).observe(durationMs / 1000)
  }

  /** Answers a scrape. */
  readonly handle = (_request: IncomingMessage, response: ServerResponse): void => {
    response.setHeader('content-type', 'text/plain; version=0.0.4; charset=utf-8')
    response.end(this.#registry.text())
  }

  #attemptsOf(action: string) {
    const cells = {
      completed: this.#attemptCells.of(action, 'completed'),
      failed: this.#attemptCells.of(action, 'failed'),
      duration: this.#attemptDurations.of(action),
    }
    this.#attempts.set(action, cells)
    return cells
  }
}

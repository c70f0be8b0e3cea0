import { type Context, context, type Span, SpanKind, SpanStatusCode, type Tracer, trace } from '@opentelemetry/api'
import type { AttemptOutcome } from '../engine/attempt.ts'
import type { ExecutionError, JournalEvent } from '../engine/core/event.ts'
import { stepIdOf } from '../engine/core/state.ts'
import type { AttemptTrace } from '../engine/observer.ts'
import type { AttemptSubject } from '../engine/step-attempt.ts'
import type { Append } from '../repository/append.ts'
import type { ExecutionRow } from '../repository/execution-row.ts'
import { type SpanIds, spanIdOf, traceIdOf } from './span-ids.ts'
import { contextOf, traceparentOf } from './trace-context.ts'

/*
 * execution ─▶ step ─▶ attempt ─▶ action (the span that goes out as `traceparent`)
 *
 * The trace is the caller's, or begins with the execution. Spans of executions and steps end with the event that ended them,
 * once it is committed: what is not durable is not told. A node that gives an execution away, or dies, ends none of them; the
 * next node makes the same ones again.
 */

/** What a node knows of an execution that it runs. */
interface Live {
  /** The execution's own span, as a parent. */
  readonly context: Context
  /** Open spans of steps by path. */
  readonly steps: Map<string, Span>
}

type Ids = Pick<AttemptSubject, 'executionId' | 'workflowId'> & { readonly traceparent: string | null | undefined }

/** Calls to the world outside; whatever else there is happens inside this process. */
const remoteActions = new Set(['http_request', 'database_query', 'ai_agent_call'])

/** The spans of the executions that this node runs. Only made when traces are on. */
export class Spans {
  readonly #tracer: Tracer = trace.getTracer('cairn')
  readonly #ids: SpanIds
  readonly #live = new Map<string, Live>()

  constructor(ids: SpanIds) {
    this.#ids = ids
  }

  /** Ends the spans whose ends were committed. */
  committed(row: ExecutionRow, append: Append): void {
    for (const event of append.events) this.#tell(row, append, event)
  }

  attemptStarted(subject: AttemptSubject): AttemptTrace {
    const live = this.#liveOf(subject)
    const step = this.#stepOf(live, subject)
    const { action } = subject.plan
    const inStep = trace.setSpan(live.context, step)
    const attempt = this.#tracer.startSpan('attempt', { attributes: { 'cairn.attempt': subject.attempt } }, inStep)
    const kind = remoteActions.has(action) ? SpanKind.CLIENT : SpanKind.INTERNAL
    const inAttempt = trace.setSpan(inStep, attempt)
    const span = this.#tracer.startSpan(action, { kind, attributes: { 'cairn.action': action } }, inAttempt)
    const inAction = trace.setSpan(inAttempt, span)
    return {
      traceparent: traceparentOf(span.spanContext()),
      run: (perform) => context.with(inAction, perform),
      end: (outcome) => {
        for (const ending of [span, attempt]) endWith(ending, outcome)
      },
    }
  }

  #tell(row: ExecutionRow, append: Append, event: JournalEvent): void {
    const live = this.#liveOf({ executionId: row.id, workflowId: row.workflowId, traceparent: row.traceparent })
    switch (event.type) {
      case 'step.completed':
        this.#endStep(row, live, event)
        break
      case 'step.failed':
        if ((event.data as { retryAt?: unknown }).retryAt === null) this.#endStep(row, live, event)
        break
      case 'execution.compensating':
      case 'execution.rolled_back':
        this.#dropSteps(live, event.at, 'superseded')
        break
      case 'execution.parked':
      case 'execution.released':
        this.#live.delete(row.id)
        break
      case 'execution.completed':
      case 'execution.failed':
      case 'execution.cancelled':
      case 'execution.quarantined':
        this.#dropSteps(live, event.at, 'cancelled')
        this.#live.delete(row.id)
        this.#endExecution(row, append, event)
    }
  }

  #liveOf(ids: Ids): Live {
    const known = this.#live.get(ids.executionId)
    if (known !== undefined) return known
    // Started to learn whether it is sampled, and never ended: the node that ends the execution sends it.
    const live = { context: trace.setSpan(contextOf(ids.traceparent), this.#executionSpan(ids)), steps: new Map() }
    this.#live.set(ids.executionId, live)
    return live
  }

  #executionSpan({ executionId, workflowId, traceparent }: Ids, startTime?: Date): Span {
    const attributes = { 'cairn.execution.id': executionId, 'cairn.workflow.id': workflowId }
    return this.#ids.next(traceIdOf(executionId), spanIdOf(executionId), () =>
      this.#tracer.startSpan('execution', { kind: SpanKind.INTERNAL, attributes, startTime }, contextOf(traceparent)),
    )
  }

  #endExecution(row: ExecutionRow, { insert, row: image }: Append, event: JournalEvent): void {
    const startedAt = insert?.startedAt ?? image?.startedAt ?? row.startedAt ?? row.createdAt
    const span = this.#executionSpan({ ...row, executionId: row.id }, timeOf(startedAt))
    span.setAttributes({ 'cairn.workflow.version': row.workflowVersion, 'cairn.execution.end': event.type.slice(10) })
    if (row.correlationId !== null) span.setAttribute('cairn.correlation.id', row.correlationId)
    const { error } = event.data as { error?: ExecutionError }
    if (error !== undefined) fail(span, error)
    span.end(timeOf(event.at))
  }

  /** The step's span; made at its first attempt, and again on a node that goes on with it. */
  #stepOf(live: Live, { executionId, plan, path, idempotencyKey }: AttemptSubject): Span {
    const known = live.steps.get(path)
    if (known !== undefined) return known
    const attributes = { 'cairn.execution.id': executionId, 'cairn.step.id': plan.id, 'cairn.step.path': path }
    const span = this.#ids.next(traceIdOf(executionId), spanIdOf(idempotencyKey), () =>
      this.#tracer.startSpan(`step ${plan.id}`, { attributes }, live.context),
    )
    live.steps.set(path, span)
    return span
  }

  #endStep(row: ExecutionRow, live: Live, event: JournalEvent): void {
    const path = event.path ?? ''
    const span = live.steps.get(path) ?? this.#momentary(row, live, event)
    live.steps.delete(path)
    const { error } = event.data as { error?: ExecutionError }
    if (error !== undefined) fail(span, error)
    span.end(event.attempt === null ? timeOf(event.at) : undefined)
  }

  /** A step without attempts, such as a condition, begins and ends with its event. */
  #momentary(row: ExecutionRow, live: Live, { path, at }: JournalEvent): Span {
    const id = path === null ? '' : stepIdOf(path)
    const attributes = { 'cairn.execution.id': row.id, 'cairn.step.id': id, 'cairn.step.path': path ?? '' }
    return this.#tracer.startSpan(`step ${id}`, { attributes, startTime: timeOf(at) }, live.context)
  }

  #dropSteps(live: Live, at: number, reason: string): void {
    for (const span of live.steps.values()) span.setAttribute('cairn.step.end', reason).end(timeOf(at))
    live.steps.clear()
  }
}

/** A number would be taken for the process's own clock when it is from before this process began. */
const timeOf = (ms: number): Date => new Date(ms)

function endWith(span: Span, outcome: AttemptOutcome | null): void {
  if (outcome === null) span.setAttribute('cairn.attempt.aborted', true)
  else if (outcome.type === 'failed') fail(span, outcome.error)
  span.end()
}

/** The error's type and id only: its message may quote what a server said. The log and the journal have it, redacted. */
function fail(span: Span, { type, errorId }: ExecutionError): void {
  span.setStatus({ code: SpanStatusCode.ERROR, message: type }).setAttribute('error.type', type)
  if (errorId !== undefined) span.setAttribute('cairn.error.id', errorId)
}

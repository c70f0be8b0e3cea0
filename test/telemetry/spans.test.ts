import { context, trace } from '@opentelemetry/api'
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import t from 'tap'
import type { AttemptSubject } from '../../src/engine/step-attempt.ts'
import type { Append } from '../../src/repository/append.ts'
import type { ExecutionRow } from '../../src/repository/execution-row.ts'
import { SpanIds } from '../../src/telemetry/span-ids.ts'
import { Spans } from '../../src/telemetry/spans.ts'

const ids = new SpanIds()
const exporter = new InMemorySpanExporter()
trace.setGlobalTracerProvider(
  new TracerProvider({ idGenerator: ids, spanProcessors: [new SimpleSpanProcessor({ exporter })] }),
)
t.beforeEach(() => exporter.reset())
t.teardown(() => trace.disable())

const executionId = '0199c0de-0000-7000-8000-00000000cafe'
const row = {
  id: executionId,
  workflowId: 'w',
  workflowVersion: 1,
  correlationId: null,
  traceparent: null,
  startedAt: 1000,
}
const append = (...events: object[]) => ({
  executionId,
  events: events.map((event) => ({ path: null, attempt: null, at: 2000, data: {}, ...event })),
})
const tell = (spans: Spans, ...events: object[]) =>
  spans.committed(row as unknown as ExecutionRow, append(...events) as unknown as Append)
const subject = (attempt: number, generation = 0) =>
  ({
    ...{
      executionId,
      workflowId: 'w',
      traceparent: undefined,
      path: 'charge',
      attempt,
      idempotencyKey: `${executionId}/${generation}/charge`,
    },
    plan: { id: 'charge', action: 'echo' },
  }) as unknown as AttemptSubject
const failed = { type: 'failed', error: { type: 'Http5xx', message: '' }, durationMs: 1 } as const
const completed = { type: 'completed', result: { output: 1 }, durationMs: 1 } as const
const named = (name: string) => exporter.getFinishedSpans().filter((span) => span.name === name)

t.test("without a caller's context the trace has the digits of the execution's id", async (t) => {
  const spans = new Spans(ids)
  tell(spans, { type: 'execution.started' }, { type: 'execution.completed' })
  const [execution] = named('execution')
  t.equal(execution?.spanContext().traceId, executionId.replaceAll('-', ''))
  t.equal(execution?.parentSpanContext, undefined)
})

t.test(
  'an execution that moves to another node stays one trace, with one span for itself and one a step',
  async (t) => {
    const dead = new Spans(ids)
    tell(dead, { type: 'execution.started' })
    dead.attemptStarted(subject(1)).end(failed)
    tell(dead, { type: 'step.failed', path: 'charge', attempt: 1, data: { retryAt: 5 } })
    dead.attemptStarted(subject(2))
    t.strictSame([named('execution').length, named('step charge').length, named('attempt').length], [0, 0, 1])

    const next = new Spans(ids)
    tell(next, { type: 'execution.recovered' })
    next.attemptStarted(subject(2)).end(completed)
    tell(next, { type: 'step.completed', path: 'charge', attempt: 2 }, { type: 'execution.completed' })
    const [execution] = named('execution')
    const [step] = named('step charge')
    t.strictSame([named('execution').length, named('step charge').length, named('attempt').length], [1, 1, 2])
    t.equal(step?.parentSpanContext?.spanId, execution?.spanContext().spanId)
    t.ok(named('attempt').every((attempt) => attempt.parentSpanContext?.spanId === step?.spanContext().spanId))
    t.strictSame(execution?.startTime, [1, 0])
  },
)

t.test('a step is told when its end is committed, not when its attempt ends', async (t) => {
  const spans = new Spans(ids)
  spans.attemptStarted(subject(1)).end(completed)
  t.equal(named('step charge').length, 0)
  tell(spans, { type: 'step.completed', path: 'charge', attempt: 1 })
  t.equal(named('step charge').length, 1)
})

t.test('a rollback ends what it supersedes; the step begins a new span in the new generation', async (t) => {
  const spans = new Spans(ids)
  spans.attemptStarted(subject(1)).end(null)
  tell(spans, { type: 'execution.rolled_back' })
  spans.attemptStarted(subject(1, 1)).end(completed)
  tell(spans, { type: 'step.completed', path: 'charge', attempt: 1 })
  const [old, anew] = named('step charge')
  t.equal(old?.attributes['cairn.step.end'], 'superseded')
  t.not(old?.spanContext().spanId, anew?.spanContext().spanId)
  t.equal(named('attempt')[0]?.attributes['cairn.attempt.aborted'], true)
})

t.test('a parked execution leaves nothing behind in memory and goes on in the same trace', async (t) => {
  const spans = new Spans(ids)
  tell(spans, { type: 'execution.started' }, { type: 'execution.parked' })
  t.equal(named('execution').length, 0)
  tell(spans, { type: 'execution.completed' })
  t.equal(named('execution')[0]?.spanContext().traceId, executionId.replaceAll('-', ''))
})

t.test("the attempt does not inherit the caller's context of the moment", async (t) => {
  const stranger = trace.getTracer('x').startSpan('stranger')
  const attempt = context.with(trace.setSpan(context.active(), stranger), () =>
    new Spans(ids).attemptStarted(subject(1)),
  )
  t.notMatch(attempt.traceparent, new RegExp(stranger.spanContext().traceId))
})

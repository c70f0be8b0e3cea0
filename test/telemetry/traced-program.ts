/**
 * Run by tracing.test.ts: a server whose one route runs an execution's attempt that calls DOWNSTREAM with the action's trace
 * context, and with none of its own. It ends when its standard input does.
 */
import '../../src/telemetry/tracing.ts' // Before everything that it instruments.
import Fastify from 'fastify'
import { request as send } from 'undici'
import type { AttemptSubject } from '../../src/engine/step-attempt.ts'
import { requestIdsPlugin } from '../../src/plugins/request-ids.ts'
import type { Append } from '../../src/repository/append.ts'
import type { ExecutionRow } from '../../src/repository/execution-row.ts'
import { httpTelemetryPlugin } from '../../src/telemetry/http.ts'
import { Metrics } from '../../src/telemetry/metrics.ts'
import { createObserver } from '../../src/telemetry/observer.ts'
import { Spans } from '../../src/telemetry/spans.ts'
import { tracing } from '../../src/telemetry/tracing.ts'

const downstream = process.env.DOWNSTREAM!
const metrics = new Metrics()
const observer = createObserver(metrics, tracing && new Spans(tracing.ids))
const app = Fastify()
app.register(requestIdsPlugin)
app.register(httpTelemetryPlugin, { metrics })

app.post<{ Body: { executionId: string; startedAt: number } }>('/run', async ({ body, traceparent }) => {
  const { executionId, startedAt } = body
  const row = {
    id: executionId,
    workflowId: 'w',
    workflowVersion: 3,
    correlationId: 'c-1',
    startedAt,
    traceparent: traceparent ?? null,
  }
  const subject = {
    executionId,
    workflowId: 'w',
    traceparent,
    path: 'fan.fetch',
    attempt: 2,
    idempotencyKey: `${executionId}/0/fan.fetch`,
  }
  const plan = { id: 'fetch', action: 'http_request' }
  const tell = (type: string, data: object, step: object = { path: null, attempt: null }) =>
    observer.committed(
      row as unknown as ExecutionRow,
      { events: [{ type, data, at: startedAt + 5, ...step }] } as unknown as Append,
    )

  tell('execution.started', {})
  tell('step.completed', { output: true }, { path: 'check', attempt: null })
  const trace = observer.attemptStarted({ ...subject, plan } as AttemptSubject)
  const perform = async () => {
    await send(downstream, { headers: { traceparent: trace?.traceparent ?? 'none', 'x-by': 'action' } }).then((r) =>
      r.body.dump(),
    )
    await send(downstream, { headers: { 'x-by': 'library' } }).then((r) => r.body.dump())
  }
  await (trace === null ? perform() : trace.run(perform))
  const error = { type: 'Http5xx', message: 'secret words', errorId: 'e-1' }
  trace?.end({ type: 'failed', error, durationMs: 1 })
  tell('step.failed', { error, retryAt: null }, { path: 'fan.fetch', attempt: 2 })
  tell('execution.failed', { error })
  return { sdk: tracing !== null }
})

process.stdout.write(`${await app.listen({ host: '127.0.0.1', port: 0 })}\n`)
process.stdin.resume().once('end', async () => {
  await app.close()
  await tracing?.shutdown()
})

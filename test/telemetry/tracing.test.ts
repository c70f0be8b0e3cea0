import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { isTracingWanted } from '../../src/telemetry/tracing.ts'
import { type ReceivedSpan, startReceiver } from './otlp-receiver.ts'

const executionId = '0199c0de-0000-7000-8000-00000000cafe'
const callersTrace = '11111111111111111111111111111111'
const callersSpan = '2222222222222222'

/** Runs the traced program once and answers with what it sent on, after it has ended. */
async function runTraced(t: Test, environment: Record<string, string>, traceparent?: string) {
  const calls: IncomingHttpHeaders[] = []
  const downstream = createServer((request, response) => {
    calls.push(request.headers)
    response.end()
  })
  downstream.listen(0, '127.0.0.1')
  await once(downstream, 'listening')
  t.teardown(() => downstream.close())

  const child = spawn(process.execPath, [path.join(import.meta.dirname, 'traced-program.ts')], {
    env: {
      ...process.env,
      ...environment,
      DOWNSTREAM: `http://127.0.0.1:${(downstream.address() as AddressInfo).port}`,
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const [url] = (await once(createInterface(child.stdout), 'line')) as [string]
  const answer = await fetch(`${url}/run`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(traceparent && { traceparent }) },
    body: JSON.stringify({ executionId, startedAt: 1_700_000_000_000 }),
  })
  const body = (await answer.json()) as { sdk: boolean }
  child.stdin.end()
  await once(child, 'exit')
  return { body, calls }
}

t.test("the caller's trace goes on through execution, step, attempt and action, and out again", async (t) => {
  const receiver = await startReceiver()
  t.teardown(() => receiver.close())
  const { body, calls } = await runTraced(t, receiver.environment, `00-${callersTrace}-${callersSpan}-01`)
  t.equal(body.sdk, true)
  t.strictSame([...receiver.services], ['cairn'])

  const { spans } = receiver
  t.ok(
    spans.every((span) => span.traceId === callersTrace),
    'one trace',
  )
  const one = (name: string): ReceivedSpan => {
    const found = spans.filter((span) => span.name === name)
    t.equal(found.length, 1, `one span "${name}"`)
    return found[0]!
  }
  const action = one('http_request')
  const attempt = one('attempt')
  const step = one('step fetch')
  const execution = one('execution')
  t.equal(action.parentSpanId, attempt.spanId)
  t.equal(attempt.parentSpanId, step.spanId)
  t.equal(step.parentSpanId, execution.spanId)
  t.equal(one('step check').parentSpanId, execution.spanId)

  const server = spans.find((span) => span.parentSpanId === callersSpan)
  t.equal(server?.kind, 2, "the server's span is the caller's child")
  t.equal(server?.name, 'POST /run', 'it is named after the route')
  t.equal(execution.parentSpanId, server?.spanId, 'the execution belongs to the request that started it')

  t.equal(calls.find((headers) => headers['x-by'] === 'action')?.traceparent, `00-${callersTrace}-${action.spanId}-01`)
  const library = String(calls.find((headers) => headers['x-by'] === 'library')?.traceparent).split('-')[2]
  t.equal(
    spans.find((span) => span.spanId === library)?.parentSpanId,
    action.spanId,
    'what a library sends hangs below the action',
  )

  t.equal(execution.startTimeUnixNano, '1700000000000000000')
  t.equal(execution.endTimeUnixNano, '1700000000005000000')
  t.match(execution.attributes, {
    'cairn.execution.id': executionId,
    'cairn.correlation.id': 'c-1',
    'error.type': 'Http5xx',
  })
  t.strictSame(step.status, { code: 2, message: 'Http5xx' })
  t.notMatch(JSON.stringify(spans), /secret words/)
})

t.test("a caller's decision not to sample is kept", async (t) => {
  const receiver = await startReceiver()
  t.teardown(() => receiver.close())
  const { calls } = await runTraced(t, receiver.environment, `00-${callersTrace}-${callersSpan}-00`)
  t.strictSame(receiver.spans, [])
  t.match(calls[0]?.traceparent, new RegExp(`^00-${callersTrace}-[0-9a-f]{16}-00$`))
})

t.test('a collector that is not there holds up nobody', async (t) => {
  const { body } = await runTraced(t, {
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9',
    // It goes on trying for that long when the program ends; the default is 10 s.
    OTEL_EXPORTER_OTLP_TIMEOUT: '1000',
  })
  t.equal(body.sdk, true)
})

t.test('without an endpoint nothing is loaded and nothing traced', async (t) => {
  const { body, calls } = await runTraced(t, {})
  t.equal(body.sdk, false)
  t.equal(calls[0]?.traceparent, 'none')
})

t.test('traces are wanted when an endpoint or an exporter is named and the SDK is not disabled', async (t) => {
  t.equal(isTracingWanted({}), false)
  t.equal(isTracingWanted({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c' }), true)
  t.equal(isTracingWanted({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://c' }), true)
  t.equal(isTracingWanted({ OTEL_TRACES_EXPORTER: 'console' }), true)
  t.equal(isTracingWanted({ OTEL_TRACES_EXPORTER: 'none', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c' }), false)
  t.equal(isTracingWanted({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c', OTEL_SDK_DISABLED: 'TRUE' }), false)
})

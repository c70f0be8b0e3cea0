import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import type { AttemptSubject } from '../../src/engine/step-attempt.ts'
import type { Append } from '../../src/repository/append.ts'
import { Registry } from '../../src/telemetry/instruments.ts'
import { Metrics } from '../../src/telemetry/metrics.ts'

const append = (...events: object[]) => ({ events }) as unknown as Append

/** What a scrape over HTTP answers: samples by name with labels. */
async function scrape(t: Test, metrics: Metrics): Promise<Map<string, number>> {
  const server = createServer(metrics.handle).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const answer = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics`)
  t.equal(answer.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
  const text = await answer.text()
  server.close()
  server.closeAllConnections()
  const samples = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(
    samples.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  )
}

t.test('executions, steps and attempts are counted as they are committed', async (t) => {
  const metrics = new Metrics()
  metrics.committed(
    append(
      { type: 'execution.started', data: {} },
      { type: 'step.failed', data: { retryAt: 17 } },
      { type: 'step.failed', data: { retryAt: null } },
      { type: 'step.completed', data: {} },
      { type: 'execution.failed', data: {} },
    ),
  )
  metrics.committed(append({ type: 'execution.recovered', data: {} }, { type: 'execution.quarantined', data: {} }))
  const subject = { plan: { action: 'echo' } } as AttemptSubject
  metrics.attemptEnded(subject, { type: 'completed', result: { output: 1 }, durationMs: 30 })
  metrics.attemptEnded(subject, { type: 'failed', error: { type: 'X', message: '' }, durationMs: 3 })
  const samples = await scrape(t, metrics)
  const expected = {
    cairn_executions_started_total: 1,
    cairn_executions_recovered_total: 1,
    'cairn_executions_ended_total{status="failed"}': 2,
    'cairn_executions_ended_total{status="completed"}': 0,
    'cairn_steps_total{outcome="completed"}': 1,
    'cairn_steps_total{outcome="retried"}': 1,
    'cairn_steps_total{outcome="failed"}': 1,
    'cairn_attempts_total{action="echo",outcome="completed"}': 1,
    'cairn_attempts_total{action="echo",outcome="failed"}': 1,
    'cairn_attempt_duration_seconds_bucket{action="echo",le="0.005"}': 1,
    'cairn_attempt_duration_seconds_bucket{action="echo",le="0.05"}': 2,
    'cairn_attempt_duration_seconds_count{action="echo"}': 2,
  }
  for (const [name, value] of Object.entries(expected)) t.equal(samples.get(name), value, name)
})

const circuits = () => ({ guarded: 2, opened: 3 })
const slots = () => ({ asked: 8, granted: 6, refused: 1 })
const rateLimits = () => ({ granted: 5, deferred: 4 })
const removed = () => ({ executions: 4, retiredEvents: 40, compactedEvents: 9 })

t.test('flushes and answers have histograms, the engine and the process have gauges', async (t) => {
  const metrics = new Metrics()
  metrics.watch({
    running: () => 7,
    queueDepth: () => 3,
    subscribers: () => 2,
    leaseAgeMs: () => 1500,
    removed,
    circuits,
    slots,
    rateLimits,
  })
  metrics.flushed({ rows: 400, bytes: 70_000, durationMs: 4 })
  metrics.answered('GET', '/api/workflows/:workflowId', 200, 12)
  const samples = await scrape(t, metrics)
  t.equal(samples.get('cairn_flush_rows_bucket{le="200"}'), 0)
  t.equal(samples.get('cairn_flush_rows_bucket{le="500"}'), 1)
  t.equal(samples.get('cairn_flush_bytes_sum'), 70_000)
  t.equal(samples.get('cairn_flush_duration_seconds_sum'), 0.004)
  t.equal(
    samples.get(
      'cairn_http_request_duration_seconds_count{method="GET",route="/api/workflows/:workflowId",status="200"}',
    ),
    1,
  )
  t.equal(samples.get('cairn_executions_running'), 7)
  t.equal(samples.get('cairn_journal_queue_depth'), 3)
  t.equal(samples.get('cairn_subscribers'), 2)
  t.equal(samples.get('cairn_lease_age_seconds'), 1.5)
  t.equal(samples.get('cairn_retired_executions_total'), 4)
  t.equal(samples.get('cairn_retired_events_total'), 40)
  t.equal(samples.get('cairn_compacted_events_total'), 9)
  t.equal(samples.get('cairn_circuits_open'), 2)
  t.equal(samples.get('cairn_circuits_opened_total'), 3)
  t.equal(samples.get('cairn_slots_asked_total'), 8)
  t.equal(samples.get('cairn_slots_granted_total'), 6)
  t.equal(samples.get('cairn_slots_refused_total'), 1)
  t.equal(samples.get('cairn_rate_limits_granted_total'), 5)
  t.equal(samples.get('cairn_rate_limits_deferred_total'), 4)
  t.ok(samples.get('process_resident_memory_bytes')! > 0)
  t.ok(samples.get('process_cpu_seconds_total')! > 0)
})

t.test('a gauge without a value now is left out', async (t) => {
  const metrics = new Metrics()
  metrics.watch({
    running: () => 0,
    queueDepth: () => 0,
    subscribers: () => 0,
    leaseAgeMs: () => null,
    removed,
    circuits,
    slots,
    rateLimits,
  })
  t.notOk((await scrape(t, metrics)).has('cairn_lease_age_seconds'))
})

t.test('a histogram puts a value that equals a bound below it, and ends with +Inf', async (t) => {
  const registry = new Registry()
  const histogram = registry.histograms('h', 'help', [1, 2]).of()
  for (const value of [1, 2, 3]) histogram.observe(value)
  t.equal(
    registry.text(),
    [
      ...['# HELP h help', '# TYPE h histogram'],
      ...['h_bucket{le="1"} 1', 'h_bucket{le="2"} 2', 'h_bucket{le="+Inf"} 3', 'h_sum 6', 'h_count 3', ''],
    ].join('\n'),
  )
})

t.test('label values are escaped', async (t) => {
  const registry = new Registry()
  registry.counters('c', 'help', ['name']).of('a"b\\c\nd').value = 2
  t.match(registry.text(), 'c{name="a\\"b\\\\c\\nd"} 2')
})

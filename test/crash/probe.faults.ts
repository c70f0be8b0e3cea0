/** A circuit whose probe dies with its node: others wait for the probe's lease, then one of them probes. */
import t from 'tap'
import { listen, sendJson } from '../engine/actions/loopback.ts'
import { journalOf } from '../engine/running-engine.ts'
import { until } from '../harness/condition.ts'
import { endOf, startVictim } from './processes.ts'
import { scenarioEngine } from './scenario.ts'
import { deadAreSwept, prepare } from './scene.ts'

t.setTimeout(300_000)

t.test('a probe whose node is killed is another’s when its lease has run out, and nobody calls before', async (t) => {
  const service = await listen(t, (_, response) => {
    const { length } = service.received
    if (length === 1) sendJson(response, { error: 'away' }, 503)
    // The second one is the probe: it is not answered.
    if (length > 2) sendJson(response, 'back')
  })
  const call = {
    id: 'call',
    type: 'action',
    config: { type: 'http_request', url: service.url },
    circuitBreaker: { failureThreshold: 1, openMs: 200 },
    retryPolicy: { maxAttempts: 5, initialIntervalMs: 50, jitter: 0 },
  }
  const scene = await prepare(t, { name: 'calls', steps: [call] })
  const { databaseUrl, ledger, executionId, sql } = scene
  const victim = startVictim(t, {
    ...{ DATABASE_URL: databaseUrl, LEDGER_URL: ledger.url, EXECUTION_ID: executionId, UNDRIVEN: 'yes' },
  })
  await until('the probe is under way', async () => service.received.length === 2)
  victim.kill('SIGKILL')
  t.equal(await endOf(victim), 'SIGKILL')
  const [circuit] = (await sql(
    'SELECT probe_id, probe_until, now() < to_timestamp(probe_until / 1000) AS runs FROM circuit_breakers',
  )) as [{ runs: boolean }]
  t.match(circuit, { runs: true }, 'the lease of the probe goes on without it')
  await deadAreSwept(scene)

  const survivor = scenarioEngine({ databaseUrl, ledgerUrl: ledger.url })
  t.teardown(() => survivor.stop())
  await survivor.start()
  await until('its step is put off once more', async () => {
    const journal = await journalOf(survivor, executionId)
    const since = journal.findLast(({ type }) => type === 'execution.recovered')?.seq ?? Number.POSITIVE_INFINITY
    return journal.some(({ seq, data }) => seq > since && (data as { deferred?: true }).deferred === true)
  })
  t.equal(service.received.length, 2, 'nobody calls while the lease runs')
  await sql('UPDATE circuit_breakers SET probe_until = 0')
  t.match(await survivor.waitForEnd(executionId, 60_000), { status: 'completed', output: 'back' })
  t.equal(service.received.length, 3)
  t.match(await survivor.circuitBreakers.list(10, null), [{ state: 'closed', trips: 0, isProbed: false }])
})

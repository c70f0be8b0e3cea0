/** All of a node's pooled connections are held by statements that take long: requests are put off, executions go on. */
import t from 'tap'
import { buildApp } from '../../src/app.ts'
import { call, echo, journalOf, latch, run, seen, startEngine } from '../engine/running-engine.ts'
import { until } from '../harness/condition.ts'
import { createTestDatabase } from '../harness/database.ts'
import { withClient } from '../harness/server.ts'
import { stayAlive } from './load.ts'

const poolSize = 2

t.test('requests get a 503, what runs goes on, what sleeps wakes later', async (t) => {
  t.setTimeout(300_000)
  stayAlive(t)
  const { url } = await createTestDatabase(t)
  const [reached, gate, after] = [latch(), latch(), latch()]
  const calls = {
    hold: () => {
      reached.open()
      return gate.promise.then(() => 'held')
    },
    after: ({ data }: { data: unknown }) => {
      after.open()
      return data as string
    },
  }
  const engine = await startEngine(t, calls, { databaseUrl: url, poolSize, leaseMs: 120_000 })
  const app = buildApp({ engine })
  t.teardown(() => app.close())
  const get = (address: string) => app.inject({ method: 'GET', url: address })
  const running = await run(engine, [call('hold'), call('after')])
  const retryPolicy = { maxAttempts: 2, initialIntervalMs: 1_500, jitter: 0 }
  const sleeping = await run(engine, [echo('later', { fail: { untilAttempt: 2, retryable: true } }, { retryPolicy })])
  await reached.promise
  await seen(engine, sleeping, 'execution.parked')

  await withClient(url, async (client) => {
    const sql = async (text: string) => (await client.query(text)).rows
    await sql('BEGIN')
    await sql('LOCK TABLE workflows IN ACCESS EXCLUSIVE MODE')
    // Each holds a connection for as long as the table is locked.
    const slow = Array.from({ length: poolSize }, () => get('/api/workflows'))
    await until('every connection of the pool is held', async () => {
      const held = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
      return (await client.query(held)).rowCount === poolSize
    })

    const post = { method: 'POST', url: `/api/workflows/executions/${running}/signals/news`, payload: {} } as const
    // Together: each waits for a connection until its patience ends.
    const [refused, written] = await Promise.all([get(`/api/workflows/executions/${running}`), app.inject(post)])
    t.equal(refused.statusCode, 503)
    t.match(refused.json(), { code: 'DATABASE_UNAVAILABLE', status: 503, detail: String })
    t.equal(refused.headers['retry-after'], '1')
    t.equal(written.statusCode, 503, 'a write as well')
    t.equal((await get('/health/ready')).statusCode, 200, 'it stays in service: the others are as busy')

    gate.open()
    await after.promise
    await until('what runs has ended', async () => {
      const [row] = await sql(`SELECT status FROM workflow_executions WHERE id = '${running}'`)
      return row.status === 'completed'
    })
    t.same(await engine.readiness(), [], 'its flushes and heartbeats have connections of their own')

    await sql('COMMIT')
    t.same(
      (await Promise.all(slow)).map(({ statusCode }) => statusCode),
      Array.from({ length: poolSize }, () => 200),
      'what waited is answered',
    )
  })
  t.equal((await get(`/api/workflows/executions/${running}`)).statusCode, 200, 'and so is what comes now')
  t.match(await engine.waitForEnd(sleeping, 60_000), { status: 'completed' }, 'what sleeps has woken')
  for (const id of [running, sleeping]) {
    const journal = await journalOf(engine, id)
    t.notOk(
      journal.some(({ seq, type }, index) => seq !== index + 1 || type === 'execution.recovered'),
      'in one life, without a hole',
    )
  }
})

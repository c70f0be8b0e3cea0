/**
 * Connections that are cut around one statement: before the server has it, after it was performed and before its answer, and
 * so that the server performs it later. Whoever sent it sends it again, and the outcome is exact.
 */
import t, { type Test } from 'tap'
import { call, echo, ended, journalOf, latch, run, seen, startEngine } from '../engine/running-engine.ts'
import { createTestDatabase } from '../harness/database.ts'
import { withClient } from '../harness/server.ts'
import { patiently, stayAlive } from './load.ts'
import { type Fault, startProxy } from './proxy.ts'

const faults: readonly Fault[] = ['lost', 'unanswered', 'late']
const leaseMs = 60_000

async function open(t: Test) {
  stayAlive(t)
  const { url } = await createTestDatabase(t)
  const proxy = await startProxy(t, url)
  const sql = (text: string) => withClient(url, async (client) => (await client.query(text)).rows)
  return { url, proxy, sql, reach: { databaseUrl: proxy.url, prepare: false, leaseMs } }
}

for (const fault of faults) {
  t.test(`a flush that is ${fault}: the same rows again, each step once`, async (t) => {
    const { proxy, reach } = await open(t)
    const performed: string[] = []
    const note = ({ path }: { path: string }) => performed.push(path)
    const engine = await startEngine(t, { a: note, b: note, c: note }, reach)
    const met = proxy.fault('FROM node_lanes', fault, 2)
    const id = await run(engine, [call('a'), call('b'), call('c')])
    const deliver = await met
    t.equal((await patiently(() => ended(engine, id))).status, 'completed')
    const journal = await journalOf(engine, id)
    await deliver()
    t.same(await journalOf(engine, id), journal, 'what comes late changes nothing')
    t.same(performed, ['a', 'b', 'c'])
    t.notOk(journal.some(({ seq }, index) => seq !== index + 1))
  })

  t.test(`flushes of many events that are ${fault}: the same`, async (t) => {
    const { proxy, reach } = await open(t)
    const performed = new Map<string, string[]>()
    const note = ({ executionId, path }: { executionId: string; path: string }) => {
      performed.set(executionId, [...(performed.get(executionId) ?? []), path])
      return null
    }
    const calls = { a: note, b: note, c: note }
    const engine = await startEngine(t, calls, reach)
    const workflow = await engine.createWorkflow({ name: 'many', steps: Object.keys(calls).map((id) => call(id)) })
    const met = proxy.fault('COPY execution_events', fault, 2)
    const ids = await Promise.all(Array.from({ length: 10 }, () => engine.startExecution(workflow.id, 'test')))
    const deliver = await met
    for (const id of ids) t.equal((await patiently(() => ended(engine, id))).status, 'completed')
    const journals = await Promise.all(ids.map((id) => journalOf(engine, id)))
    await deliver()
    for (const [index, id] of ids.entries()) {
      t.same(await journalOf(engine, id), journals[index], 'what comes late changes nothing')
      t.same(performed.get(id), ['a', 'b', 'c'])
      t.notOk(journals[index]!.some(({ seq }, place) => seq !== place + 1))
    }
  })

  t.test(`a keyed start that is ${fault}: repeated under its key it is one execution`, async (t) => {
    const { proxy, sql, reach } = await open(t)
    const engine = await startEngine(t, {}, reach)
    const workflow = await engine.createWorkflow({ name: 'keyed', steps: [echo('a')] })
    const met = proxy.fault('INSERT INTO idempotency_keys', fault)
    const request = { workflowId: workflow.id, idempotencyKey: 'once' }
    await t.rejects(engine.requestStart(request), 'the caller hears that nobody knows')
    const deliver = await met
    const { execution } = await patiently(() => engine.requestStart(request))
    await deliver()
    t.equal((await patiently(() => ended(engine, execution.id))).status, 'completed')
    t.same(await sql('SELECT id FROM workflow_executions'), [{ id: execution.id }])
  })

  t.test(`a keyed signal that is ${fault}: repeated under its key it is received once`, async (t) => {
    const { proxy, reach } = await open(t)
    const gate = latch()
    const engine = await startEngine(t, { hold: () => gate.promise.then(() => null) }, reach)
    const id = await run(engine, [call('hold')])
    const met = proxy.fault('INSERT INTO execution_inbox', fault)
    const signal = () => engine.signal(id, 'hello', 1, { idempotencyKey: 'once' })
    await t.rejects(signal())
    const deliver = await met
    await patiently(signal)
    await deliver()
    await seen(engine, id, 'signal.received')
    gate.open()
    await patiently(() => ended(engine, id))
    t.equal((await journalOf(engine, id)).filter(({ type }) => type === 'signal.received').length, 1)
  })
}

for (const fault of ['lost', 'unanswered'] as const) {
  t.test(`a claim that is ${fault}: the execution is found and performed once`, async (t) => {
    const { proxy, reach } = await open(t)
    let performed = 0
    const engine = await startEngine(t, { a: () => ++performed }, { ...reach, leaseMs: 6_000 })
    const workflow = await engine.createWorkflow({ name: 'claimed', steps: [call('a')] })
    const met = proxy.fault('WITH RECURSIVE alive', fault)
    const { execution } = await patiently(() =>
      engine.requestStart({ workflowId: workflow.id, idempotencyKey: 'claimed' }),
    )
    const deliver = await met
    await deliver()
    t.equal((await patiently(() => ended(engine, execution.id))).status, 'completed')
    t.equal(performed, 1)
  })

  t.test(`a registration that is ${fault}: the node begins all the same`, async (t) => {
    const { proxy, reach } = await open(t)
    const met = proxy.fault('INSERT INTO nodes', fault)
    const engine = await startEngine(t, {}, reach)
    const deliver = await met
    await deliver()
    const id = await run(engine, [echo('a', { value: 1 })])
    t.match(await ended(engine, id), { status: 'completed', output: 1 })
  })

  t.test(`a heartbeat that is ${fault}: the node lives on`, async (t) => {
    const { proxy, reach } = await open(t)
    const gate = latch()
    const engine = await startEngine(t, { hold: () => gate.promise.then(() => 1) }, { ...reach, leaseMs: 12_000 })
    const id = await run(engine, [call('hold')])
    const deliver = await proxy.fault('UPDATE nodes SET expires_at', fault)
    await deliver()
    gate.open()
    t.match(await patiently(() => ended(engine, id)), { status: 'completed', output: 1 })
    t.notOk((await journalOf(engine, id)).some(({ type }) => type === 'execution.recovered'))
  })

  t.test(`the COMMIT of an exactlyOnce query that is ${fault}: the query is done once`, async (t) => {
    const { url, proxy, sql } = await open(t)
    await sql('CREATE TABLE payments (amount int)')
    const engine = await startEngine(
      t,
      {},
      { databaseUrl: url, targets: { dataSources: { main: { url: proxy.url } } } },
    )
    const config = {
      type: 'database_query',
      dataSource: 'main',
      query: 'INSERT INTO payments VALUES (5)',
      exactlyOnce: true,
    }
    const retryPolicy = { maxAttempts: 5, initialIntervalMs: 10, jitter: 0 }
    const met = proxy.fault('COMMIT', fault)
    const id = await run(engine, [{ id: 'pay', name: 'pay', type: 'action', config, retryPolicy }])
    const deliver = await met
    t.equal((await engine.waitForEnd(id, 60_000)).status, 'completed')
    await deliver()
    t.same(await sql('SELECT amount FROM payments'), [{ amount: 5 }])
  })
}

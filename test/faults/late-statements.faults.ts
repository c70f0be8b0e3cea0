/**
 * Registrations, heartbeats and claims that PostgreSQL performs when the node that sent them has given them up: it has sent
 * others, or has died and lives anew. See connections.faults.ts for flushes, starts and signals.
 */
import t, { type Test } from 'tap'
import type { WorkflowEngine } from '../../src/engine/engine.ts'
import { call, ended, journalOf, latch, run, seen, startEngine } from '../engine/running-engine.ts'
import { until } from '../harness/condition.ts'
import { createTestDatabase } from '../harness/database.ts'
import { withClient } from '../harness/server.ts'
import { patiently, stayAlive } from './load.ts'
import { startProxy } from './proxy.ts'

t.setTimeout(300_000)

async function open(t: Test) {
  stayAlive(t)
  const { url } = await createTestDatabase(t)
  const proxy = await startProxy(t, url)
  const sql = (text: string) => withClient(url, async (client) => (await client.query(text)).rows)
  return { url, proxy, sql, reach: { databaseUrl: proxy.url, prepare: false } }
}

/** An execution and its journal, when nothing is under way any more. */
const standOf = async (engine: WorkflowEngine, id: string) => ({
  execution: await patiently(() => engine.getExecution(id)),
  journal: await patiently(() => journalOf(engine, id)),
})

t.test('a registration that is performed late is of a node that nobody is: it is swept away', async (t) => {
  const { proxy, sql, reach } = await open(t)
  const met = proxy.fault('INSERT INTO nodes', 'late')
  const performed: string[] = []
  const engine = await startEngine(t, { a: ({ path }) => performed.push(path) }, { ...reach, leaseMs: 6_000 })
  const deliver = await met
  const [{ id: living }] = (await sql('SELECT id FROM nodes')) as [{ id: string }]
  await deliver()
  const orphans = (await sql(`SELECT id FROM nodes WHERE id <> '${living}'`)) as { id: string }[]
  t.equal(orphans.length, 1, 'it is there')
  const id = await run(engine, [call('a')])
  t.equal((await patiently(() => ended(engine, id))).status, 'completed')
  await until('it is swept away', async () => {
    return (await sql(`SELECT FROM nodes WHERE id = '${orphans[0]!.id}'`)).length === 0
  })
  t.same(performed, ['a'])
})

t.test('heartbeats that are performed late do not bring a dead node back', async (t) => {
  const { url, proxy, sql, reach } = await open(t)
  const reached = latch()
  let performed = 0
  const calls = {
    hold: () => {
      reached.open()
      performed += 1
      return performed === 1 ? new Promise<never>(() => {}) : 'elsewhere'
    },
  }
  const cutOff = await startEngine(t, calls, { ...reach, leaseMs: 3_000, drainMs: 10 })
  const id = await run(cutOff, [call('hold')])
  await reached.promise
  const { owner } = (await cutOff.store.findExecution(id))!
  const late = proxy.holdBack('UPDATE nodes SET expires_at')
  await late.first
  const other = await startEngine(t, calls, { databaseUrl: url, leaseMs: 120_000 })
  await seen(other, id, 'execution.recovered')
  t.match(await ended(other, id), { status: 'completed', output: 'elsewhere' })
  const [stand, before] = [await standOf(other, id), performed]
  t.ok((await late.deliver()) > 0)
  t.same(await sql(`SELECT FROM nodes WHERE id = '${owner}'`), [], 'an id never comes back')
  t.same(await standOf(other, id), stand)
  t.equal(performed, before)
})

t.test('a claim that is performed late, by a node that lives: what it makes ours is found', async (t) => {
  const { proxy, reach } = await open(t)
  const performed: string[] = []
  const calls = { a: ({ executionId }: { executionId: string }) => performed.push(executionId) }
  // What nobody expected is looked for once a lease.
  const engine = await startEngine(t, calls, { ...reach, leaseMs: 6_000 })
  const workflow = await engine.createWorkflow({ name: 'claimed', steps: [call('a')] })
  const start = (idempotencyKey: string) =>
    patiently(() => engine.requestStart({ workflowId: workflow.id, idempotencyKey }))
  const late = proxy.holdBack('WITH RECURSIVE alive')
  await late.first
  // Nobody claims it but what is held back.
  const { execution } = await start('one')
  t.ok((await late.deliver()) > 0)
  t.equal((await patiently(() => engine.waitForEnd(execution.id, 120_000))).status, 'completed')
  t.same(performed, [execution.id])
})

t.test('a claim that is performed late, by a node that is dead: it claims nothing', async (t) => {
  const { url, proxy, sql, reach } = await open(t)
  const performed: string[] = []
  const calls = { a: ({ executionId }: { executionId: string }) => performed.push(executionId) }
  const dead = await startEngine(t, calls, { ...reach, leaseMs: 6_000, drainMs: 10 })
  const workflow = await dead.createWorkflow({ name: 'claimed', steps: [call('a')] })
  const late = proxy.holdBack('WITH RECURSIVE alive')
  await late.first
  const nodes = (await sql('DELETE FROM nodes RETURNING id')) as { id: string }[]
  const { execution } = await patiently(() => dead.requestStart({ workflowId: workflow.id, idempotencyKey: 'one' }))
  // Those of its next life, which lives, may be among them.
  t.ok((await late.deliver()) > 0)
  const [row] = await sql(`SELECT owner FROM workflow_executions WHERE id = '${execution.id}'`)
  t.not(row?.owner, nodes[0]!.id, 'it is not the dead node’s')
  const other = await startEngine(t, calls, { databaseUrl: url, leaseMs: 120_000 })
  await dead.stop()
  t.equal((await other.waitForEnd(execution.id, 120_000)).status, 'completed')
  t.same(performed, [execution.id])
})

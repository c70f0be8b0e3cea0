/** What foreign hands or bad luck may leave in the database: one execution is quarantined and says why, the rest go on. */
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { WorkflowEngine } from '../../src/engine/engine.ts'
import { until } from '../harness/condition.ts'
import { createTestDatabase } from '../harness/database.ts'
import { withClient } from '../harness/server.ts'
import { call, echo, ended, journalOf, run, seen, startEngine } from './running-engine.ts'

/** Makes an execution's rows bad; answers what makes them good again. */
type Harm = (sql: Sql, id: string) => Promise<() => Promise<unknown>>
type Sql = (text: string, values?: unknown[]) => Promise<Record<string, string>[]>

const journal = "FROM execution_events WHERE execution_id = $1 AND type = 'step.completed'"

const exchange =
  (column: 'type' | 'path' | 'data', value: string): Harm =>
  async (sql, id) => {
    const [{ was, seq }] = (await sql(`SELECT ${column}::text AS was, seq ${journal}`, [id])) as [
      Record<string, string>,
    ]
    const set = `UPDATE execution_events SET ${column} = $2${column === 'data' ? '::json' : ''} WHERE execution_id = $1 AND seq = $3`
    await sql(set, [id, value, seq])
    return () => sql(set, [id, was, seq])
  }

const remove =
  (table: string, condition: string): Harm =>
  async (sql, id) => {
    const rows = await sql(`DELETE FROM ${table} AS x WHERE ${condition} RETURNING row_to_json(x)::text AS row`, [id])
    return () =>
      sql(`INSERT INTO ${table} SELECT * FROM json_populate_record(NULL::${table}, $1::json)`, [rows[0]!.row])
  }

const harms: Record<string, { harm: Harm; says: RegExp }> = {
  'a version that is gone': {
    harm: remove('workflow_versions', 'workflow_id = (SELECT workflow_id FROM workflow_executions WHERE id = $1)'),
    says: /[Vv]ersion 1/,
  },
  'an event of an unknown type': { harm: exchange('type', 'step.melted'), says: /step\.melted|after seq/ },
  'an event of a path that was never reached': { harm: exchange('path', 'nowhere'), says: /nowhere/ },
  'an event whose data are none': { harm: exchange('data', 'null'), says: /after seq/ },
  'a hole in the journal': {
    harm: remove('execution_events', "execution_id = $1 AND type = 'step.completed'"),
    says: /seq 2/,
  },
}

t.test('each bad state quarantines its own execution, and a retry goes on when it was repaired', async (t) => {
  const { url: databaseUrl, sql } = await open(t)
  const first = await startEngine(t, { hold: () => new Promise<never>(() => {}) }, { databaseUrl, drainMs: 0 })
  const healthy = await held(first)
  const sick = new Map<string, string>()
  for (const name of Object.keys(harms)) sick.set(name, await held(first))
  await first.stop()
  const repairs = new Map<string, () => Promise<unknown>>()
  for (const [name, id] of sick) repairs.set(name, await harms[name]!.harm(sql, id))

  const second = await startEngine(t, { hold: () => 'fine' }, { databaseUrl })
  t.match(await ended(second, healthy), { status: 'completed', output: 'fine' }, 'the others go on')
  for (const [name, id] of sick) {
    const { says } = harms[name]!
    t.match(await failed(second, id), { status: 'failed', error: { type: 'InternalError', message: says } }, name)
    await repairs.get(name)!()
    await second.retryExecution(id)
    t.match(await ended(second, id), { status: 'completed', output: 'fine' }, `${name}, repaired`)
    const completed = (await journalOf(second, id)).filter(({ type }) => type === 'step.completed')
    t.same(
      completed.map(({ path }) => path),
      ['one', 'hold'],
      'no completed step was performed again',
    )
  }
})

const signalTo = (executionId: string) => {
  const requestId = crypto.randomUUID()
  return { executionId, kind: 'signal', name: 'go', payload: 7, requestId, at: Date.now() } as const
}

t.test('what a child came to while its parent was out of service is known after the retry', async (t) => {
  const { url: databaseUrl, sql } = await open(t)
  const engine = await startEngine(t, {}, { databaseUrl })
  const waits = { id: 'w', type: 'wait_for_signal', config: { signal: 'go' } }
  await engine.createWorkflow({ name: 'waits', steps: [waits] })
  const child = (config: object) => ({ id: 'child', type: 'sub_workflow', config: { workflow: 'waits', ...config } })
  const beside = { mode: 'fire_and_forget', parentClosePolicy: 'wait' }
  for (const { config, early } of [
    { config: {}, early: false },
    { config: {}, early: true },
    { config: beside, early: false },
  ]) {
    const id = await run(engine, [echo('one'), child(config)])
    const childId = ((await seen(engine, id, 'child.started')).data as { executionId: string }).executionId
    await until('the parent is parked', async () => (await engine.getExecution(id)).owner === null)
    const repair = await exchange('type', 'step.melted')(sql, id)
    // Early: its end is among what is taken from the inbox of the one that is set aside.
    if (early) await engine.signal(childId, 'go', 7)
    // The request itself would read the history.
    else await engine.store.insertInbox(signalTo(id))
    await failed(engine, id)
    if (!early) await engine.signal(childId, 'go', 7)
    t.match(await ended(engine, childId), { status: 'completed' })
    await repair()
    await engine.retryExecution(id)
    t.match(await ended(engine, id), { status: 'completed', output: config === beside ? { executionId: childId } : 7 })
  }
})

t.test(
  'a child that is quarantined fails the step that waits for it, and its retry changes nothing for the parent',
  async (t) => {
    const { url: databaseUrl, sql } = await open(t)
    const engine = await startEngine(t, {}, { databaseUrl })
    const waits = { id: 'w', type: 'wait_for_signal', config: { signal: 'go' } }
    await engine.createWorkflow({ name: 'waits', steps: [echo('one'), waits] })
    const id = await run(engine, [{ id: 'child', type: 'sub_workflow', config: { workflow: 'waits' } }])
    const childId = ((await seen(engine, id, 'child.started')).data as { executionId: string }).executionId
    await seen(engine, childId, 'step.decided', 'w')
    await until('the child is parked', async () => (await engine.getExecution(childId)).owner === null)
    const repair = await exchange('type', 'step.melted')(sql, childId)
    // The request itself would read the history.
    await engine.store.insertInbox(signalTo(childId))
    t.match(await ended(engine, id), {
      status: 'failed',
      error: { type: 'InternalError', stepPath: 'child', details: { executionId: childId } },
    })
    await repair()
    await t.rejects(engine.retryExecution(childId), { code: 'CHILD_RESULT_TAKEN' })
  },
)

t.test('a snapshot that cannot be read is passed over: the journal has it all', async (t) => {
  const { url: databaseUrl, sql } = await open(t)
  const first = await startEngine(t, { hold: () => new Promise<never>(() => {}) }, { databaseUrl, drainMs: 0 })
  const images = ['null', '[]', '{}', '{"steps": "garbled"}', `{"seq": 2, "steps": [null]}`]
  const ids: string[] = []
  for (const image of images) {
    const id = await held(first)
    ids.push(id)
    await sql('INSERT INTO execution_snapshots (execution_id, seq, created_at, state) VALUES ($1, 2, 0, $2)', [
      id,
      image,
    ])
  }
  await first.stop()
  const second = await startEngine(t, { hold: () => 'fine' }, { databaseUrl })
  for (const [index, id] of ids.entries())
    t.match(await ended(second, id), { status: 'completed', output: 'fine' }, images[index]!)
})

t.test('an execution of a format that this release does not know is left to one that does', async (t) => {
  const { url: databaseUrl, sql } = await open(t)
  const first = await startEngine(t, { hold: () => new Promise<never>(() => {}) }, { databaseUrl, drainMs: 0 })
  const [strange, healthy] = [await held(first), await held(first)]
  await first.stop()
  await sql('UPDATE workflow_executions SET format = 99 WHERE id = $1', [strange])
  const before = await sql('SELECT count(*) AS events FROM execution_events WHERE execution_id = $1', [strange])
  const second = await startEngine(t, { hold: () => 'fine' }, { databaseUrl })
  t.match(await ended(second, healthy), { status: 'completed' })
  t.match(await second.getExecution(strange), { status: 'running', owner: null })
  t.same(await sql('SELECT count(*) AS events FROM execution_events WHERE execution_id = $1', [strange]), before)
  await sql('UPDATE workflow_executions SET format = 1 WHERE id = $1', [strange])
  t.match(await ended(second, strange), { status: 'completed', output: 'fine' })
})

async function open(t: Test): Promise<{ url: string; sql: Sql }> {
  const { url } = await createTestDatabase(t)
  return { url, sql: (text, values) => withClient(url, async (client) => (await client.query(text, values)).rows) }
}

/** The execution once its row says that it failed: what cannot be read may not be streamed either. */
async function failed(engine: WorkflowEngine, id: string) {
  for (;;) {
    const execution = await engine.getExecution(id)
    if (execution.status === 'failed') return execution
    await delay(50)
  }
}

/** An execution that has one step behind it and is in the midst of the next. */
async function held(engine: WorkflowEngine): Promise<string> {
  const id = await run(engine, [echo('one'), call('hold')])
  await seen(engine, id, 'step.completed', 'one')
  return id
}

import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { createDatabaseQuery, type DataSourceOptions } from '../../../src/engine/actions/database-query.ts'
import { effectsTable } from '../../../src/repository/effects.ts'
import { createTestDatabase } from '../../harness/database.ts'
import { withClient } from '../../harness/server.ts'
import { ended, run, seen, startEngine } from '../running-engine.ts'
import { attempt, failure } from './attempt.ts'
import { openSeverable } from './severed-connection.ts'

const pay = 'INSERT INTO payments (amount) VALUES ($1) RETURNING id, amount::numeric, now() AS at'

/** A database with a table of payments, and the action on it. */
async function open(t: Test, options: Partial<DataSourceOptions> = {}, maxBytes = 1_048_576) {
  const { url } = await createTestDatabase(t)
  const sql = (text: string, values: unknown[] = []) =>
    withClient(url, async (client) => (await client.query(text, values)).rows)
  await sql('CREATE TABLE payments (id serial PRIMARY KEY, amount numeric CHECK (amount > 0))')
  const { action, close } = createDatabaseQuery({ dataSources: { main: { url, ...options } }, maxBytes })
  t.teardown(close)
  const config = (more: object) => ({ dataSource: 'main', query: pay, parameters: [5], exactlyOnce: true, ...more })
  return {
    url,
    sql,
    perform: (more: object = {}, context: object = {}) => attempt(action, config(more), context),
    fail: (more: object = {}, context: object = {}) => failure(action, config(more), context),
    payments: async () => (await sql('SELECT count(*)::int AS count FROM payments'))[0].count,
    records: async () => {
      const [{ made }] = await sql("SELECT to_regclass('cairn_effects') IS NOT NULL AS made")
      return made ? sql('SELECT idempotency_key, result FROM cairn_effects ORDER BY at') : []
    },
  }
}

t.test('a query is performed once for a key; whoever comes with it again gets the recorded rows', async (t) => {
  const { perform, payments, records, sql } = await open(t)
  const first = await perform()
  t.match(first.meta, { rowCount: 1, replayed: false, durationMs: Number })
  const again = await perform({ query: 'SELECT 1 / 0', parameters: [] })
  t.equal(JSON.stringify(again.output), JSON.stringify(first.output), 'byte for byte')
  t.match(again.meta, { rowCount: 1, replayed: true, durationMs: Number })
  t.equal(await payments(), 1)
  t.match(await records(), [{ idempotency_key: '01990000-0000-7000-8000-000000000001/0/step' }])
  await perform({}, { idempotencyKey: 'another' })
  t.equal(await payments(), 2, 'another key is another effect')
  await sql('DELETE FROM cairn_effects')
  t.match(await perform(), { meta: { replayed: false } }, 'a record that was cleaned away counts no more')
})

t.test('what the record cannot hold as it is, numbers and names and empty lists, comes back as it was', async (t) => {
  const { perform } = await open(t)
  const queries = [
    `SELECT 9007199254740993::int8 AS big, 'NaN'::float8 AS nan, '{"b":1,"a":"\\u0000"}'::json AS "2", null AS "1", '"' AS "ä b"`,
    'SELECT FROM payments',
    'CREATE TABLE more (id int)',
    'SELECT',
  ]
  for (const query of queries) {
    const more = { query, parameters: [] }
    const first = await perform(more, { idempotencyKey: query })
    const again = await perform(more, { idempotencyKey: query })
    t.equal(JSON.stringify(again.output), JSON.stringify(first.output))
    t.equal(again.meta!.rowCount, first.meta!.rowCount)
  }
  const idempotencyKey = `x/0/${'deep.'.repeat(20_000)}`
  await perform({}, { idempotencyKey })
  t.match(await perform({}, { idempotencyKey }), { meta: { replayed: true } }, 'a key of any length')
})

t.test('a query that failed has done nothing and left no record', async (t) => {
  const { perform, fail, payments, records } = await open(t, {}, 1_000)
  const wide = "INSERT INTO payments (amount) SELECT 1 FROM generate_series(1, 100) RETURNING repeat('x', 100)"
  const slow = 'INSERT INTO payments (amount) SELECT 1 FROM pg_sleep(60)'
  t.match(await fail({ parameters: [-1] }), { type: 'DatabaseError', details: { sqlstate: '23514' } })
  t.match(await fail({ expectedRowCount: 2 }), { type: 'DatabaseError', details: { rowCount: 1 } })
  t.match(await fail({ query: wide, parameters: [] }), { type: 'PayloadTooLarge' })
  const nearly = "INSERT INTO payments (amount) VALUES (1) RETURNING repeat('x', 950)"
  t.match(await fail({ query: nearly, parameters: [] }), { type: 'PayloadTooLarge' }, 'with its meta it is too large')
  t.match(await fail({ query: slow, parameters: [], statementTimeoutMs: 20 }), { type: 'TimeoutError' })
  let calls = 0
  const lapse = () => {
    if (++calls === 2) throw new Error('the lease is over')
  }
  await t.rejects(perform({}, { mayPerform: lapse }), { message: 'the lease is over' })
  t.equal(await payments(), 0)
  t.same(await records(), [])
  t.match(await perform({ expectedRowCount: 1 }), { meta: { replayed: false } })
})

/** Two attempts with one key: the first stands in the middle of the query, the other waits for the first. */
async function meet(t: Test, during: (blocked: string, sql: (text: string) => Promise<unknown>) => Promise<void>) {
  const { perform, payments, sql, url } = await open(t)
  await perform({}, { idempotencyKey: 'makes the table' })
  await sql('CREATE TABLE gate AS SELECT 1')
  const query = 'INSERT INTO payments (amount) SELECT 7 FROM gate RETURNING id'
  const waiting = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE"
  const untilWaiting = async (what: string) => {
    while ((await sql(`SELECT 1 ${waiting} '${what}%'`)).length === 0);
  }
  const attempts = await withClient(url, async (holder) => {
    await holder.query('BEGIN; LOCK gate')
    const late = perform({ query, parameters: [] })
    await untilWaiting('INSERT INTO payments')
    const next = perform({ query, parameters: [] })
    await untilWaiting('INSERT INTO cairn_effects')
    const both = Promise.allSettled([late, next])
    await during(`${waiting} 'INSERT INTO payments%'`, sql)
    await holder.query('COMMIT')
    return both
  })
  return { attempts, payments: await payments() }
}

t.test('a late attempt of a node that was declared dead and the new one do it once between them', async (t) => {
  const { attempts, payments } = await meet(t, async () => {})
  const [late, next] = attempts.map((attempt) => (attempt.status === 'fulfilled' ? attempt.value : attempt.reason))
  t.match([late.meta, next.meta], [{ replayed: false }, { replayed: true }])
  t.same(next.output, late.output)
  t.equal(payments, 2)
})

t.test('when the late attempt fails, the one that waited for it performs the query', async (t) => {
  const { attempts, payments } = await meet(t, async (blocked, sql) => {
    await sql(`SELECT pg_terminate_backend(pid) ${blocked}`)
  })
  const [late, next] = attempts
  t.match(late, { status: 'rejected', reason: { type: 'DatabaseError', retryable: true } })
  t.match(next, { status: 'fulfilled', value: { meta: { rowCount: 1, replayed: false } } })
  t.equal(payments, 2)
})

t.test('a connection cut at COMMIT: nobody knows, the next attempt finds out by the key', async (t) => {
  const { url, payments } = await open(t)
  const way = await openSeverable(t, url)
  const { action, close } = createDatabaseQuery({ dataSources: { main: { url: way.url } }, maxBytes: 1_000 })
  t.teardown(close)
  const config = { dataSource: 'main', query: pay, parameters: [5], exactlyOnce: true }
  const cuts = [
    ['after', true, 'it was committed: the rows are those of then'],
    ['before', false, 'it was not: it is performed now'],
  ] as const
  for (const [cut, replayed, message] of cuts) {
    const before = await payments()
    way.cut = cut
    const context = { idempotencyKey: cut }
    t.match(await failure(action, config, context), { type: 'ConnectionError', retryable: true })
    t.match(await attempt(action, config, context), { output: [{ amount: '5' }], meta: { replayed } }, message)
    t.equal(await payments(), before + 1, `${cut}: once`)
  }
})

t.test('a role that may not make the table is told what its owner has to run', async (t) => {
  const { url, sql, payments } = await open(t)
  const role = `poor_${randomBytes(4).toString('hex')}`
  await sql(`CREATE ROLE ${role} LOGIN; REVOKE CREATE ON SCHEMA public FROM public;
    GRANT INSERT, SELECT ON payments TO ${role}; GRANT USAGE ON SEQUENCE payments_id_seq TO ${role}`)
  t.teardown(() => sql(`DROP OWNED BY ${role}; DROP ROLE ${role}`))
  const dataSources = { main: { url: url.replace('user=postgres', `user=${role}`) } }
  const { action, close } = createDatabaseQuery({ dataSources, maxBytes: 1_000 })
  t.teardown(close)
  const config = { dataSource: 'main', query: pay, parameters: [5], exactlyOnce: true }
  const refusal = await failure(action, config)
  t.match(refusal, { type: 'DatabaseError', retryable: false, cause: { type: '42501' } })
  const remedy = /run: (CREATE TABLE .*); (GRANT .*) TO /.exec(refusal.message)!
  t.equal(remedy[1], effectsTable)
  await sql(remedy[1]!)
  t.match((await failure(action, config)).message, /GRANT/, 'a table that it may not use')
  t.equal(await payments(), 0)
  await sql(`${remedy[2]} TO ${role}`)
  t.match(await attempt(action, config), { meta: { replayed: false } }, 'both remedies run as they stand')
})

t.test('something else with the name of the table fails the step for good', async (t) => {
  const { fail, sql, payments } = await open(t)
  await sql('CREATE TYPE cairn_effects AS ENUM ()')
  t.match(await fail(), { type: 'DatabaseError', retryable: false, message: /something has its name/ })
  t.equal(await payments(), 0)
})

t.test('the first queries of many make the table once between them', async (t) => {
  const { perform, payments } = await open(t)
  await Promise.all([1, 2, 3, 4, 5].map((n) => perform({}, { idempotencyKey: `key ${n}` })))
  t.equal(await payments(), 5)
})

t.test('docs/exactly-once.md has the statement that makes the table', async (t) => {
  const text = readFileSync(path.join(import.meta.dirname, '../../../docs/exactly-once.md'), 'utf8')
  t.ok(text.replaceAll(/\s+/g, ' ').replaceAll('( ', '(').replaceAll(' )', ')').includes(effectsTable))
})

t.test('a statement that cannot share a transaction with its record fails for good', async (t) => {
  const { fail, sql, records } = await open(t)
  t.match(await fail({ query: 'VACUUM payments', parameters: [] }), {
    type: 'DatabaseError',
    retryable: false,
    message: /cannot run inside a transaction block, and every database_query runs in one/,
    details: { sqlstate: '25001' },
  })
  await sql('CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$')
  t.match(await fail({ query: 'CALL commits()', parameters: [] }), { retryable: false, details: { sqlstate: '2D000' } })
  for (const query of ['ROLLBACK', 'COMMIT']) {
    const ending = { type: 'DatabaseError', retryable: false, message: /ends the transaction/ }
    t.match(await fail({ query, parameters: [] }), ending, query)
  }
  t.match(await fail(), { retryable: false, message: /has ended the transaction/ }, 'the key is spent')
  t.match(await fail({ query: 'SELECT 1; SELECT 2', parameters: [] }, { idempotencyKey: 'two' }), {
    details: { sqlstate: '42601' },
  })
  t.equal((await records()).length, 1)
})

t.test('the transaction is durable, and a client that has vanished does not hold the key for long', async (t) => {
  const { perform, sql } = await open(t)
  const [{ name }] = await sql('SELECT current_database() AS name')
  await sql(`ALTER DATABASE ${name} SET synchronous_commit = off`)
  const query =
    "SELECT current_setting('synchronous_commit') AS commit, current_setting('idle_in_transaction_session_timeout') AS idle"
  t.same((await perform({ query, parameters: [] })).output, [{ commit: 'on', idle: '10s' }])
})

t.test('a query that only reads cannot be exactly once', async (t) => {
  const { fail } = await open(t)
  const fault = (pointer: string) => ({ type: 'ValidationError', details: { faults: [{ pointer }] } })
  t.match(await fail({ readOnly: true }), fault('/readOnly'))
  const reading = await open(t, { readOnly: true })
  t.match(await reading.fail(), fault('/exactlyOnce'))
})

t.test('a definition that asks for exactlyOnce and what excludes it is refused with the remedy', async (t) => {
  const engine = await startEngine(t)
  const faultsOf = (config: object, rest: object = {}) => {
    const query = { type: 'database_query', dataSource: 'main', query: 'SELECT 1', exactlyOnce: true, ...config }
    const step = { id: 'a', name: 'a', type: 'action', config: query, ...rest }
    return engine.validateDefinition({ name: 'x', steps: [step] })
  }
  t.same(await faultsOf({}), [])
  t.match(await faultsOf({}, { delivery: 'at_most_once' }), [
    { pointer: '/steps/0/config/exactlyOnce', message: /leave delivery out/ },
  ])
  t.match(await faultsOf({ readOnly: true }), [
    { pointer: '/steps/0/config/readOnly', message: /leave one of them out/ },
  ])
  t.match(await faultsOf({ exactlyOnce: '{{ input.once }}' }), [{ pointer: '/steps/0/config/exactlyOnce' }])
  t.same(await faultsOf({ exactlyOnce: false, readOnly: true }, { delivery: 'at_most_once' }), [])
})

t.test('a rollback orders the query again: a new generation has a new key', async (t) => {
  const { url, payments, records } = await open(t)
  const engine = await startEngine(t, {}, { databaseUrl: url, targets: { dataSources: { main: { url } } } })
  const config = { type: 'database_query', dataSource: 'main', query: pay, parameters: [5], exactlyOnce: true }
  const step = (id: string, config: object) => ({ id, name: id, type: 'action', config })
  const id = await run(engine, [step('first', { type: 'echo' }), step('pay', config)])
  t.equal((await ended(engine, id)).status, 'completed')
  await engine.rollbackToCheckpoint(id, 0, { resume: true })
  await seen(engine, id, 'execution.rolled_back')
  t.equal((await ended(engine, id)).status, 'completed')
  t.equal(await payments(), 2)
  t.match(await records(), [{ idempotency_key: `${id}/0/pay` }, { idempotency_key: `${id}/1/pay` }])
})

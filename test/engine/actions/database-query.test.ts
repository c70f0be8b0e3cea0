import t, { type Test } from 'tap'
import { createDatabaseQuery, type DataSourceOptions } from '../../../src/engine/actions/database-query.ts'
import { createTestDatabase } from '../../harness/database.ts'
import { freePort } from '../../harness/free-port.ts'
import { attempt, failure } from './attempt.ts'

const open = async (t: Test, options: Partial<DataSourceOptions> = {}, maxBytes = 1_048_576) => {
  const { url } = await createTestDatabase(t)
  const dataSources = { main: { url, ...options } }
  const { action, close } = createDatabaseQuery({ dataSources, maxBytes })
  t.teardown(close)
  const run = async (query: string, more: object = {}) => attempt(action, { dataSource: 'main', query, ...more })
  const fail = async (query: string, more: object = {}) => failure(action, { dataSource: 'main', query, ...more })
  return { action, url, run, fail }
}

t.test('the output are the rows, their count is meta', async (t) => {
  const { run } = await open(t)
  t.match(await run("SELECT n, 'row ' || n AS label FROM generate_series(1, 2) AS n"), {
    output: [
      { n: 1, label: 'row 1' },
      { n: 2, label: 'row 2' },
    ],
    meta: { rowCount: 2, durationMs: Number },
  })
  t.match(await run('CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL)'), {
    output: [],
    meta: { rowCount: 0 },
  })
  t.match(await run("INSERT INTO items VALUES (1, 'a'), (2, 'b')"), { output: [], meta: { rowCount: 2 } })
})

t.test('values go in as parameters and are never part of the SQL', async (t) => {
  const { run } = await open(t)
  const tricky = `'; DROP TABLE items; --`
  const { output } = await run('SELECT $1::text AS text, $2::int AS number, $3::boolean AS flag, $4::text AS none', {
    parameters: [tricky, 7, true, null],
  })
  t.same(output, [{ text: tricky, number: 7, flag: true, none: null }])
})

t.test('an object goes as JSON, a list as an array', async (t) => {
  const { run } = await open(t)
  const { output } = await run('SELECT $1::jsonb AS document, $2::int[] AS numbers, 2 = ANY($2::int[]) AS found', {
    parameters: [{ a: [1, 'ä'] }, [1, 2]],
  })
  t.same(output, [{ document: { a: [1, 'ä'] }, numbers: [1, 2], found: true }])
})

t.test('int8 and numeric come as strings, so that none loses digits', async (t) => {
  const { run } = await open(t)
  const { output } = await run('SELECT 9007199254740993::int8 AS big, 0.10::numeric AS price, count(*) AS count')
  t.same(output, [{ big: '9007199254740993', price: '0.10', count: '1' }])
})

t.test('rows are plain JSON, whatever the type of their columns', async (t) => {
  const { run } = await open(t)
  const { output } = await run(
    "SELECT '2026-01-02'::date AS day, '2026-01-02T03:04:05Z'::timestamptz AS at, 'x'::bytea AS bytes, 'NaN'::float8 AS odd, 1.5::float8 AS half",
  )
  t.same(output, JSON.parse(JSON.stringify(output)))
  t.match(output, [{ day: '2026-01-02', half: 1.5 }])
})

t.test('a read-only query cannot write; nor can any query of a read-only data source', async (t) => {
  const { run, fail } = await open(t)
  const readOnly = { sqlstate: '25006' }
  t.match(await fail('CREATE TABLE x (id int)', { readOnly: true }), {
    type: 'DatabaseError',
    retryable: false,
    details: readOnly,
  })
  await run('CREATE TABLE x (id int)')
  const guarded = await open(t, { readOnly: true })
  t.match(await guarded.fail('CREATE TABLE x (id int)'), { details: readOnly })
  t.match(
    await guarded.fail('CREATE TABLE x (id int)', { readOnly: false }),
    { details: readOnly },
    'the step cannot lift it',
  )
  t.same((await guarded.run('SELECT 1 AS one')).output, [{ one: 1 }])
})

t.test('only one statement is taken', async (t) => {
  const { fail } = await open(t, { readOnly: true })
  t.match(await fail('SELECT 1; SELECT 2'), { type: 'DatabaseError', details: { sqlstate: '42601' } })
  t.match(
    await fail('COMMIT; CREATE TABLE x (id int)'),
    { type: 'DatabaseError' },
    'no way out of the read-only transaction',
  )
})

t.test('errors of PostgreSQL carry their SQLSTATE and what it names, and are retried by class', async (t) => {
  const { run, fail } = await open(t)
  await run('CREATE TABLE items (id int CONSTRAINT items_key PRIMARY KEY)')
  await run('INSERT INTO items VALUES (1)')
  t.match(await fail('INSERT INTO items VALUES (1)'), {
    type: 'DatabaseError',
    retryable: false,
    details: { dataSource: 'main', sqlstate: '23505', constraint: 'items_key', table: 'items' },
    cause: { type: '23505' },
  })
  t.match(await fail('SELEC 1'), { details: { sqlstate: '42601', position: '1' } })
  for (const [sqlstate, retryable] of [
    ['40001', true],
    ['40P01', true],
    ['53300', true],
    ['57P01', true],
    ['08006', true],
    ['25P03', true],
    ['22012', false],
    ['P0001', false],
  ] as const) {
    const raise = `DO $$ BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = '${sqlstate}'; END $$`
    t.match(await fail(raise), { type: 'DatabaseError', retryable, details: { sqlstate } }, sqlstate)
  }
})

t.test('a server that ends the session in the middle fails the attempt, not the process', async (t) => {
  const { run, fail } = await open(t, { poolSize: 1 })
  t.match(await fail('SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(60)'), {
    type: 'DatabaseError',
    retryable: true,
    details: { sqlstate: '57P01' },
  })
  t.same((await run('SELECT 1 AS one')).output, [{ one: 1 }], 'the next query has a new connection')
})

t.test('a statement that runs longer than allowed is a TimeoutError', async (t) => {
  const { fail, run } = await open(t, { poolSize: 1 })
  t.match(await fail('SELECT pg_sleep(60)', { statementTimeoutMs: 20 }), {
    type: 'TimeoutError',
    retryable: true,
    details: { sqlstate: '57014' },
  })
  t.match(await run('SHOW statement_timeout'), { output: [{ statement_timeout: '0' }] }, 'the next one is free of it')
})

t.test('an abort ends the statement on the server, with the reason of the abort', async (t) => {
  const { action, run } = await open(t, { poolSize: 2 })
  const abort = new AbortController()
  const reason = new Error('cancelled')
  const running = attempt(
    action,
    { dataSource: 'main', query: 'SELECT pg_sleep(600) AS marked' },
    { signal: abort.signal },
  )
  running.catch(() => {})
  const sleepers = async () =>
    (
      await run(
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%600) AS marked' AND state = 'active'",
      )
    ).output as unknown[]
  while ((await sleepers()).length === 0);
  abort.abort(reason)
  await t.rejects(running, reason)
  while ((await sleepers()).length > 0);
  t.pass('the statement ended on the server')
})

t.test('an abort ends the wait for a free connection too', async (t) => {
  const { action, run } = await open(t, { poolSize: 1 })
  const first = new AbortController()
  const second = new AbortController()
  const reason = new Error('cancelled')
  const query = 'SELECT pg_sleep(600)'
  const holding = attempt(action, { dataSource: 'main', query }, { signal: first.signal })
  const waiting = attempt(action, { dataSource: 'main', query }, { signal: second.signal })
  second.abort(reason)
  await t.rejects(waiting, reason)
  first.abort(reason)
  await t.rejects(holding, reason)
  t.same((await run('SELECT 1 AS one')).output, [{ one: 1 }], 'the pool serves on')
})

t.test('nothing is sent when the node may perform nothing', async (t) => {
  const { action, run } = await open(t)
  const refusal = new Error('the lease is over')
  const refuse = () => {
    throw refusal
  }
  await t.rejects(
    attempt(action, { dataSource: 'main', query: 'CREATE TABLE x (id int)' }, { mayPerform: refuse }),
    refusal,
  )
  t.same((await run("SELECT to_regclass('x') IS NULL AS absent")).output, [{ absent: true }])
})

t.test('a row count that was not expected is a DatabaseError', async (t) => {
  const { run, fail } = await open(t)
  const three = 'SELECT generate_series(1, 3)'
  for (const expectedRowCount of [3, { min: 1 }, { max: 3 }, { min: 3, max: 3 }, {}]) {
    t.match(await run(three, { expectedRowCount }), { meta: { rowCount: 3 } })
  }
  for (const expectedRowCount of [2, { min: 4 }, { max: 2 }]) {
    t.match(await fail(three, { expectedRowCount }), {
      type: 'DatabaseError',
      retryable: false,
      details: { rowCount: 3, expectedRowCount },
    })
  }
})

t.test('more rows than an output may take are a PayloadTooLarge', async (t) => {
  const { fail } = await open(t, {}, 1_000)
  t.match(await fail("SELECT repeat('x', 100) FROM generate_series(1, 1000)"), {
    type: 'PayloadTooLarge',
    retryable: false,
  })
})

t.test('a server that is not there is a ConnectionError with the system code', async (t) => {
  const dataSources = { main: { url: `postgres://u:hunter2@127.0.0.1:${await freePort()}/d` } }
  const { action, close } = createDatabaseQuery({ dataSources, maxBytes: 1_000 })
  t.teardown(close)
  const error = await failure(action, { dataSource: 'main', query: 'SELECT 1' })
  t.match(error, {
    type: 'ConnectionError',
    retryable: true,
    cause: { type: 'ECONNREFUSED' },
    details: { dataSource: 'main' },
  })
  t.notMatch(JSON.stringify(error), /hunter2/)
})

t.test('an unknown data source and a bad config are ValidationErrors', async (t) => {
  const { action, fail } = await open(t)
  t.match(await failure(action, { dataSource: 'other', query: 'SELECT 1' }), {
    type: 'ValidationError',
    message: 'There is no data source "other": there are main',
  })
  t.match(await fail('SELECT 1', { parameters: 'x' }), { type: 'ValidationError' })
  t.match(await fail('SELECT 1', { expectedRowCount: { least: 1 } }), { type: 'ValidationError' })
  t.same(action.literalFields, ['/query', '/exactlyOnce'])
})

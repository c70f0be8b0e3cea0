import t from 'tap'
import { openDataSource, ResultTooLarge } from '../../src/repository/data-source.ts'
import { createTestDatabase } from '../harness/database.ts'
import { withClient } from '../harness/server.ts'

async function createDataSource(t: import('tap').Test, options: { readOnly?: boolean } = {}) {
  const { url } = await createTestDatabase(t)
  const dataSource = openDataSource({ url, ...options })
  t.teardown(dataSource.close)
  return { dataSource, url }
}

t.test('values come as JSON: numbers where they are exact, text where they are not', async (t) => {
  const { dataSource } = await createDataSource(t)
  const { rows, rowCount } = await dataSource.query(
    `SELECT 1::int AS i, 9007199254740993::int8 AS big, 1.10::numeric AS exact, 0.5::float8 AS f, 'NaN'::float8 AS nan, true AS yes,
       '{"b":1,"a":[null]}'::json AS j, '{"a":1}'::jsonb AS jb, null AS nothing, '\\x6869'::bytea AS bytes,
       '2026-01-31 12:00:00.25+02'::timestamptz AS tz, '2026-01-31 12:00:00'::timestamp AS ts, '2026-01-31'::date AS d,
       'infinity'::timestamptz AS never, interval '1 day' AS span, point '(1,2)' AS p, '{1,NULL,3}'::int[] AS list,
       '{9007199254740993}'::int8[] AS bigs, '{"2026-01-31 12:00:00+00"}'::timestamptz[] AS times, '{a,"b c"}'::text[] AS words`,
    [],
  )
  t.equal(rowCount, 1)
  t.same(rows, [
    {
      i: 1,
      big: '9007199254740993',
      exact: '1.10',
      f: 0.5,
      nan: 'NaN',
      yes: true,
      j: { b: 1, a: [null] },
      jb: { a: 1 },
      nothing: null,
      bytes: 'aGk=',
      tz: '2026-01-31T10:00:00.25Z',
      ts: '2026-01-31T12:00:00',
      d: '2026-01-31',
      never: 'infinity',
      span: '1 day',
      p: '(1,2)',
      list: [1, null, 3],
      bigs: ['9007199254740993'],
      times: ['2026-01-31T12:00:00Z'],
      words: ['a', 'b c'],
    },
  ])
  t.same(JSON.parse(JSON.stringify(rows)), rows)
})

t.test('parameters are values, never SQL', async (t) => {
  const { dataSource } = await createDataSource(t)
  const evil = "'; DROP TABLE nodes; --"
  const { rows } = await dataSource.query('SELECT $1::text AS text, $2::int[] AS list, $3::json AS json', [
    evil,
    [1, 2],
    { a: 1 },
  ])
  t.same(rows, [{ text: evil, list: [1, 2], json: { a: 1 } }])
})

t.test('what a statement changes is committed, and its rows are counted', async (t) => {
  const { dataSource } = await createDataSource(t)
  await dataSource.query('CREATE TABLE things (id int PRIMARY KEY)', [])
  t.equal((await dataSource.query('INSERT INTO things SELECT generate_series(1, 3)', [])).rowCount, 3)
  t.same((await dataSource.query('UPDATE things SET id = id + 10 RETURNING id', [])).rows.length, 3)
  await t.rejects(dataSource.query('INSERT INTO things VALUES (11)', []), { code: '23505', constraint: 'things_pkey' })
  t.same((await dataSource.query('SELECT count(*)::int AS count FROM things', [])).rows, [{ count: 3 }])
})

t.test('a read-only query cannot write, and cannot leave its transaction', async (t) => {
  const { dataSource, url } = await createDataSource(t)
  await dataSource.query('CREATE TABLE things (id int)', [])
  const insert = 'INSERT INTO things VALUES (1)'
  await t.rejects(dataSource.query(insert, [], { readOnly: true }), { code: '25006' })
  await t.rejects(dataSource.query(`COMMIT; ${insert}`, [], { readOnly: true }), { code: '42601' })
  const readOnly = openDataSource({ url, readOnly: true })
  t.teardown(readOnly.close)
  await t.rejects(readOnly.query(insert, [], { readOnly: false }), { code: '25006' })
  t.same((await readOnly.query('SELECT * FROM things', [])).rows, [])
})

t.test('the server ends a statement that takes longer than it may', async (t) => {
  const { dataSource } = await createDataSource(t)
  await t.rejects(dataSource.query('SELECT pg_sleep(60)', [], { statementTimeoutMs: 20 }), { code: '57014' })
  t.same((await dataSource.query("SELECT current_setting('statement_timeout') AS timeout", [])).rows, [
    { timeout: '0' },
  ])
})

t.test('an abort cancels the statement on the server and undoes it', async (t) => {
  const { dataSource, url } = await createDataSource(t)
  await dataSource.query('CREATE TABLE things (id int)', [])
  const abort = new AbortController()
  const reason = new Error('the step timed out')
  const query = dataSource.query('INSERT INTO things SELECT 1 FROM pg_sleep(60)', [], { signal: abort.signal })
  const running = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'INSERT INTO things%'"
  await withClient(url, async (client) => {
    while ((await client.query(running)).rowCount === 0);
    abort.abort(reason)
    await t.rejects(query, reason)
    while ((await client.query(`${running} AND state = 'active'`)).rowCount !== 0);
  })
  t.same((await dataSource.query('SELECT * FROM things', [])).rows, [])
  await t.rejects(dataSource.query('SELECT 1', [], { signal: abort.signal }), reason)
})

t.test('rows beyond maxBytes are not gathered in memory', async (t) => {
  const { dataSource } = await createDataSource(t)
  const query = "SELECT repeat('x', 1000) AS x FROM (SELECT generate_series(1, 100000000)) AS many"
  await t.rejects(dataSource.query(query, [], { maxBytes: 100_000 }), ResultTooLarge)
  t.same((await dataSource.query("SELECT 'ok' AS x", [], { maxBytes: 2 })).rows, [{ x: 'ok' }])
})

t.test('close() may be called twice and before the first query', async () => {
  const dataSource = openDataSource({ url: 'postgres://localhost:1/nowhere' })
  await dataSource.close()
  await dataSource.close()
})

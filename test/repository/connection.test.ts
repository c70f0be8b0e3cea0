import { once } from 'node:events'
import type { Socket } from 'node:net'
import type pg from 'pg'
import t from 'tap'
import { isUnavailable } from '../../src/repository/classify.ts'
import { openDatabase } from '../../src/repository/connection.ts'
import { openDataSource } from '../../src/repository/data-source.ts'
import { migrate } from '../../src/repository/migrate.ts'
import { startProxy } from '../faults/proxy.ts'
import { createTestDatabase } from '../harness/database.ts'
import { withClient } from '../harness/server.ts'

t.test('a connection that breaks while it is held, between two statements, does not end the process', async (t) => {
  const { url } = await createTestDatabase(t)
  const database = openDatabase({ url })
  t.teardown(database.close)
  const client = await database.pool.connect()
  const { rows } = await client.query('SELECT pg_backend_pid() AS pid')
  const broken = new Promise((resolve) => client.once('end', resolve))
  await withClient(url, (other) => other.query('SELECT pg_terminate_backend($1)', [rows[0].pid]))
  await broken
  await t.rejects(client.query('SELECT 1'), 'its next statement tells')
  client.release(true)
  t.match(await database.pool.query('SELECT 1 AS one'), { rows: [{ one: 1 }] })
})

t.test('nodes that start at once migrate once, and no lock outlives the migration', async (t) => {
  const { url } = await createTestDatabase(t)
  await withClient(url, (client) => client.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public'))
  const nodes = [1, 2, 3].map(() => openDatabase({ url }))
  for (const { close } of nodes) t.teardown(close)
  await Promise.all(nodes.map(migrate))
  for (const { pool } of nodes) t.match(await pool.query('SELECT count(*) FROM workflow_executions'), { rowCount: 1 })
  const locks =
    "SELECT FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
  t.equal((await nodes[0]!.pool.query(locks)).rowCount, 0)
})

t.test('a migration that fails leaves nothing behind, nor its lock', async (t) => {
  const { url } = await createTestDatabase(t)
  // A table in the way of the schema.
  await withClient(url, (client) =>
    client.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE TABLE nodes (other int)'),
  )
  const database = openDatabase({ url, poolSize: 1 })
  t.teardown(database.close)
  await t.rejects(migrate(database), { code: '42P07' })
  const source = openDataSource({ url })
  t.teardown(source.close)
  const { rows } = await source.query(
    `SELECT (SELECT array_agg(tablename::text) FROM pg_tables WHERE schemaname = 'public') AS tables,
       (SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS locks`,
    [],
  )
  t.same(rows, [{ tables: ['nodes'], locks: 0 }])
})

t.test('a server that stands still after the handshake is given up, by migrations too', async (t) => {
  const { url } = await createTestDatabase(t)
  const proxy = await startProxy(t, url)
  const database = openDatabase({ url: proxy.url })
  t.teardown(database.close)
  // The first thing that a connection asks, once it has shaken hands.
  const standsStill = proxy.fault('pg_stat_activity', 'stalled')
  const migrated = migrate(database).catch((error) => error)
  await standsStill
  const others = [database.pool.query('SELECT 1'), database.connectLane(60_000)].map((each) => each.catch((e) => e))
  for (const error of await Promise.all([migrated, ...others])) t.ok(isUnavailable(error), String(error))
  proxy.flow()
  await migrate(database)
})

t.test('a node that stands still in the middle of a migration does not keep the others from it', async (t) => {
  const { url } = await createTestDatabase(t)
  await withClient(url, (client) => client.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public'))
  const proxy = await startProxy(t, url)
  const [still, other] = [proxy.url, url].map((each) => openDatabase({ url: each, prepare: false }))
  for (const { close } of [still!, other!]) t.teardown(close)
  const standsStill = proxy.fault('execution_events', 'stalled')
  const failed = migrate(still!).catch((error) => error)
  await standsStill
  await migrate(other!)
  t.match(await other!.pool.query('SELECT count(*) FROM workflow_executions'), { rowCount: 1 })
  proxy.flow()
  t.ok(isUnavailable(await failed), 'its transaction was ended; it would begin anew')
})

t.test('a statement is given up also on a connection that was idle for longer than it may take', async (t) => {
  const { url } = await createTestDatabase(t)
  const proxy = await startProxy(t, url)
  const database = openDatabase({ url: proxy.url, pulseMs: 1_000 })
  t.teardown(database.close)
  const client = (await database.pulse.connect()) as pg.PoolClient & { connection: { stream: Socket } }
  await once(client.connection.stream, 'timeout')
  client.release()
  proxy.stall()
  await t.rejects(database.pulse.query('SELECT 1'), { code: 'ETIMEDOUT' })
  proxy.flow()
  t.match(await database.pulse.query('SELECT 1 AS one'), { rows: [{ one: 1 }] })
})

t.test('a connection for which somebody waited in vain is there for the next one', async (t) => {
  const { url } = await createTestDatabase(t)
  const proxy = await startProxy(t, url)
  const database = openDatabase({ url: proxy.url, poolSize: 1 })
  t.teardown(database.close)
  const held = await database.pool.connect()
  const waited = database.pool.query('SELECT 1').catch((error) => error)
  await held.query('SELECT pg_sleep(1)')
  // So its patience ends a second before that with the new connection.
  const standsStill = proxy.fault('pg_stat_activity', 'stalled')
  held.release(true)
  await standsStill
  t.match(await waited, { message: /timeout exceeded/ })
  proxy.flow()
  t.match(await database.pool.query('SELECT 1 AS one'), { rows: [{ one: 1 }] })
})

import t from 'tap'
import { openDatabase } from '../../src/repository/connection.ts'
import { openDataSource } from '../../src/repository/data-source.ts'
import { migrate } from '../../src/repository/migrate.ts'
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

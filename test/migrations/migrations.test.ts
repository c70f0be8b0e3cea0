/** Releases run side by side on one schema: migrations expand, and contract only where they say for which release. */
import { promises as fs } from 'node:fs'
import path from 'node:path'
import { Kysely, PostgresDialect, sql } from 'kysely'
import { FileMigrationProvider, Migrator } from 'kysely/migration'
import pg from 'pg'
import t, { type Test } from 'tap'
import { v7 } from 'uuid'
import { openDatabase } from '../../src/repository/connection.ts'
import { migrate } from '../../src/repository/migrate.ts'
import { createTestDatabase } from '../harness/database.ts'
import { withClient } from '../harness/server.ts'
import { contractions, readSchema } from './schema-change.ts'

const migrationFolder = path.join(import.meta.dirname, '../../migrations')
const names = (await fs.readdir(migrationFolder)).map((file) => path.basename(file, '.ts')).sort()

/** A database on which nothing has been migrated yet, and a migrator that goes step by step. */
async function openEmpty(t: Test) {
  const { url } = await createTestDatabase(t)
  await withClient(url, (client) => client.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public'))
  const pool = new pg.Pool({ connectionString: url })
  t.teardown(() => pool.end())
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) })
  const provider = new FileMigrationProvider({ fs, path, migrationFolder })
  const migrateTo = async (name: string): Promise<void> => {
    const { error } = await new Migrator({ db, provider }).migrateTo(name)
    if (error !== undefined) throw error
  }
  return { url, db, provider, migrateTo }
}

t.test('every migration expands, or names the release whose going allows it to contract', async (t) => {
  const { url, migrateTo } = await openEmpty(t)
  await migrateTo(names[0]!)
  let before = await withClient(url, readSchema)
  for (const name of names.slice(1)) {
    await migrateTo(name)
    const after = await withClient(url, readSchema)
    const { contracts, fills } = (await import(path.join(migrationFolder, `${name}.ts`))) as {
      contracts?: string
      fills?: readonly string[]
    }
    const faults = contractions(before, after, fills)
    if (contracts === undefined)
      t.same(faults, [], `${name} keeps to what the release before it uses; see docs/adr/0015 for how to contract`)
    else {
      t.match(contracts, /\d+\.\d+/, `${name} names the last release that used what it takes away`)
      t.ok(faults.length > 0, `${name} contracts, as it says`)
    }
    before = after
  }
  t.ok(before.columns.size > 50, 'there is a schema')
})

t.test('the check sees each way to break the release before', async (t) => {
  const { url } = await createTestDatabase(t)
  const broken = [
    ['DROP TABLE execution_snapshots', 'execution_snapshots is gone'],
    ['ALTER TABLE execution_inbox RENAME TO inbox', 'execution_inbox is gone'],
    ['ALTER TABLE workflows DROP COLUMN tags', 'workflows.tags is gone'],
    ['ALTER TABLE workflows RENAME COLUMN tags TO labels', 'workflows.tags is gone'],
    ['ALTER TABLE execution_events ALTER COLUMN percentage TYPE real', 'execution_events.percentage was smallint'],
    ['ALTER TABLE workflows ALTER COLUMN description SET NOT NULL', 'workflows.description must be given now'],
    ['ALTER TABLE workflows ALTER COLUMN namespace DROP DEFAULT', 'workflows.namespace must be given now'],
    ['ALTER TABLE nodes ADD COLUMN release text NOT NULL', 'nodes.release is new and must be given'],
    ["ALTER TABLE nodes ADD CHECK (host <> '')", 'new rule on nodes'],
    ['ALTER TABLE execution_inbox ADD UNIQUE (request_id)', 'new rule on execution_inbox'],
    ['CREATE UNIQUE INDEX ON nodes (host)', 'new rule on nodes'],
    ['ALTER TABLE execution_inbox ADD FOREIGN KEY (execution_id) REFERENCES workflow_executions', 'new rule on'],
    ['CREATE TRIGGER other AFTER INSERT ON nodes FOR EACH ROW EXECUTE FUNCTION keep_execution_tags()', 'new rule on'],
    ['CREATE TRIGGER fill BEFORE INSERT ON nodes FOR EACH ROW EXECUTE FUNCTION keep_execution_tags()', 'new rule on'],
  ] as const
  const allowed = [
    'CREATE TABLE marks (id uuid PRIMARY KEY, of uuid NOT NULL REFERENCES workflows)',
    'ALTER TABLE nodes ADD COLUMN release text',
    "ALTER TABLE nodes ADD COLUMN release text NOT NULL DEFAULT ''",
    'ALTER TABLE workflow_executions DROP CONSTRAINT workflow_executions_wakes',
    'ALTER TABLE execution_events ALTER COLUMN path SET DEFAULT NULL',
    'CREATE INDEX ON execution_events (type)',
    'DROP INDEX workflow_executions_status',
    'ALTER INDEX workflows_name RENAME TO workflows_named',
    'ALTER TABLE execution_inbox SET (fillfactor = 60)',
    'CREATE TRIGGER fill AFTER INSERT ON nodes FOR EACH ROW EXECUTE FUNCTION keep_execution_tags()',
  ]
  await withClient(url, async (client) => {
    const before = await readSchema(client)
    const faultsOf = async (statement: string): Promise<string[]> => {
      await client.query(`BEGIN; ${statement}`)
      const after = await readSchema(client)
      await client.query('ROLLBACK')
      return contractions(before, after, ['fill'])
    }
    for (const [statement, fault] of broken) t.ok((await faultsOf(statement))[0]?.startsWith(fault), statement)
    for (const statement of allowed) t.same(await faultsOf(statement), [], statement)
  })
})

t.test(
  'executions that an earlier release has stored are listed by their tags, and are gone from there when removed',
  async (t) => {
    const { url, migrateTo } = await openEmpty(t)
    await migrateTo('0012_fresh-statistics')
    const [one, other] = [v7(), v7()]
    const insert = (id: string, tags: string): string =>
      `INSERT INTO workflow_executions (id, workflow_id, workflow_version, format, status, last_seq, created_at, updated_at, input, tags)
     VALUES ('${id}', '${id}', 1, 1, 'completed', 1, 1, 1, '{}', '${tags}')`
    await withClient(url, (client) => client.query(insert(one, '{red,blue,red}')))
    await migrateTo('0013_lists-by-id')
    await withClient(url, async (client) => {
      const tagged = async () =>
        (await client.query('SELECT tag, execution_id AS id FROM execution_tags ORDER BY 1, 2')).rows
      await client.query(insert(other, '{red,red}'))
      t.same(await tagged(), [
        { tag: 'blue', id: one },
        { tag: 'red', id: one },
        { tag: 'red', id: other },
      ])
      await client.query(`DELETE FROM workflow_executions WHERE id = '${one}'`)
      t.same(await tagged(), [{ tag: 'red', id: other }])
    })
  },
)

t.test('a release accepts a database that a newer one has migrated further', async (t) => {
  const { url } = await createTestDatabase(t)
  await withClient(url, (client) => client.query(migrateFurther))
  const database = openDatabase({ url })
  t.teardown(database.close)
  await migrate(database)
  await t.resolves(database.pool.query('SELECT later FROM nodes'), 'what the newer one made is still there')
})

t.test('a release that waits while a newer one migrates an empty database further starts all the same', async (t) => {
  const { url, db, provider } = await openEmpty(t)
  const database = openDatabase({ url })
  t.teardown(database.close)
  let older: Promise<void> | undefined
  const later = {
    async up(trx: Kysely<unknown>) {
      older = migrate(database)
      older.catch(() => {})
      await withClient(url, untilOneWaits)
      await sql`ALTER TABLE nodes ADD COLUMN later text`.execute(trx)
    },
  }
  const newer = { getMigrations: async () => ({ ...(await provider.getMigrations()), '9999_later': later }) }
  const { error } = await new Migrator({ db, provider: newer }).migrateToLatest()
  t.equal(error, undefined)
  await t.resolves(older!)
})

const migrateFurther = `
  ALTER TABLE nodes ADD COLUMN later text;
  INSERT INTO kysely_migration (name, timestamp) VALUES ('9999_later', now()::text)`

/** Until a session of this database waits for an advisory lock: nothing else tells. */
async function untilOneWaits(client: pg.Client): Promise<void> {
  const waiting = `SELECT FROM pg_locks JOIN pg_database ON database = pg_database.oid
    WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()`
  while ((await client.query(waiting)).rowCount === 0);
}

import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statfsSync } from 'node:fs'
import path from 'node:path'
import pg from 'pg'
import { openDatabase } from '../../src/repository/connection.ts'
import { startEmbedded } from '../../src/repository/embedded-postgres.ts'
import { migrate } from '../../src/repository/migrate.ts'

/*
 * One PostgreSQL for all test files of all runs: the first file that needs it starts it, the others adopt it. A keeper
 * process (keeper.ts) uses it too and ends it when nobody else has for 30 s, so it outlives the files of a run, whose
 * processes come and go, and nothing is left running.
 *
 * Its settings are the durable ones of the embedded PostgreSQL, but where memory is plenty its data is in /dev/shm: every
 * file makes and drops databases, which are mostly fsync (500 ms on a busy disk against 40 ms).
 */
const root = path.join(import.meta.dirname, '../..')
export const dataDir = process.env.CAIRN_TEST_DATA_DIR ?? roomiest()

function roomiest(): string {
  const memory = '/dev/shm'
  const wanted = 8 * 1024 ** 3
  if (!existsSync(memory)) return path.join(root, '.cairn/test')
  const { bavail, bsize } = statfsSync(memory)
  if (bavail * bsize < wanted) return path.join(root, '.cairn/test')
  return path.join(memory, `cairn-test-${createHash('sha256').update(root).digest('hex').slice(0, 16)}`)
}

/** Advisory locks of the harness: one keeper; one process at a time that makes the template. */
export const keeperLock = 4_269_704_443
const templateLock = 4_269_704_444

/** The URL of a database on the server that `url` leads to. */
export const urlOf = (url: string, database: string): string => url.replace(/\/\/\/[^?]*/, `///${database}`)

/** Starts or adopts the server and sees to its keeper. The caller lets go of it with stop(): it goes on running. */
export async function useServer(): Promise<{ url: string; stop(): Promise<void> }> {
  // Once more: a keeper may just be taking the idle server away.
  const server = await startEmbedded({ dataDir }).catch(() => startEmbedded({ dataDir }))
  await withClient(urlOf(server.url, 'postgres'), async (client) => {
    const { rows } = await client.query('SELECT pg_try_advisory_lock_shared($1) AS free', [keeperLock])
    if (!rows[0].free) return
    await client.query('SELECT pg_advisory_unlock_shared($1)', [keeperLock])
    const keeper = path.join(import.meta.dirname, 'keeper.ts')
    spawn(process.execPath, [keeper], { detached: true, stdio: 'ignore', env: { ...process.env, TAP: '' } }).unref()
  })
  return server
}

/** A migrated, empty database to clone; its name changes with the migrations. */
export async function templateOn(url: string): Promise<string> {
  const folder = path.join(root, 'migrations')
  const hash = createHash('sha256')
  for (const file of readdirSync(folder).toSorted()) hash.update(readFileSync(path.join(folder, file)))
  const name = `template_${hash.digest('hex').slice(0, 16)}`
  await withClient(urlOf(url, 'postgres'), async (client) => {
    if (await exists(client, name)) return
    await client.query('SELECT pg_advisory_lock($1)', [templateLock])
    if (await exists(client, name)) return
    const draft = `${name}_draft`
    await client.query(`DROP DATABASE IF EXISTS ${draft}`)
    await client.query(`CREATE DATABASE ${draft}`)
    const database = openDatabase({ url: urlOf(url, draft) })
    await migrate(database).finally(database.close)
    await client.query(`ALTER DATABASE ${draft} RENAME TO ${name}`)
  })
  return name
}

/** A connection of its own for a few statements; its end lets go of its locks. */
export async function withClient<Result>(url: string, use: (client: pg.Client) => Promise<Result>): Promise<Result> {
  const client = new pg.Client({ connectionString: url, application_name: 'cairn harness' })
  client.on('error', () => {})
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

async function exists(client: pg.Client, name: string): Promise<boolean> {
  const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [name])
  return rowCount !== 0
}

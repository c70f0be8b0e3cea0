import path from 'node:path'
import pg from 'pg'
import { startEmbedded } from '../src/repository/embedded-postgres.ts'

/**
 * Runs `use` on a fresh database, dropped afterwards: on the server of PERF_DATABASE_URL, otherwise on an embedded
 * PostgreSQL with its durable settings whose data lies in perf/out.
 */
export async function withDatabase<T>(name: string, use: (url: string) => Promise<T>): Promise<T> {
  const server = await openServer()
  const database = `perf_${name}_${process.pid}`
  try {
    await command(server.url, `CREATE DATABASE ${database}`)
    try {
      return await use(withPath(server.url, database))
    } finally {
      await command(server.url, `DROP DATABASE ${database} WITH (FORCE)`)
    }
  } finally {
    await server.stop()
  }
}

/** The server, kept running until `stop`; more processes may use it meanwhile. */
export async function openServer(): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const url = process.env.PERF_DATABASE_URL
  if (url) return { url, stop: async () => {} }
  return startEmbedded({ dataDir: path.join(import.meta.dirname, 'out') })
}

/** Bytes of WAL written since the cluster was made. */
export async function walBytes(client: pg.Client): Promise<number> {
  const { rows } = await client.query("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 AS bytes")
  return rows[0].bytes
}

export async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  return client
}

async function command(url: string, text: string): Promise<void> {
  const client = await connect(url)
  await client.query(text).finally(() => client.end())
}

/** An URL of a unix socket has no host and its folder in the query, so that only the path is exchanged. */
function withPath(url: string, database: string): string {
  const [base, query] = url.split('?')
  return `${base!.slice(0, base!.lastIndexOf('/'))}/${database}${query === undefined ? '' : `?${query}`}`
}

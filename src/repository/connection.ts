import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import type { Tables } from './tables.ts'

export interface DatabaseOptions {
  /** A postgres:// URL; what it leaves out comes from the standard PG… environment. */
  readonly url: string
  /** Connections for everything but flushes and heartbeats. */
  readonly poolSize?: number
  /** Named prepared statements; off behind a PgBouncer older than 1.21. */
  readonly prepare?: boolean
  /** Hears of connections that broke while idle; the pool replaces them by itself. */
  readonly onError?: (error: Error) => void
}

/** The one handle on PostgreSQL. */
export interface Database {
  readonly pool: pg.Pool
  readonly db: Kysely<Tables>
  /** One connection for heartbeats alone: a lease must not be lost because the pool is busy. */
  readonly pulse: pg.Pool
  readonly prepare: boolean
  /** A connection outside the pools, for a lane. */
  connectLane(): Promise<pg.Client>
  /** Ends the pools; safe to call twice. Lanes are closed by who opened them. */
  close(): Promise<void>
}

/** How long a connection attempt may take: shorter than the default lease of 15 s. */
const connectTimeoutMs = 5_000

/**
 * Opens a pool; nothing is connected before the first query, so an unreachable server shows there.
 * bigint columns (times in ms, seq) come as numbers: all of them stay below 2^53.
 */
export function openDatabase({ url, poolSize = 10, prepare = true, onError = () => {} }: DatabaseOptions): Database {
  const types = new pg.TypeOverrides()
  types.setTypeParser(pg.types.builtins.INT8, Number)
  const config: pg.ClientConfig = {
    connectionString: url,
    application_name: 'cairn',
    keepAlive: true,
    connectionTimeoutMillis: connectTimeoutMs,
    types,
  }
  const pool = new pg.Pool({ ...config, max: poolSize })
  pool.on('error', onError)
  // A connection that breaks while somebody holds it between two statements must not end the process either.
  pool.on('connect', (client) => client.on('error', () => {}))
  const pulse = new pg.Pool({ ...config, max: 1, idleTimeoutMillis: 0, query_timeout: connectTimeoutMs })
  pulse.on('error', onError)
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) })
  let closed: Promise<void> | undefined
  return {
    pool,
    db,
    pulse,
    prepare,
    async connectLane() {
      const client = new pg.Client(config)
      // Without a listener a connection that breaks while idle would end the process.
      client.on('error', onError)
      await client.connect()
      return client
    },
    close() {
      // Kysely ends the pool only when it has run a query itself.
      closed ??= db
        .destroy()
        .then(() => Promise.all([pool.ended || pool.end(), pulse.end()]))
        .then(() => {})
      return closed
    },
  }
}

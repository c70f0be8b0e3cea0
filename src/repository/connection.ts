import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { identify, type ServerIdentity, Timeline } from './server-identity.ts'
import type { Tables } from './tables.ts'
import { cut, watch } from './watched-connection.ts'

export interface DatabaseOptions {
  /** A postgres:// URL; what it leaves out comes from the standard PG… environment. */
  readonly url: string
  /** The same database by a way that LISTEN survives, when `url` leads through a pooler. */
  readonly listenUrl?: string | null
  /** Connections for everything but flushes and heartbeats. */
  readonly poolSize?: number
  /** Named prepared statements; off behind a PgBouncer older than 1.21. */
  readonly prepare?: boolean
  /** How long a heartbeat may wait for its answer, ms: short enough that others fit into the lease. */
  readonly pulseMs?: number
  /** How long any other statement may be without a word from the server, ms; migrations are not bound by it. */
  readonly silenceMs?: number
  /** Hears of connections that broke while idle; the pool replaces them by itself. */
  readonly onError?: (error: Error) => void
}

/** A connection of a lane, and where it leads. */
export interface LaneConnection {
  readonly client: pg.Client
  readonly server: ServerIdentity
}

/** The one handle on PostgreSQL. Every wait on it is bounded: for a connection 10 s, for an answer as the options say. */
export interface Database {
  readonly pool: pg.Pool
  readonly db: Kysely<Tables>
  /** One connection for heartbeats alone: a lease must not be lost because the pool is busy. */
  readonly pulse: pg.Pool
  readonly prepare: boolean
  /** Tells of a failover. Connections are asked before anything else goes over them. */
  readonly timeline: Timeline
  /** A connection outside the pools, for a lane; a statement on it may be unanswered for `silenceMs`. */
  connectLane(silenceMs: number): Promise<LaneConnection>
  /** One connection whose statements may take as long as they need, for as long as `use` runs. */
  withPatience<Result>(use: (pool: pg.Pool) => Promise<Result>): Promise<Result>
  /** A connection for LISTEN, not connected yet. */
  listenerClient(): pg.Client
  /** Ends the pools; safe to call twice. Lanes are closed by who opened them. */
  close(): Promise<void>
}

/** How long the handshake of a connection may take, and the first look at its server: together less than the default lease of 15 s. */
const connectTimeoutMs = 5_000
/** Beyond this the end of a connection is not waited for. */
const farewellMs = 5_000

/**
 * As `identify`, within the time that connecting may take: that a server stands still after the handshake must not be found out
 * by whoever waits for the connection, least of all when its statements may take as long as they need.
 */
async function introduce(client: pg.ClientBase): Promise<ServerIdentity> {
  const impatience = setTimeout(() => cut(client), connectTimeoutMs)
  return identify(client).finally(() => clearTimeout(impatience))
}

/**
 * Opens a pool; nothing is connected before the first query, so an unreachable server shows there.
 * bigint columns (times in ms, seq) come as numbers: all of them stay below 2^53.
 */
export function openDatabase(options: DatabaseOptions): Database {
  const { url, listenUrl, poolSize = 10, prepare = true } = options
  const { pulseMs = 5_000, silenceMs = 30_000, onError = () => {} } = options
  const types = new pg.TypeOverrides()
  types.setTypeParser(pg.types.builtins.INT8, Number)
  const config: pg.ClientConfig = {
    connectionString: url,
    application_name: 'cairn',
    keepAlive: true,
    // An idle connection whose server vanished is noticed in half a minute instead of two hours.
    keepAliveInitialDelayMillis: 15_000,
    connectionTimeoutMillis: connectTimeoutMs,
    types,
  }
  const timeline = new Timeline()
  const open = new Set<pg.ClientBase>()
  const openPool = (bound: number, more: pg.PoolConfig): pg.Pool => {
    // Not pg's `verify`: a connection whose waiter loses patience while it is looked at would never come back to the pool.
    const onConnect = async (client: pg.ClientBase): Promise<void> => {
      open.add(client)
      client.once('end', () => open.delete(client))
      // A connection that breaks while somebody holds it between two statements must not end the process either.
      client.on('error', () => {})
      watch(client, bound)
      timeline.note((await introduce(client)).timeline)
    }
    const pool = new pg.Pool({ ...config, ...more, onConnect })
    pool.on('error', onError)
    return pool
  }
  const farewell = async (ends: () => Promise<unknown>): Promise<void> => {
    const impatience = setTimeout(() => open.forEach(cut), farewellMs)
    await ends().finally(() => clearTimeout(impatience))
  }
  const pool = openPool(silenceMs, { max: poolSize })
  const pulse = openPool(pulseMs, { max: 1, idleTimeoutMillis: 0, connectionTimeoutMillis: pulseMs })
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) })
  let closed: Promise<void> | undefined
  return {
    pool,
    db,
    pulse,
    prepare,
    timeline,
    async connectLane(bound) {
      const client = new pg.Client(config)
      // Without a listener a connection that breaks while idle would end the process.
      client.on('error', onError)
      try {
        await client.connect()
        watch(client, bound)
        const server = await introduce(client)
        timeline.note(server.timeline)
        return { client, server }
      } catch (error) {
        cut(client)
        throw error
      }
    },
    async withPatience(use) {
      const patient = openPool(0, { max: 1 })
      return use(patient).finally(() => farewell(() => patient.end()))
    },
    listenerClient: () =>
      new pg.Client({
        ...config,
        connectionString: listenUrl ?? url,
        application_name: 'cairn listener',
        query_timeout: connectTimeoutMs,
      }),
    close() {
      closed ??= farewell(async () => {
        await db.destroy()
        // Kysely ends the pool only when it has run a query itself.
        await Promise.all([pool.ending || pool.end(), pulse.end()])
      })
      return closed
    },
  }
}

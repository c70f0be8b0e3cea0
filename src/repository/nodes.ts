import type { Database } from './connection.ts'
import { timelineOf } from './server-identity.ts'
import { begin } from './transaction.ts'

/*
 * A node is alive while its lease runs. It dies once, by the deletion of its row, and its id never comes back:
 *
 *   registered ──▶ alive (heartbeat every lease/3) ──▶ expired ──▶ swept: the row and its lanes are gone, it commits nothing
 *                    └──▶ removed by itself when it stops
 */

export interface NodeOptions {
  readonly id: string
  /** For people: where it runs. */
  readonly host: string
  readonly lanes: number
  readonly leaseMs: number
}

const milliseconds = '(extract(epoch FROM clock_timestamp()) * 1000)::float8'

/** Announces a new life of a node, with its lanes. */
export async function registerNode({ pulse }: Database, { id, host, lanes, leaseMs }: NodeOptions): Promise<void> {
  await pulse.query(
    `WITH node AS (
       INSERT INTO nodes (id, host, expires_at) VALUES ($1, $2, clock_timestamp() + $3 * interval '1 ms') RETURNING id
     )
     INSERT INTO node_lanes (node_id, lane) SELECT id, generate_series(0, $4::integer - 1) FROM node`,
    [id, host, leaseMs, lanes],
  )
}

/**
 * Renews the lease unless it has run out: then the node is dead for good, whoever has noticed. `databaseNow` is the
 * database's clock in ms since 1970. The caller counts the lease from before the call.
 */
export async function heartbeat(
  { pulse, timeline }: Database,
  id: string,
  leaseMs: number,
): Promise<{ readonly alive: true; readonly databaseNow: number } | { readonly alive: false }> {
  const { rows } = await pulse.query<{ now: number }>(
    `UPDATE nodes SET expires_at = clock_timestamp() + $2 * interval '1 ms'
     WHERE id = $1 AND expires_at > clock_timestamp() RETURNING ${milliseconds} AS now`,
    [id, leaseMs],
  )
  if (rows[0] === undefined) return { alive: false }
  // Behind a pooler a failover changes no connection: here it is noticed. A failure shows at the next heartbeat too.
  timeline.note(await timelineOf(pulse).catch(() => null))
  return { alive: true, databaseNow: rows[0].now }
}

/** True on a replica, and where somebody has switched writing off. */
export async function isReadOnly({ pulse }: Database): Promise<boolean> {
  const { rows } = await pulse.query<{ is: string }>("SELECT current_setting('transaction_read_only') AS is")
  return rows[0]!.is === 'on'
}

/** The database's clock, ms since 1970. */
export async function databaseNow({ pulse }: Database): Promise<number> {
  const { rows } = await pulse.query<{ now: number }>(`SELECT ${milliseconds} AS now`)
  return rows[0]!.now
}

/** Says that nothing of the journal from before `settledAt` (ms since 1970, the database's clock) is leant on by the node any more. */
export async function settleNode({ pool }: Database, id: string, settledAt: number): Promise<void> {
  await pool.query(
    'UPDATE nodes SET settled_at = greatest(settled_at, to_timestamp($2::float8 / 1000)) WHERE id = $1',
    [id, settledAt],
  )
}

/**
 * The time (ms since 1970, the database's clock) before which no living node leans on anything in the journal: no fence rests
 * on an event that was committed before it, and no flush that was sent before it may still come. Minus infinity without nodes.
 */
export async function settledHorizon({ pool }: Database): Promise<number> {
  const { rows } = await pool.query<{ horizon: number | null }>(
    'SELECT (extract(epoch FROM min(settled_at)) * 1000)::float8 AS horizon FROM nodes',
  )
  return rows[0]!.horizon ?? Number.NEGATIVE_INFINITY
}

/** How long a sweep waits for a flush of the dead node before it ends that flush's backend. */
const patienceMs = 2_000

/**
 * Deletes the nodes whose lease has run out and returns their ids. When it returns, none of them can commit any more: the
 * deletion waits for a flush that runs, and a backend that blocks it for 2 s (its client stands still, its network is gone)
 * is terminated. Any node may sweep, several at once.
 */
export async function sweep(database: Database): Promise<string[]> {
  const expired = 'expires_at < clock_timestamp()'
  const { rowCount } = await database.pool.query(`SELECT FROM nodes WHERE ${expired} LIMIT 1`)
  return rowCount === 0 ? [] : deleteNodes(database, expired, [])
}

/** Takes a node's row away: its own when it stops. Waits like sweep(). */
export async function removeNode(database: Database, id: string): Promise<void> {
  await deleteNodes(database, 'id = $1', [id])
}

/**
 * Declares dead at once every other node that was registered before `before` (ms since 1970, the database's clock): for the
 * process that was then alone on the data folder. Those that came after it live. Returns the ids.
 */
export function removeOtherNodes(database: Database, id: string, before: number): Promise<string[]> {
  return deleteNodes(database, 'id <> $1 AND started_at < to_timestamp($2::float8 / 1000)', [id, before])
}

async function deleteNodes({ pool }: Database, condition: string, parameters: unknown[]): Promise<string[]> {
  const client = await pool.connect()
  try {
    // One transaction, so that the backend is the same for both statements behind PgBouncer too.
    await begin(client)
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
    const impatience = setInterval(() => void terminateBlockers(pool, rows[0]!.pid), patienceMs)
    const deleted = await client
      .query<{ id: string }>(`DELETE FROM nodes WHERE ${condition} RETURNING id`, parameters)
      .finally(() => clearInterval(impatience))
    await client.query('COMMIT')
    client.release()
    return deleted.rows.map((row) => row.id)
  } catch (error) {
    client.release(error as Error)
    throw error
  }
}

async function terminateBlockers(pool: Database['pool'], pid: number): Promise<void> {
  // What fails is tried again at the next tick, while the deletion waits.
  await pool
    .query('SELECT pg_terminate_backend(blocker) FROM unnest(pg_blocking_pids($1)) AS blocker', [pid])
    .catch(() => {})
}

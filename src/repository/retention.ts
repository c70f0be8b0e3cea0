import type pg from 'pg'
import type { Database } from './connection.ts'
import { begin } from './transaction.ts'

/*
 * How an execution goes:
 *
 *   finished ──retireExecutions──▶ retired: its row, keys and name are gone, nobody finds it ──purgeRetired──▶ nothing is left
 *
 * The row goes first and at once, in a short transaction, so that nobody ever sees half of an execution; the journal, which may
 * be long, follows in batches, and `retired_executions` remembers what is left to do. Any node takes any batch; an advisory lock
 * that ends with the transaction lets one work at a time.
 */

/** How long finished executions of a workflow are kept: `days` by its active version; `undefined`: it does not say. */
export interface Retention {
  readonly workflowId: string
  readonly version: number
  readonly days: number | null | undefined
}

/** Executions of a workflow that have been finished and untouched since `before` (ms since 1970) are due. */
export interface Due {
  readonly workflowId: string
  readonly before: number
}

/** Any number that nobody else uses. */
const retentionLock = '4269704551'

const finished = "status IN ('completed', 'failed', 'cancelled')"

/** Each workflow with its active version, archived ones too. */
export async function activeVersions({
  db,
}: Database): Promise<{ readonly workflowId: string; readonly version: number }[]> {
  return db.selectFrom('workflows').select(['id as workflowId', 'active_version as version']).execute()
}

/** What these versions say about retention. */
export async function retentionOf(
  { pool }: Database,
  versions: readonly { readonly workflowId: string; readonly version: number }[],
): Promise<Retention[]> {
  if (versions.length === 0) return []
  const { rows } = await pool.query<{ workflow_id: string; version: number; days: string | null }>(
    `SELECT v.workflow_id, v.version, (v.definition #> '{retention,days}')::text AS days
     FROM unnest($1::uuid[], $2::integer[]) AS given(workflow_id, version)
     JOIN workflow_versions v ON v.workflow_id = given.workflow_id AND v.version = given.version`,
    [versions.map(({ workflowId }) => workflowId), versions.map(({ version }) => version)],
  )
  return rows.map(({ workflow_id: workflowId, version, days }) => ({
    ...{ workflowId, version },
    days: days === null ? undefined : (JSON.parse(days) as number | null),
  }))
}

/**
 * Removes the rows, approvals, slots and idempotency keys of at most `limit` due executions and notes their journals for
 * purgeRetired(). Returns their ids; null when another node is at it. Spared is what somebody owns, what has something in its
 * inbox, and what a parent that has not ended may still ask for.
 */
export function retireExecutions(database: Database, due: readonly Due[], limit: number): Promise<string[] | null> {
  return inTurn(database, async (client) => {
    const locked = await client.query<{ id: string }>(lockStatement, [
      due.map(({ workflowId }) => workflowId),
      due.map(({ before }) => before),
      limit,
    ])
    if (locked.rows.length === 0) return []
    // With the rows locked nothing more can reach an inbox; a statement of its own sees what did before.
    const { rows } = await client.query<{ id: string }>(retireStatement, [locked.rows.map(({ id }) => id)])
    return rows.map(({ id }) => id)
  })
}

const noInbox = 'NOT EXISTS (SELECT FROM execution_inbox i WHERE i.execution_id = e.id)'

const lockStatement = `
SELECT e.id FROM unnest($1::uuid[], $2::bigint[]) AS due(workflow_id, before)
CROSS JOIN LATERAL (
  SELECT e.id FROM workflow_executions e
  WHERE e.workflow_id = due.workflow_id AND e.updated_at < due.before AND e.${finished} AND e.owner IS NULL AND ${noInbox}
    AND NOT EXISTS (SELECT FROM workflow_executions p WHERE p.id = e.parent_execution_id AND NOT p.${finished})
  ORDER BY e.updated_at LIMIT $3 FOR UPDATE SKIP LOCKED
) AS e
LIMIT $3`

const retireStatement = `
WITH gone AS (
  DELETE FROM workflow_executions e WHERE e.id = ANY ($1::uuid[]) AND ${noInbox} RETURNING e.id
), noted AS (
  INSERT INTO retired_executions (execution_id) SELECT id FROM gone
), keys AS (
  DELETE FROM idempotency_keys k USING gone WHERE k.resource_id = gone.id
), execution_keys AS (
  DELETE FROM execution_keys k USING gone WHERE k.execution_id = gone.id
), asked AS (
  DELETE FROM approvals a USING gone WHERE a.execution_id = gone.id
), slots AS (
  DELETE FROM concurrency_slots s USING gone WHERE s.execution_id = gone.id
)
SELECT id FROM gone`

/** Retired executions that one call of purgeRetired() looks at. */
const purgeBatch = 200

/**
 * Removes at most `limit` events of retired executions, and with an execution's last ones its snapshots. Returns how many
 * events; null when another node is at it. Call again at once until it answers 0 with nothing left to purge: `isDone`.
 */
export function purgeRetired(
  database: Database,
  limit: number,
): Promise<{ readonly events: number; readonly isDone: boolean } | null> {
  return inTurn(database, async (client) => {
    const { rows } = await client.query<{ execution_id: string }>(
      'SELECT execution_id FROM retired_executions ORDER BY execution_id LIMIT $1 FOR UPDATE',
      [purgeBatch],
    )
    const ids = rows.map((row) => row.execution_id)
    if (ids.length === 0) return { events: 0, isDone: true }
    const { rowCount } = await client.query(purgeStatement, [ids, limit])
    const events = rowCount ?? 0
    if (events === limit) return { events, isDone: false }
    await client.query('DELETE FROM execution_snapshots WHERE execution_id = ANY ($1::uuid[])', [ids])
    await client.query('DELETE FROM retired_executions WHERE execution_id = ANY ($1::uuid[])', [ids])
    return { events, isDone: ids.length < purgeBatch }
  })
}

const purgeStatement = `
DELETE FROM execution_events v USING (
  SELECT found.execution_id, found.seq FROM unnest($1::uuid[]) AS retired(id)
  CROSS JOIN LATERAL (
    SELECT execution_id, seq FROM execution_events WHERE execution_id = retired.id ORDER BY seq LIMIT $2
  ) AS found
  LIMIT $2
) AS doomed
WHERE v.execution_id = doomed.execution_id AND v.seq = doomed.seq`

/** What compaction may remove, and what proves that the database is still the one in which that was found. */
export interface Compactable {
  readonly executionId: string
  /** A snapshot at or before the oldest checkpoint that is kept: events up to it are not needed any more. */
  readonly through: number
  /** The event at which that was so. */
  readonly seen: { readonly seq: number; readonly at: number }
  /** The kept checkpoints before `through`: each has a snapshot of its own, and needs no event. */
  readonly pinned: readonly number[]
}

/**
 * Removes at most `limit` events of an execution, from the one after `after` up to `through`; returns how many and the seq of the
 * last. Removes nothing from a database that has lost the commits or the snapshots on which that rests.
 */
export async function compactEvents(
  { pool }: Database,
  { executionId, through, seen, pinned }: Compactable,
  after: number,
  limit: number,
): Promise<{ readonly events: number; readonly last: number }> {
  const { rows } = await pool.query<{ events: number; last: number }>(
    `WITH proof AS MATERIALIZED (
       SELECT FROM execution_events v JOIN execution_snapshots s ON s.execution_id = v.execution_id AND s.seq = $2::bigint
       WHERE v.execution_id = $1::uuid AND v.seq = $3::bigint AND v.at = $4::bigint AND cardinality($7::bigint[]) = (
         SELECT count(*) FROM execution_snapshots WHERE execution_id = $1::uuid AND seq = ANY ($7::bigint[])
       )
     ), doomed AS MATERIALIZED (
       SELECT v.seq FROM proof, LATERAL (
         SELECT seq FROM execution_events
         WHERE execution_id = $1::uuid AND seq > $5::bigint AND seq <= $2::bigint ORDER BY seq LIMIT $6
       ) AS v
     ), gone AS (
       DELETE FROM execution_events v USING doomed WHERE v.execution_id = $1::uuid AND v.seq = doomed.seq RETURNING v.seq
     )
     SELECT count(*)::integer AS events, coalesce(max(seq), 0) AS last FROM gone`,
    [executionId, through, seen.seq, seen.at, after, limit, pinned],
  )
  return rows[0]!
}

/** One transaction on one backend, behind PgBouncer too; null when another node holds the lock. */
async function inTurn<T>({ pool }: Database, task: (client: pg.PoolClient) => Promise<T>): Promise<T | null> {
  const client = await pool.connect()
  try {
    await begin(client)
    const { rows } = await client.query<{ mine: boolean }>('SELECT pg_try_advisory_xact_lock($1) AS mine', [
      retentionLock,
    ])
    const result = rows[0]!.mine ? await task(client) : null
    await client.query('COMMIT')
    client.release()
    return result
  } catch (error) {
    client.release(error as Error)
    throw error
  }
}

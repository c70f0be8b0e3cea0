import type { Json } from '../definition/json.ts'
import type { Database } from './connection.ts'
import type { JournalRange } from './events.ts'
import { type Portion, portionOf, portionSql } from './portion.ts'

/** An image of an execution's state at a committed seq: a cache of what folding its events gives. */
export interface Snapshot {
  readonly executionId: string
  readonly seq: number
  readonly state: Json
  /** ms since 1970. */
  readonly createdAt: number
}

/** A snapshot to be kept. `at` is the time of its last event: a seq alone may stand for another event after lost commits. */
export interface NewSnapshot extends Snapshot {
  readonly at: number
}

/**
 * Keeps a snapshot, provided that the journal holds its last event: a node that has not noticed yet that the database lost
 * commits, or that the execution is gone, leaves nothing behind. A second one of the same seq is dropped: there is one state.
 */
export async function insertSnapshot(
  { pool }: Database,
  { executionId, seq, at, state, createdAt }: NewSnapshot,
): Promise<void> {
  await pool.query(
    `INSERT INTO execution_snapshots (execution_id, seq, created_at, state)
     SELECT execution_id, seq, $4::bigint, $5::json FROM execution_events
     WHERE execution_id = $1::uuid AND seq = $2::bigint AND at = $3::bigint FOR KEY SHARE
     ON CONFLICT DO NOTHING`,
    [executionId, seq, at, createdAt, JSON.stringify(state)],
  )
}

/** The newest snapshot with a seq of at most `throughSeq`, or null. Whether its seq is effective is the caller's to say. */
export async function newestSnapshot(
  { db }: Database,
  executionId: string,
  throughSeq: number,
): Promise<Snapshot | null> {
  const row = await db
    .selectFrom('execution_snapshots')
    .selectAll()
    .where('execution_id', '=', executionId)
    .where('seq', '<=', throughSeq)
    .orderBy('seq', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row === undefined ? null : toSnapshot(row)
}

interface SnapshotRow {
  execution_id: string
  seq: number
  created_at: number
  state: unknown
}

const toSnapshot = (row: SnapshotRow): Snapshot => ({
  executionId: row.execution_id,
  seq: row.seq,
  state: row.state as Json,
  createdAt: row.created_at,
})

const newestSnapshotsStatement = portionSql(
  `SELECT s.*, w.place, pg_column_size(s.state) AS size
   FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS w(id, after, through, place)
   CROSS JOIN LATERAL (
     SELECT * FROM execution_snapshots
     WHERE execution_id = w.id AND seq > w.after AND seq <= w.through ORDER BY seq DESC LIMIT 1
   ) AS s`,
  { order: 'place', bytes: '$4' },
)

/** The newest snapshot within each range that has one, in the order of the ranges, at most `bytes` (or one) together. */
export async function newestSnapshots(
  { pool }: Database,
  ranges: readonly JournalRange[],
  bytes: number,
): Promise<Portion<Snapshot>> {
  const { rows } = await pool.query<SnapshotRow & { total: number }>(newestSnapshotsStatement, [
    ranges.map((range) => range.executionId),
    ranges.map((range) => range.after),
    ranges.map((range) => range.through),
    bytes,
  ])
  return portionOf(rows, bytes, toSnapshot)
}

/**
 * Drops what the newest snapshot at or before `seq` (the oldest checkpoint that is kept) makes superfluous; that one stays, and
 * so do those at `pinned`.
 */
export async function deleteSnapshotsBefore(
  { pool }: Database,
  executionId: string,
  seq: number,
  pinned: readonly number[] = [],
): Promise<void> {
  await pool.query(
    `DELETE FROM execution_snapshots WHERE execution_id = $1::uuid AND seq <> ALL ($3::bigint[]) AND seq < (
       SELECT max(seq) FROM execution_snapshots WHERE execution_id = $1::uuid AND seq <= $2::bigint
     )`,
    [executionId, seq, pinned],
  )
}

import { sql } from 'kysely'
import type { Json } from '../definition/json.ts'
import type { EventType, JournalEvent } from '../engine/core/event.ts'
import type { ArrayColumn } from './array-columns.ts'
import type { Database } from './connection.ts'
import { type Portion, portionOf, portionSql } from './portion.ts'

/** An event on its way into the journal. */
export interface AppendedEvent extends JournalEvent {
  /** `data` as JSON: it is written once, where its size is measured. */
  readonly text: string
  /** Known only after the core has folded the event. */
  percentage: number
}

/** How an event becomes a row; shared by every statement that writes events. */
export const eventColumns: readonly ArrayColumn<AppendedEvent>[] = [
  { name: 'execution_id', type: 'uuid', of: (event) => event.executionId },
  { name: 'seq', type: 'bigint', of: (event) => event.seq },
  { name: 'at', type: 'bigint', of: (event) => event.at },
  { name: 'attempt', type: 'integer', of: (event) => event.attempt },
  { name: 'percentage', type: 'smallint', of: (event) => event.percentage },
  { name: 'type', type: 'word', of: (event) => event.type },
  { name: 'path', type: 'word', of: (event) => event.path },
  { name: 'data', type: 'json', of: (event) => event.text },
]

interface EventRow {
  execution_id: string
  seq: number
  at: number
  attempt: number | null
  percentage: number
  type: string
  path: string | null
  data: unknown
}

const toEvent = (row: EventRow): JournalEvent => ({
  executionId: row.execution_id,
  seq: row.seq,
  type: row.type as EventType,
  path: row.path,
  attempt: row.attempt,
  at: row.at,
  percentage: row.percentage,
  data: row.data as Json,
})

/**
 * An execution's committed events with a seq above `after`, in order, at most `limit`; `through` is the last seq of interest.
 * seq has no hole, so fewer than `limit` means that there are no more as yet.
 */
export async function eventsAfter(
  { db }: Database,
  executionId: string,
  after: number,
  limit: number,
  { through = Number.MAX_SAFE_INTEGER }: { through?: number } = {},
): Promise<JournalEvent[]> {
  const rows = await db
    .selectFrom('execution_events')
    .selectAll()
    .where('execution_id', '=', executionId)
    .where('seq', '>', after)
    .where('seq', '<=', through)
    .orderBy('seq')
    .limit(limit)
    .execute()
  return rows.map(toEvent)
}

/** The rollbacks of an execution in order: what decides which of its events count. Nearly always none. */
export function rollbacksOf(database: Database, executionId: string): Promise<JournalEvent[]> {
  return rollbacksOfMany(database, [executionId])
}

/** The rollbacks of these executions, in order within each. */
export async function rollbacksOfMany({ db }: Database, executionIds: readonly string[]): Promise<JournalEvent[]> {
  const rows = await db
    .selectFrom('execution_events')
    .selectAll()
    .where('execution_id', '=', sql<string>`ANY (${executionIds}::uuid[])`)
    // The planner proves the partial index from a literal, not from a parameter.
    .where('type', '=', sql.lit('execution.rolled_back'))
    .orderBy('seq')
    .execute()
  return rows.map(toEvent)
}

/**
 * The events after each cursor, in order within each execution, at most `limit` together: one query for a whole poll. With
 * exactly `limit` rows any of the executions may have been cut off.
 */
export async function tailMany(
  { pool }: Database,
  cursors: readonly { readonly executionId: string; readonly after: number }[],
  limit: number,
): Promise<JournalEvent[]> {
  if (cursors.length === 0) return []
  const { rows } = await pool.query<EventRow>(
    `SELECT e.* FROM unnest($1::uuid[], $2::bigint[]) AS cursors(execution_id, after)
     CROSS JOIN LATERAL (
       SELECT * FROM execution_events
       WHERE execution_id = cursors.execution_id AND seq > cursors.after ORDER BY seq LIMIT $3
     ) AS e
     LIMIT $3`,
    [cursors.map((cursor) => cursor.executionId), cursors.map((cursor) => cursor.after), limit],
  )
  return rows.map(toEvent)
}

/** Some part of an execution's journal: the events with `after` < seq ≤ `through`. */
export interface JournalRange {
  readonly executionId: string
  readonly after: number
  readonly through: number
}

const eventsOfManyStatement = portionSql(
  `SELECT e.*, w.place, pg_column_size(e.data) + 100 AS size
   FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS w(id, after, through, place)
   CROSS JOIN LATERAL (
     SELECT * FROM execution_events
     WHERE execution_id = w.id AND seq > w.after AND seq <= w.through ORDER BY seq LIMIT $4
   ) AS e`,
  { order: 'place, seq', bytes: '$5' },
)

/**
 * The first events of each range, at most `each` of one and `bytes` (or one event) together; range by range, in order. A range
 * before the last item's (or any, when it is not cut) with fewer than `each` is complete.
 */
export async function eventsOfMany(
  { pool }: Database,
  ranges: readonly JournalRange[],
  each: number,
  bytes: number,
): Promise<Portion<JournalEvent>> {
  const { rows } = await pool.query<EventRow & { total: number }>(eventsOfManyStatement, [
    ranges.map((range) => range.executionId),
    ranges.map((range) => range.after),
    ranges.map((range) => range.through),
    each,
    bytes,
  ])
  return portionOf(rows, bytes, toEvent)
}

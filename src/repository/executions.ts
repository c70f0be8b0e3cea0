import { type SelectQueryBuilder, sql } from 'kysely'
import type { ExecutionStatus } from '../engine/core/state.ts'
import type { Database } from './connection.ts'
import { decodeCursor, type Page, page } from './cursor.ts'
import { type ExecutionImage, type ExecutionRow, type StoredExecution, toExecution } from './execution-row.ts'
import type { Tables } from './tables.ts'

export type { ExecutionImage, ExecutionRow }

/** An execution with what only its newest event knows: rows change with the status, not with every step. */
export interface ExecutionView extends ExecutionRow {
  /** 0..100 as of the newest event. */
  readonly percentage: number
  /** The path that the newest event is about; null when it is about none. */
  readonly path: string | null
}

/** An item of a list: without the payloads, which may be a MiB each. */
export type ExecutionSummary = Omit<ExecutionView, 'input' | 'output'>

export interface ExecutionFilter {
  readonly namespace?: string | undefined
  readonly workflowId?: string | undefined
  readonly status?: ExecutionStatus | undefined
  readonly triggeredBy?: string | undefined
  readonly correlationId?: string | undefined
  readonly executionKey?: string | undefined
  readonly parentExecutionId?: string | undefined
  readonly tag?: string | undefined
  /** ms since 1970; both exclusive. */
  readonly createdAfter?: number | undefined
  readonly createdBefore?: number | undefined
}

/** What an `execution` message to a workflow's subscribers is made of. */
export interface ExecutionChange {
  readonly id: string
  readonly workflowId: string
  readonly status: ExecutionStatus
  readonly lastSeq: number
  readonly percentage: number
  readonly updatedAt: number
}

interface Newest {
  seq: number | null
  newest_percentage: number | null
  newest_path: string | null
}

/** The row, or null. It is as of the last change of status; its journal may be further. */
export async function findExecution({ db }: Database, id: string): Promise<ExecutionRow | null> {
  const row = await db.selectFrom('workflow_executions').selectAll().where('id', '=', id).executeTakeFirst()
  return row === undefined ? null : toExecution(row)
}

/** The row with percentage, path and lastSeq of the newest event, or null. */
export async function findExecutionView({ db }: Database, id: string): Promise<ExecutionView | null> {
  const row = await withNewest(db.selectFrom('workflow_executions'))
    .selectAll('workflow_executions')
    .where('workflow_executions.id', '=', id)
    .executeTakeFirst()
  return row === undefined ? null : toView(row)
}

/** Those of the ids of which there is no execution: it never was, or its retention is over. */
export async function missingExecutions({ pool }: Database, ids: readonly string[]): Promise<string[]> {
  const { rows } = await pool.query<{ id: string }>(
    `SELECT id FROM unnest($1::uuid[]) AS given(id)
     WHERE NOT EXISTS (SELECT FROM workflow_executions e WHERE e.id = given.id)`,
    [ids],
  )
  return rows.map(({ id }) => id)
}

const summaryColumns = [
  'workflow_executions.id',
  'workflow_executions.namespace',
  'workflow_executions.workflow_id',
  'workflow_executions.workflow_version',
  'workflow_executions.format',
  'workflow_executions.priority',
  'workflow_executions.status',
  'workflow_executions.requested',
  'workflow_executions.owner',
  'workflow_executions.wake_at',
  'workflow_executions.last_seq',
  'workflow_executions.created_at',
  'workflow_executions.started_at',
  'workflow_executions.completed_at',
  'workflow_executions.updated_at',
  'workflow_executions.parent_execution_id',
  'workflow_executions.triggered_by',
  'workflow_executions.correlation_id',
  'workflow_executions.traceparent',
  'workflow_executions.execution_key',
  'workflow_executions.tags',
  'workflow_executions.error',
] as const

/**
 * How far the time in an execution's id may be from its created_at, ms. A node reads both from its idea of the database's clock, one
 * after the other: only a process that stands still between the two parts them. A list of a time walks past this much more.
 */
const ID_SLACK_MS = 60_000

/** Ids of a time (ms since 1970) or later are not below it. */
function leastIdAt(ms: number): string {
  const time = Math.min(Math.max(ms, 0), 2 ** 48 - 1)
    .toString(16)
    .padStart(12, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}-0000-0000-000000000000`
}

/** Ids from `from` on and below `before`: what ends the walk over an index. It may let too much through, never too little. */
interface IdRange {
  readonly from?: string | undefined
  readonly before?: string | undefined
}

const rangeOf = ({ createdAfter, createdBefore }: ExecutionFilter, after?: string): IdRange => ({
  from: createdAfter === undefined ? undefined : leastIdAt(createdAfter - ID_SLACK_MS),
  before: [createdBefore === undefined ? [] : leastIdAt(createdBefore + ID_SLACK_MS), after ?? []].flat().sort()[0],
})

/**
 * PostgreSQL cannot interpolate between UUIDs: of a range within a bin of its histogram it expects one row, and walks all of that,
 * whatever else is asked for. Of one with a bound that it does not know beforehand it expects 0.5 %.
 */
function isWithin(column: 'id' | 'execution_id', { from, before }: IdRange) {
  const isBelow = before === undefined ? sql`true` : sql`${sql.ref(column)} < ${before}::uuid`
  const least = before === undefined ? sql`${from}::uuid` : sql`(SELECT ${from}::uuid)`
  return from === undefined ? sql<boolean>`${isBelow}` : sql<boolean>`${isBelow} AND ${sql.ref(column)} >= ${least}`
}

const greatestId = 'ffffffff-ffff-ffff-ffff-ffffffffffff'

/**
 * All of a workflow in the order of the one index that has it. Asked for by `=` and ordered by id, of which the primary key has the order
 * too, a workflow that nobody has started lately was sought among all that was started since: 75 ms of half a million.
 */
const isOfWorkflow = (id: string, { from = leastIdAt(0), before = greatestId }: IdRange) =>
  sql<boolean>`(workflow_id, id) >= (${id}::uuid, ${from}::uuid) AND (workflow_id, id) < (${id}::uuid, ${before}::uuid)`

/**
 * Newest first: by id, whose time is that of created_at, so that the primary key and every index that ends with the id has the order
 * (docs/adr/0045). Filters are combined with "and". CURSOR_INVALID.
 */
export async function listExecutions(
  { db }: Database,
  filter: ExecutionFilter,
  limit: number,
  cursor?: string,
): Promise<Page<ExecutionSummary>> {
  const after = decodeCursor(cursor)
  const { workflowId, status, triggeredBy, correlationId, executionKey, parentExecutionId, tag } = filter
  const { createdAfter, createdBefore } = filter
  const range = rangeOf(filter, after?.id)
  const isWhole = [triggeredBy, correlationId, executionKey, parentExecutionId, tag].every((one) => one === undefined)
  let query = db
    .selectFrom('workflow_executions')
    .select(summaryColumns)
    .where('namespace', '=', filter.namespace ?? 'default')
    .limit(limit + 1)
  if (workflowId !== undefined && isWhole && (status ?? 'completed') === 'completed') {
    query = query.where(isOfWorkflow(workflowId, range)).orderBy('workflow_id', 'desc')
  } else {
    if (workflowId !== undefined) query = query.where('workflow_id', '=', workflowId)
    if (tag === undefined) query = query.where(isWithin('id', range))
    else
      query = query.where('id', 'in', (eb) =>
        eb
          .selectFrom('execution_tags')
          .select('execution_id')
          .where('tag', '=', tag)
          .where(isWithin('execution_id', range)),
      )
  }
  if (status !== undefined) query = query.where('status', '=', status)
  if (triggeredBy !== undefined) query = query.where('triggered_by', '=', triggeredBy)
  if (correlationId !== undefined) query = query.where('correlation_id', '=', correlationId)
  if (executionKey !== undefined) query = query.where('execution_key', '=', executionKey)
  if (parentExecutionId !== undefined) query = query.where('parent_execution_id', '=', parentExecutionId)
  if (createdAfter !== undefined) query = query.where('created_at', '>', createdAfter)
  if (createdBefore !== undefined) query = query.where('created_at', '<', createdBefore)
  // The page first: joined before they are sorted, all that the filter finds would be looked up in the journal.
  const rows = await withNewest(db.selectFrom(query.orderBy('id', 'desc').as('workflow_executions')))
    .selectAll('workflow_executions')
    .orderBy('id', 'desc')
    .execute()
  // Nodes of earlier releases go by the time, too.
  return page(rows, limit, (row) => ({ order: row.created_at, id: row.id }), toSummary)
}

/** Where an execution stands, by its newest event. */
export type Standing = Pick<ExecutionView, 'id' | 'status' | 'percentage'>

/** Those of the ids that there are, in no order. */
export async function findStandings({ db }: Database, ids: readonly string[]): Promise<Standing[]> {
  const rows = await withNewest(db.selectFrom('workflow_executions'))
    .select(['workflow_executions.id', 'workflow_executions.status'])
    .where('workflow_executions.id', '=', sql<string>`ANY (${ids}::uuid[])`)
    .execute()
  return rows.map((row) => ({
    id: row.id,
    status: row.status as ExecutionStatus,
    percentage: row.newest_percentage ?? 0,
  }))
}

interface Changed {
  id: string
  workflow_id: string
  status: string
  last_seq: number
  updated_at: number
  percentage: number | null
}

const changedOf = (condition: string): string => `(
  SELECT e.id, e.workflow_id, e.status, e.last_seq, e.updated_at FROM workflow_executions e
  WHERE e.workflow_id = given.id AND e.updated_at >= $2::bigint AND ${condition} ORDER BY e.updated_at, e.id LIMIT $3
)`
const finished = "('completed', 'failed', 'cancelled')"

/** What has ended has an index of its own, and what has not. The conditions are those of the indexes. */
const changedStatement = `
SELECT e.*, v.percentage FROM (
  SELECT x.* FROM unnest($1::uuid[]) AS given(id) CROSS JOIN LATERAL (
    ${changedOf(`e.status NOT IN ${finished}`)} UNION ALL ${changedOf(`e.status IN ${finished}`)}
  ) AS x ORDER BY x.updated_at, x.id LIMIT $3
) AS e LEFT JOIN execution_events v ON v.execution_id = e.id AND v.seq = e.last_seq
ORDER BY e.updated_at, e.id`

/**
 * Executions of these workflows whose row was changed at or after `since` (ms since 1970, the time that the change carries),
 * oldest change first, each as of its last change.
 */
export async function executionsChangedSince(
  { pool }: Database,
  workflowIds: readonly string[],
  since: number,
  limit: number,
): Promise<ExecutionChange[]> {
  const { rows } = await pool.query<Changed>(changedStatement, [workflowIds, since, limit])
  return rows.map((row) => ({
    id: row.id,
    workflowId: row.workflow_id,
    status: row.status as ExecutionStatus,
    lastSeq: row.last_seq,
    percentage: row.percentage ?? 0,
    updatedAt: row.updated_at,
  }))
}

/** A page costs one look-up in the journal's key for each row. */
function withNewest<O>(query: SelectQueryBuilder<Tables, 'workflow_executions', O>) {
  return query
    .leftJoinLateral(
      (eb) =>
        eb
          .selectFrom('execution_events')
          .select(['seq', 'percentage as newest_percentage', 'path as newest_path'])
          .whereRef('execution_id', '=', 'workflow_executions.id')
          .orderBy('seq', 'desc')
          .limit(1)
          .as('newest'),
      (join) => join.onTrue(),
    )
    .select(['newest.seq', 'newest.newest_percentage', 'newest.newest_path'])
}

function toSummary(row: Omit<StoredExecution, 'input' | 'output'> & Newest): ExecutionSummary {
  const { input: _input, output: _output, ...summary } = toView({ ...row, input: null, output: null })
  return summary
}

const toView = (row: StoredExecution & Newest): ExecutionView => ({
  ...toExecution(row),
  lastSeq: row.seq ?? row.last_seq,
  percentage: row.newest_percentage ?? 0,
  path: row.newest_path,
})

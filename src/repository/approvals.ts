import { sql } from 'kysely'
import type { Json } from '../definition/json.ts'
import type { ApprovalStatus } from '../engine/core/approvals.ts'
import { type ArrayColumn, arrayParameters, cast, insertFrom, textArray, unnest } from './array-columns.ts'
import type { Database } from './connection.ts'
import { decodeCursor, type Page, page } from './cursor.ts'
import type { FlushPart } from './flush-part.ts'
import type { ApprovalsTable } from './tables.ts'

/** What somebody is asked to decide, or was, as the journal has it. All times are ms since 1970. */
export interface ApprovalRow {
  readonly id: string
  readonly namespace: string
  readonly workflowId: string
  readonly executionId: string
  /** Of the step that asks. */
  readonly path: string
  readonly status: ApprovalStatus
  readonly title: string
  readonly description: string | null
  readonly assignees: readonly string[]
  readonly groups: readonly string[]
  readonly requestedAt: number
  readonly dueAt: number | null
  readonly closedAt: number | null
  /** Who decided, why, and what they filled in. */
  readonly by: string | null
  readonly comment: string | null
  readonly data: Json
  /** The request that was it. */
  readonly requestId: string | null
}

/** With what only its execution's row knows. One of an execution that has ended is cancelled, though nobody may have said so. */
export interface ApprovalView extends ApprovalRow {
  readonly workflowVersion: number
}

/** An item of a list: `data` may be a MiB. */
export type ApprovalSummary = Omit<ApprovalView, 'data'>

/** What has become of an approval that was open. */
export type ApprovalClosing = Pick<ApprovalRow, 'id' | 'status' | 'closedAt' | 'by' | 'comment' | 'data' | 'requestId'>

/** What one append says of approvals: none is in both lists, since a statement does not see the rows that it inserts. */
export interface ApprovalChanges {
  readonly opened: readonly ApprovalRow[]
  readonly closed: readonly ApprovalClosing[]
}

const jsonOrNull = (value: Json): string | null => (value === null ? null : JSON.stringify(value))

const closingColumns: readonly ArrayColumn<ApprovalClosing>[] = [
  { name: 'id', type: 'uuid', of: ({ id }) => id },
  { name: 'status', type: 'word', of: ({ status }) => status },
  { name: 'closed_at', type: 'bigint', of: ({ closedAt }) => closedAt },
  { name: 'decided_by', type: 'text', of: ({ by }) => by },
  { name: 'comment', type: 'text', of: ({ comment }) => comment },
  { name: 'data', type: 'json', of: ({ data }) => jsonOrNull(data) },
  { name: 'request_id', type: 'uuid', of: ({ requestId }) => requestId },
]

const approvalColumns: readonly ArrayColumn<ApprovalRow>[] = [
  ...closingColumns,
  { name: 'namespace', type: 'text', of: ({ namespace }) => namespace },
  { name: 'workflow_id', type: 'uuid', of: ({ workflowId }) => workflowId },
  { name: 'execution_id', type: 'uuid', of: ({ executionId }) => executionId },
  { name: 'path', type: 'text', of: ({ path }) => path },
  { name: 'title', type: 'text', of: ({ title }) => title },
  { name: 'description', type: 'text', of: ({ description }) => description },
  { name: 'assignees', type: 'text[]', of: ({ assignees }) => textArray(assignees) },
  { name: 'groups', type: 'text[]', of: ({ groups }) => textArray(groups) },
  { name: 'requested_at', type: 'bigint', of: ({ requestedAt }) => requestedAt },
  { name: 'due_at', type: 'bigint', of: ({ dueAt }) => dueAt },
]

const nothing: readonly FlushPart[] = []

/** The parts of a flush that these appends need, most often none. */
export function approvalParts(appends: readonly { readonly approvals?: ApprovalChanges }[]): readonly FlushPart[] {
  if (!appends.some(({ approvals }) => approvals !== undefined)) return nothing
  const opened = appends.flatMap(({ approvals }) => approvals?.opened ?? [])
  const closed = appends.flatMap(({ approvals }) => approvals?.closed ?? [])
  return [...(opened.length > 0 ? [openingPart(opened)] : []), ...(closed.length > 0 ? [closingPart(closed)] : [])]
}

const openingPart = (opened: readonly ApprovalRow[]): FlushPart => ({
  name: 'approvals_opened',
  parameters: arrayParameters(approvalColumns, opened),
  clause: (first) => insertFrom('complete', 'approvals', approvalColumns, first),
})

const assignments = closingColumns.slice(1).map((column) => `${column.name} = c.${column.name}${cast(column)}`)

const closingPart = (closed: readonly ApprovalClosing[]): FlushPart => ({
  name: 'approvals_closed',
  parameters: arrayParameters(closingColumns, closed),
  clause: (first) => `UPDATE approvals AS a SET ${assignments.join(', ')}
  FROM complete, ${unnest(closingColumns, first, 'c')} WHERE a.id = c.id AND a.status = 'open'`,
})

export interface ApprovalFilter {
  readonly namespace?: string | undefined
  readonly status?: ApprovalStatus | undefined
  /** Somebody who is asked. */
  readonly assignee?: string | undefined
  readonly group?: string | undefined
  readonly workflowId?: string | undefined
  readonly executionId?: string | undefined
}

/** An execution that was quarantined has said nothing of its approvals, and may go on with them after a `retry`. */
const ended = sql<boolean>`e.status IN ('completed', 'failed', 'cancelled')`
const present = sql<string>`CASE WHEN a.status = 'open' AND ${ended} THEN 'cancelled' ELSE a.status END`

const summaryColumns = [
  'a.id',
  'a.namespace',
  'a.workflow_id',
  'a.execution_id',
  'a.path',
  'a.title',
  'a.description',
  'a.assignees',
  'a.groups',
  'a.requested_at',
  'a.due_at',
  'a.closed_at',
  'a.decided_by',
  'a.comment',
  'a.request_id',
  'e.workflow_version',
] as const

const withExecutions = ({ db }: Database) =>
  db.selectFrom('approvals as a').innerJoin('workflow_executions as e', 'e.id', 'a.execution_id')

/** An approval as it is now, or null. */
export async function findApproval(database: Database, id: string): Promise<ApprovalView | null> {
  const row = await withExecutions(database)
    .select([...summaryColumns, 'a.data', present.as('status')])
    .where('a.id', '=', id)
    .executeTakeFirst()
  return row === undefined ? null : { ...toSummary(row), data: row.data as Json }
}

/** Newest first; filters are combined with "and". CURSOR_INVALID. */
export async function listApprovals(
  database: Database,
  filter: ApprovalFilter,
  limit: number,
  cursor?: string,
): Promise<Page<ApprovalSummary>> {
  const after = decodeCursor(cursor)
  const { status, assignee, group, workflowId, executionId } = filter
  let query = withExecutions(database)
    .select([...summaryColumns, present.as('status')])
    .where('a.namespace', '=', filter.namespace ?? 'default')
    .orderBy('a.requested_at', 'desc')
    .orderBy('a.id', 'desc')
    .limit(limit + 1)
  if (status === 'open') query = query.where(sql<boolean>`a.status = 'open' AND NOT ${ended}`)
  else if (status === 'cancelled')
    query = query.where(sql<boolean>`(a.status = 'cancelled' OR (a.status = 'open' AND ${ended}))`)
  else if (status !== undefined) query = query.where('a.status', '=', status)
  // The second conditions are what lets the planner use the partial indexes.
  if (assignee !== undefined)
    query = query.where(sql<boolean>`a.assignees @> ${[assignee]}::text[] AND a.assignees <> '{}'`)
  if (group !== undefined) query = query.where(sql<boolean>`a.groups @> ${[group]}::text[] AND a.groups <> '{}'`)
  if (workflowId !== undefined) query = query.where('a.workflow_id', '=', workflowId)
  if (executionId !== undefined) query = query.where('a.execution_id', '=', executionId)
  if (after !== null) query = query.where(sql<boolean>`(a.requested_at, a.id) < (${after.order}, ${after.id}::uuid)`)
  const rows = await query.execute()
  return page(rows, limit, (row) => ({ order: row.requested_at, id: row.id }), toSummary)
}

const toSummary = (row: Omit<ApprovalsTable, 'data'> & { readonly workflow_version: number }): ApprovalSummary => ({
  id: row.id,
  namespace: row.namespace,
  workflowId: row.workflow_id,
  workflowVersion: row.workflow_version,
  executionId: row.execution_id,
  path: row.path,
  status: row.status as ApprovalStatus,
  title: row.title,
  description: row.description,
  assignees: row.assignees,
  groups: row.groups,
  requestedAt: row.requested_at,
  dueAt: row.due_at,
  closedAt: row.closed_at,
  by: row.decided_by,
  comment: row.comment,
  requestId: row.request_id,
})

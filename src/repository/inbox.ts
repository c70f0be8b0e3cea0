import { sql } from 'kysely'
import type { Json } from '../definition/json.ts'
import { type ArrayColumn, insertFrom } from './array-columns.ts'
import type { Database } from './connection.ts'

export type InboxKind =
  | 'pause'
  | 'resume'
  | 'cancel'
  | 'retry'
  | 'rollback'
  | 'signal'
  | 'child_ended'
  | 'approval'
  | 'slot'

/** Something that reaches an execution from outside. Its owner deletes it in the append that answers it: exactly once. */
export interface NewInboxItem {
  readonly executionId: string
  readonly kind: InboxKind
  /** A signal's name, an approval's id. */
  readonly name: string | null
  readonly payload: Json
  /** The answering event carries it. */
  readonly requestId: string
  /** ms since 1970. */
  readonly at: number
}

/**
 * What names an inbox row: its place, and whose it is. A failover that loses commits may give the same id out again, to
 * another request.
 */
export interface InboxKey {
  /** Items of an execution are taken in the order of their ids (numeric, as text). */
  readonly id: string
  readonly requestId: string
}

export interface InboxItem extends NewInboxItem, InboxKey {}

interface InboxRow {
  id: number
  execution_id: string
  request_id: string
  created_at: number
  kind: string
  name: string | null
  payload: unknown
}

const toItem = (row: InboxRow): InboxItem => ({
  id: String(row.id),
  executionId: row.execution_id,
  kind: row.kind as InboxKind,
  name: row.name,
  payload: row.payload as Json,
  requestId: row.request_id,
  at: row.created_at,
})

/** The parameters of `insertInboxFrom`, in its order. */
export const inboxParameters = (item: NewInboxItem): unknown[] => [
  item.executionId,
  item.requestId,
  item.at,
  item.kind,
  item.name,
  JSON.stringify(item.payload ?? null),
]

/** `INSERT … SELECT … FROM source` for one item of an execution that exists; `first` numbers the first parameter. */
export function insertInboxFrom(source: string, first: number): string {
  const types = ['uuid', 'uuid', 'bigint', 'text', 'text', 'json']
  const values = types.map((type, index) => `$${first + index}::${type}`).join(', ')
  return `INSERT INTO execution_inbox (execution_id, request_id, created_at, kind, name, payload)
    SELECT ${values} FROM ${source}`
}

/** The execution's row, held against its removal until the item is committed: retention spares what has an inbox. */
export const lockedExecution = (id: string): string =>
  `(SELECT FROM workflow_executions WHERE id = ${id}::uuid FOR KEY SHARE) AS execution`

/** What one execution leaves in the inbox of another, in the flush that records why. */
export interface Send {
  readonly item: NewInboxItem
  /** The receiver's row is inserted by the same statement, which cannot see it. */
  readonly isStarted: boolean
}

export const sendColumns: readonly ArrayColumn<Send>[] = [
  { name: 'execution_id', type: 'uuid', of: ({ item }) => item.executionId },
  { name: 'request_id', type: 'uuid', of: ({ item }) => item.requestId },
  { name: 'created_at', type: 'bigint', of: ({ item }) => item.at },
  { name: 'kind', type: 'word', of: ({ item }) => item.kind },
  { name: 'name', type: 'text', of: ({ item }) => item.name },
  { name: 'payload', type: 'json', of: ({ item }) => JSON.stringify(item.payload ?? null) },
  { name: 'is_started', type: 'smallint', of: ({ isStarted }) => Number(isStarted) },
]

const sentColumns = sendColumns.slice(0, -1)

/**
 * The items whose receivers are there and have not ended. The receivers' rows are not locked: PostgreSQL passes over a row that
 * the same statement changes when it is to be locked, and a parent that parks in the flush in which its child ends would
 * never hear of it. One that ends at the same moment answers without effect. They are looked up one by one.
 */
export const sendFrom = (source: string, first: number): string =>
  `${insertFrom(source, 'execution_inbox', sentColumns, first, { given: sendColumns })}
  WHERE given.is_started = 1 OR (SELECT e.status FROM workflow_executions e WHERE e.id = given.execution_id)
    IN ('pending', 'running', 'waiting', 'paused')`

/** Puts an item in an execution's inbox, durably. Its id, or null when there is no such execution. */
export async function insertInbox({ pool }: Database, item: NewInboxItem): Promise<string | null> {
  const { rows } = await pool.query<{ id: number }>(
    `${insertInboxFrom(lockedExecution('$1'), 1)} RETURNING id`,
    inboxParameters(item),
  )
  return rows[0] === undefined ? null : String(rows[0].id)
}

/** The items of these executions, in order. */
export async function inboxOf({ db }: Database, executionIds: readonly string[]): Promise<InboxItem[]> {
  if (executionIds.length === 0) return []
  const rows = await db
    .selectFrom('execution_inbox')
    .selectAll()
    .where('execution_id', '=', sql<string>`ANY (${executionIds}::uuid[])`)
    .orderBy('id')
    .execute()
  return rows.map(toItem)
}

/** The oldest items of all executions that a node owns: what it polls. Reads the inbox, which is short, not the executions. */
export async function inboxOfOwner({ db }: Database, node: string, limit: number): Promise<InboxItem[]> {
  const rows = await db
    .selectFrom('execution_inbox')
    .innerJoin('workflow_executions', 'workflow_executions.id', 'execution_inbox.execution_id')
    .selectAll('execution_inbox')
    .where('workflow_executions.owner', '=', node)
    .orderBy('execution_inbox.id')
    .limit(limit)
    .execute()
  return rows.map(toItem)
}

/** Signals of an execution that its owner has not taken in yet; those in its mailbox are in its state. */
export async function countSignals({ db }: Database, executionId: string): Promise<number> {
  const { count } = await db
    .selectFrom('execution_inbox')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('execution_id', '=', executionId)
    .where('kind', '=', 'signal')
    .executeTakeFirstOrThrow()
  return Number(count)
}

import { isFinished } from '../../../src/engine/core/state.ts'
import { type Append, withStarts } from '../../../src/repository/append.ts'
import type { ExecutionImage, ExecutionRow } from '../../../src/repository/execution-row.ts'
import type { Fence } from '../../../src/repository/fence.ts'
import type { NewInboxItem } from '../../../src/repository/inbox.ts'
import { tally } from '../../../src/repository/tally.ts'
import { changeApprovals } from './approvals.ts'
import { databaseError } from './errors.ts'
import { put, remove, type Statement, type Transaction } from './server.ts'
import { askSlots, releaseSlots } from './slots.ts'
import type { EventRow, StoredRow, Tables } from './tables.ts'

type FlushOutcome = 'committed' | 'fenced'

/** Whether what the lane was promised is still there; the lane's row is locked against deletion. */
function* fence(tables: Tables, { node, lane, acknowledged, mark, isMarkUnsure }: Fence) {
  yield { row: `lane ${node}/${lane}`, mode: 'key_share' } as const
  const present = tables.lanes.get(`${node}/${lane}`)
  if (present === undefined) return false
  if (present < mark || present > (isMarkUnsure ? mark + 1 : mark)) return false
  if (acknowledged === null) return true
  return tables.events.get(acknowledged.executionId)?.get(acknowledged.seq)?.at === acknowledged.at
}

/** We are the owner and the history is the one that was read, or the append is there already. */
function claimStands({ events, executions, snapshots }: Tables, node: string, append: Append): boolean {
  const { executionId, basis } = append
  if (basis === undefined) return true
  const own = events.get(executionId)
  const last = append.events.at(-1)!
  if (own?.get(last.seq)?.at === last.at) return true
  const isRead = own?.get(basis.seq)?.at ?? (snapshots.get(executionId)?.has(basis.seq) ? basis.at : null)
  return executions.get(executionId)?.owner === node && isRead === basis.at
}

/** What src/repository/flush.ts sends, clause by clause; the appends come sorted by execution. */
export const flushStatement = (lane: Fence, given: readonly Append[], resend: boolean): Statement<FlushOutcome> =>
  function* flush(transaction, tables) {
    const appends = withStarts(given)
    if (!(yield* fence(tables, lane))) return 'fenced'
    if (!appends.every((append) => claimStands(tables, lane.node, append))) return 'fenced'
    let inserted = 0
    let sent = 0
    const stands = ({ executionId, events }: Append): boolean =>
      tables.events.get(executionId)?.has(events[0]!.seq) === true
    const brought = new Set(resend ? given.filter(stands).flatMap(({ also = [] }) => also) : [])
    for (const append of appends) {
      for (const event of append.events) {
        sent += 1
        if (brought.has(append)) continue
        const { executionId, seq } = event
        yield { row: `event ${executionId}/${seq}`, mode: 'exclusive' }
        if (tables.events.get(executionId)?.get(seq) === undefined) {
          inserted += 1
          insertEvent(transaction, event)
        } else if (!resend) throw duplicate('execution_events_pkey')
      }
    }
    if (inserted === 0) return 'committed'
    transaction.flush = { node: lane.node, appends }
    if (inserted < sent) throw databaseError('22P02', `a resend stands in part: ${inserted}`)
    for (const { executionId, insert, row } of appends) {
      if (insert !== undefined) yield* insertExecution(transaction, tables.executions, insert)
      else if (row !== undefined) yield* changeExecution(transaction, tables.executions, executionId, row)
    }
    for (const { id: text, requestId } of appends.flatMap((append) => append.inboxKeys)) {
      const id = Number(text)
      yield { row: `inbox ${id}`, mode: 'exclusive' }
      if (tables.inbox.get(id)?.requestId === requestId) transaction.change(remove((all) => all.inbox, id))
    }
    count(transaction, appends)
    yield* changeApprovals(transaction, tables, appends)
    const started = new Set(appends.flatMap(({ insert }) => insert?.id ?? []))
    for (const item of given.flatMap(({ sends = [] }) => sends)) {
      if (started.has(item.executionId) || isLive(tables, item.executionId)) insertInbox(transaction, tables, item)
    }
    yield* askSlots(
      transaction,
      tables,
      given.flatMap(({ asks = [] }) => asks),
    )
    yield* releaseSlots(
      transaction,
      tables,
      given.flatMap(({ releases = [] }) => releases),
    )
    return 'committed'
  }

const isLive = ({ executions }: Tables, id: string): boolean => {
  const row = executions.get(id)
  return row !== undefined && !isFinished(row.status)
}

/** The item's id is taken at once and seen when it is committed: a later id may be seen before. */
export function insertInbox(transaction: Transaction, tables: Tables, item: NewInboxItem): string {
  const id = tables.nextInboxId++
  const row = { ...item, id: String(id), payload: JSON.stringify(item.payload ?? null) }
  transaction.change(put((all) => all.inbox, id, row))
  return row.id
}

/** src/repository/lane.ts's mark: what the fence rests on moves from an event to the lane's own row. */
export const markStatement = (lane: Fence): Statement<FlushOutcome> =>
  function* mark(transaction, tables) {
    if (!(yield* fence(tables, lane))) return 'fenced'
    yield { row: `lane ${lane.node}/${lane.lane}`, mode: 'update' }
    transaction.change(put((all) => all.lanes, `${lane.node}/${lane.lane}`, lane.mark + 1))
    return 'committed'
  }

export function insertEvent(transaction: Transaction, event: Append['events'][number]): void {
  const { executionId, seq, type, path, attempt, at, percentage, text } = event
  const row: EventRow = { executionId, seq, type, path, attempt, at, percentage, text }
  transaction.change((tables) => {
    const own = tables.events.get(executionId) ?? new Map<number, EventRow>()
    tables.events.set(executionId, own)
    own.set(seq, row)
    return () => void own.delete(seq)
  })
}

export function* insertExecution(
  transaction: Transaction,
  executions: ReadonlyMap<string, StoredRow>,
  row: ExecutionRow,
) {
  yield { row: `execution ${row.id}`, mode: 'exclusive' } as const
  if (executions.has(row.id)) throw duplicate('workflow_executions_pkey')
  transaction.change(put((tables) => tables.executions, row.id, checked({ ...row, ...texts(row) })))
}

function* changeExecution(
  transaction: Transaction,
  executions: ReadonlyMap<string, StoredRow>,
  id: string,
  image: ExecutionImage,
) {
  yield { row: `execution ${id}`, mode: 'update' } as const
  const before = executions.get(id)
  if (before === undefined) return
  // The statement sets these columns, whatever else the image's object may carry.
  const { status, requested, owner, wakeAt, startedAt, completedAt, lastSeq, updatedAt } = image
  const set = { status, requested, owner, wakeAt, startedAt, completedAt, lastSeq, updatedAt }
  const { output, error } = texts(image)
  transaction.change(put((tables) => tables.executions, id, checked({ ...before, ...set, output, error })))
}

/** Statistics rows of their own: nobody waits for anybody. */
export function count(transaction: Transaction, appends: readonly Append[]): void {
  for (const row of tally(appends.flatMap((append) => append.statistics))) {
    transaction.change(({ statistics }) => {
      statistics.push(row)
      return () => void statistics.splice(statistics.indexOf(row), 1)
    })
  }
}

const jsonOrNull = (value: unknown): string | null => (value == null ? null : JSON.stringify(value))

const texts = (row: Pick<ExecutionRow, 'output' | 'error'> & { input?: unknown }) => ({
  input: JSON.stringify(row.input ?? null),
  output: jsonOrNull(row.output),
  error: jsonOrNull(row.error),
})

/** The table's own constraints, as far as the engine relies on them. */
function checked(row: StoredRow): StoredRow {
  if (row.owner === null && row.wakeAt === null && (row.status === 'pending' || row.status === 'running')) {
    throw databaseError('23514', 'new row violates check constraint', 'workflow_executions_wakes')
  }
  for (const text of [row.triggeredBy, row.correlationId, row.traceparent, ...row.tags]) {
    if (text?.includes('\u0000')) throw databaseError('22021', 'invalid byte sequence for encoding "UTF8": 0x00')
  }
  return row
}

export const duplicate = (constraint: string): Error =>
  databaseError('23505', `duplicate key value violates unique constraint "${constraint}"`, constraint)

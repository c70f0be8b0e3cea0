import type { Json } from '../../../src/definition/json.ts'
import type { EventType, JournalEvent } from '../../../src/engine/core/event.ts'
import { isFinished } from '../../../src/engine/core/state.ts'
import type { JournalRange } from '../../../src/repository/events.ts'
import type { ExecutionRow } from '../../../src/repository/execution-row.ts'
import type { ExecutionChange, ExecutionView } from '../../../src/repository/executions.ts'
import type { InboxItem } from '../../../src/repository/inbox.ts'
import type { Portion } from '../../../src/repository/portion.ts'
import type { Address, Receiver } from '../../../src/repository/receivers.ts'
import type { Snapshot } from '../../../src/repository/snapshots.ts'
import type { EventRow, StoredRow, Tables } from './tables.ts'

// What the engine reads. A read sees what is committed when it is performed; its answer may come when that is long past.

export const toRow = (row: StoredRow): ExecutionRow => ({
  ...row,
  input: JSON.parse(row.input) as Json,
  output: row.output === null ? null : (JSON.parse(row.output) as Json),
  error: row.error === null ? null : JSON.parse(row.error),
})

export const toEvent = ({ text, type, ...row }: EventRow): JournalEvent => ({
  ...row,
  type: type as EventType,
  data: JSON.parse(text) as Json,
})

/** All events of an execution, in order. */
export function eventRows({ events }: Tables, executionId: string): EventRow[] {
  return [...(events.get(executionId)?.values() ?? [])].sort((a, b) => a.seq - b.seq)
}

export function eventsAfter(tables: Tables, executionId: string, after: number, limit: number, through: number) {
  return eventRows(tables, executionId)
    .filter(({ seq }) => seq > after && seq <= through)
    .slice(0, limit)
    .map(toEvent)
}

export function findExecution({ executions }: Tables, id: string): ExecutionRow | null {
  const row = executions.get(id)
  return row === undefined ? null : toRow(row)
}

export function findExecutionView(tables: Tables, id: string): ExecutionView | null {
  const row = findExecution(tables, id)
  if (row === null) return null
  const newest = eventRows(tables, id).at(-1)
  return {
    ...row,
    lastSeq: newest?.seq ?? row.lastSeq,
    percentage: newest?.percentage ?? 0,
    path: newest?.path ?? null,
  }
}

export function changedSince(
  { executions, events }: Tables,
  workflowIds: readonly string[],
  since: number,
  limit: number,
): ExecutionChange[] {
  return [...executions.values()]
    .filter((row) => workflowIds.includes(row.workflowId) && row.updatedAt >= since)
    .sort((a, b) => a.updatedAt - b.updatedAt || (a.id < b.id ? -1 : 1))
    .slice(0, limit)
    .map(({ id, workflowId, status, lastSeq, updatedAt }) => {
      const percentage = events.get(id)?.get(lastSeq)?.percentage ?? 0
      return { id, workflowId, status, lastSeq, percentage, updatedAt }
    })
}

export const findOwned = ({ executions }: Tables, node: string): string[] =>
  [...executions.values()].filter((row) => row.owner === node).map((row) => row.id)

export function ownedRows({ executions }: Tables, node: string, ids: readonly string[], bytes: number) {
  const rows = ids.flatMap((id) => executions.get(id) ?? []).filter((row) => row.owner === node)
  return portion(rows, bytes, (row) => row.input.length + (row.output?.length ?? 0), toRow)
}

export function eventsOfMany(tables: Tables, ranges: readonly JournalRange[], each: number, bytes: number) {
  const rows = ranges.flatMap(({ executionId, after, through }) =>
    eventRows(tables, executionId)
      .filter(({ seq }) => seq > after && seq <= through)
      .slice(0, each),
  )
  return portion(rows, bytes, (row) => row.text.length, toEvent)
}

export function newestSnapshots({ snapshots }: Tables, ranges: readonly JournalRange[], bytes: number) {
  const rows = ranges.flatMap(({ executionId, after, through }) => {
    const own = [...(snapshots.get(executionId) ?? [])].filter(([seq]) => seq > after && seq <= through)
    const newest = own.sort(([a], [b]) => b - a)[0]
    return newest === undefined ? [] : [{ executionId, seq: newest[0], ...newest[1] }]
  })
  return portion(
    rows,
    bytes,
    (row) => row.state.length,
    (row): Snapshot => ({ ...row, state: JSON.parse(row.state) }),
  )
}

/** src/repository/portion.ts: from the beginning, until the sizes make up `bytes`; at least one. */
function portion<Row, Item>(
  rows: readonly Row[],
  bytes: number,
  sizeOf: (row: Row) => number,
  toItem: (row: Row) => Item,
): Portion<Item> {
  const items: Item[] = []
  let total = 0
  for (const row of rows) {
    if (total >= bytes) break
    total += sizeOf(row)
    items.push(toItem(row))
  }
  return { items, isCut: items.length > 0 && total >= bytes }
}

export const rollbacksOf = (tables: Tables, ids: readonly string[]): JournalEvent[] =>
  ids.flatMap((id) => eventRows(tables, id).filter(({ type }) => type === 'execution.rolled_back')).map(toEvent)

/** The items that are meant, in order. */
export function inbox({ inbox: items }: Tables, isMeant: (executionId: string) => boolean): InboxItem[] {
  return [...items.entries()]
    .filter(([, item]) => isMeant(item.executionId))
    .sort(([a], [b]) => a - b)
    .map(([, item]) => ({ ...item, payload: JSON.parse(item.payload) as Json }))
}

export function newestSnapshot({ snapshots }: Tables, executionId: string, throughSeq: number): Snapshot | null {
  const own = [...(snapshots.get(executionId)?.entries() ?? [])].filter(([seq]) => seq <= throughSeq)
  const newest = own.sort(([a], [b]) => b - a)[0]
  if (newest === undefined) return null
  const [seq, { state, createdAt }] = newest
  return { executionId, seq, state: JSON.parse(state) as Json, createdAt }
}

export function receivers(tables: Tables, namespace: string, address: Address, limit: number): Receiver[] {
  const isMeant = (row: StoredRow): boolean => {
    if ('executionIds' in address) return address.executionIds.includes(row.id)
    const { correlationId, executionKey, workflow, except } = address
    return (
      row.id !== except &&
      (correlationId === undefined || row.correlationId === correlationId) &&
      (executionKey === undefined || row.executionKey === executionKey) &&
      (workflow === undefined || tables.workflows.get(row.workflowId)?.name === workflow)
    )
  }
  return [...tables.executions.values()]
    .filter((row) => row.namespace === namespace && !isFinished(row.status) && isMeant(row))
    .sort((a, b) => (a.id < b.id ? -1 : 1))
    .slice(0, limit)
    .map(({ id }) => ({
      id,
      signals: inbox(tables, (other) => other === id).filter(({ kind }) => kind === 'signal').length,
    }))
}

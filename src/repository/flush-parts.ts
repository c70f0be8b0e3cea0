import type { Append } from './append.ts'
import {
  type ArrayColumn,
  arrayParameters,
  asArrays,
  asOneRow,
  cast,
  insertFrom,
  type RowsForm,
} from './array-columns.ts'
import { eventColumns } from './events.ts'
import { executionColumns, imageColumns } from './execution-row.ts'
import type { FlushPart } from './flush-part.ts'
import type { Change, FlushRows } from './flush-rows.ts'
import { type InboxKey, type Send, sendColumns, sendFrom } from './inbox.ts'
import { insertResentFrom, resentColumns, resentEvents } from './resent-starts.ts'
import { statisticsColumns, statisticsTable } from './tally.ts'

/*
 * The clauses of a flush's statement, in the form in which its rows travel. A statement without the parts that a flush does not
 * need halves a lone flush's time. All but the events select from `complete`: see flush.ts.
 */

/** The events, once for each row of `source`. */
export const eventsPart = ({ events }: FlushRows, form: RowsForm, source: string): FlushPart => ({
  name: 'events',
  parameters: form.parameters(eventColumns, events),
  clause: (first) => insertFrom(source, 'execution_events', eventColumns, first, { form }),
})

/** The events of a resend with starts that other appends bring. */
export const resentEventsPart = (given: readonly Append[], source: string): FlushPart => ({
  name: 'events_with_starts',
  parameters: arrayParameters(resentColumns, resentEvents(given)),
  clause: (first) => insertResentFrom(source, first),
})

/** The rows of the executions that are started. */
export const startsPart = ({ inserts }: FlushRows, form: RowsForm): FlushPart[] =>
  part(inserts, 'inserted', () => ({
    parameters: form.parameters(executionColumns, inserts),
    clause: (first) => insertFrom('complete', 'workflow_executions', executionColumns, first, { form }),
  }))

/** Rows that change, inbox rows that are answered, and what is counted. */
export function changeParts({ changes, inboxKeys, statistics }: FlushRows, form: RowsForm): FlushPart[] {
  // However much a flush has, it is mostly of one workflow.
  const countedForm = statistics.length === 1 ? asOneRow : asArrays
  return [
    ...part(changes, 'changed', () => ({
      parameters: form.parameters(changeColumns, changes),
      clause: (first) => {
        const assignments = imageColumns.map((column) => `${column.name} = c.${column.name}${cast(column)}`).join(', ')
        return `UPDATE workflow_executions AS e SET ${assignments}
  FROM complete, ${form.from(changeColumns, first, 'c')} WHERE e.id = c.id`
      },
    })),
    ...part(inboxKeys, 'consumed', () => ({
      parameters: form.parameters(inboxColumns, inboxKeys),
      // Looked up one by one: joined, the planner may read the whole inbox.
      clause: (first) => `DELETE FROM execution_inbox WHERE id = ANY (ARRAY(
    SELECT x.id FROM complete, ${form.from(inboxColumns, first, 'c')} CROSS JOIN LATERAL (
      SELECT i.id FROM execution_inbox i WHERE i.id = c.id AND i.request_id = c.request_id LIMIT 1
    ) x
  ))`,
    })),
    ...part(statistics, statistics.length === 1 ? 'counted_one' : 'counted', () => ({
      parameters: countedForm.parameters(statisticsColumns, statistics),
      clause: (first) => insertFrom('complete', statisticsTable, statisticsColumns, first, { form: countedForm }),
    })),
  ]
}

/** What is left in the inboxes of other executions. */
export const sendsPart = (sends: readonly Send[]): FlushPart[] =>
  part(sends, 'sent', () => ({
    parameters: arrayParameters(sendColumns, sends),
    clause: (first) => sendFrom('complete', first),
  }))

/** What the fence demands besides: that the claims of these appends stand. */
export const claimsPart = ({ claims }: FlushRows, form: RowsForm): FlushPart[] =>
  part(claims, 'claims', () => ({
    parameters: form.parameters(claimColumns, claims),
    clause: (first) =>
      `NOT EXISTS (SELECT FROM ${form.from(claimColumns, first, 'c')} WHERE ${claimStands} IS NOT TRUE)`,
  }))

const part = (rows: readonly unknown[], name: string, make: () => Omit<FlushPart, 'name'>): FlushPart[] =>
  rows.length === 0 ? [] : [{ name, ...make() }]

const changeColumns: readonly ArrayColumn<Change>[] = [
  { name: 'id', type: 'uuid', of: (change) => change.id },
  ...imageColumns.map(({ name, type, of }) => ({ name, type, of: (change: Change) => of(change.image) })),
]

const inboxColumns: readonly ArrayColumn<InboxKey>[] = [
  { name: 'id', type: 'bigint', of: (key) => key.id },
  { name: 'request_id', type: 'uuid', of: (key) => key.requestId },
]

/** By its last event a resent claim is known that has given the execution away already. */
const claimColumns: readonly ArrayColumn<Append>[] = [
  { name: 'id', type: 'uuid', of: (append) => append.executionId },
  { name: 'seq', type: 'bigint', of: (append) => append.events.at(-1)!.seq },
  { name: 'at', type: 'bigint', of: (append) => append.events.at(-1)!.at },
  { name: 'read_seq', type: 'bigint', of: (append) => append.basis!.seq },
  { name: 'read_at', type: 'bigint', of: (append) => append.basis!.at },
]

const eventAt = (seq: string): string =>
  `(SELECT v.at FROM execution_events v WHERE v.execution_id = c.id AND v.seq = ${seq})`

/**
 * We are the owner and the history is the one that was read, or the append is there already. An event that was compacted away
 * has left its snapshot. Scalar sub-selects: an EXISTS could be planned as a hash of the whole table.
 */
const claimStands = `(${eventAt('c.seq')} = c.at OR (
  (SELECT e.owner FROM workflow_executions e WHERE e.id = c.id) = $1::uuid AND coalesce(${eventAt('c.read_seq')},
    (SELECT c.read_at FROM execution_snapshots s WHERE s.execution_id = c.id AND s.seq = c.read_seq)) = c.read_at))`

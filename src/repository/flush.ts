import type pg from 'pg'
import { type ApprovalChanges, approvalParts } from './approvals.ts'
import {
  type ArrayColumn,
  arrayParameters,
  asArrays,
  asOneRow,
  cast,
  insertFrom,
  type RowsForm,
} from './array-columns.ts'
import { type SlotAsk, type SlotRelease, slotParts } from './concurrency-slots.ts'
import { type AppendedEvent, eventColumns } from './events.ts'
import { type ExecutionImage, type ExecutionRow, executionColumns, imageColumns } from './execution-row.ts'
import { type Fence, fenceCondition, fenceParameters } from './fence.ts'
import type { FlushPart } from './flush-part.ts'
import { type InboxKey, type NewInboxItem, type Send, sendColumns, sendFrom } from './inbox.ts'
import { insertResentFrom, resentColumns, resentEvents } from './resent-starts.ts'
import { type StatisticsDelta, type StatisticsRow, statisticsColumns, statisticsTable, tally } from './tally.ts'

export type { AppendedEvent, ExecutionImage }

/** What one execution writes at once: all of it or nothing. An execution appears in a flush at most once. */
export interface Append {
  readonly executionId: string
  /** At least one, in order of seq. */
  readonly events: readonly AppendedEvent[]
  /** A start: the row as it is after these events. */
  readonly insert?: ExecutionRow
  /** The row after these events, when any of it has changed. Not together with `insert`: a statement does not see its own rows. */
  readonly row?: ExecutionImage
  /** Inbox rows that these events answer. */
  readonly inboxKeys: readonly InboxKey[]
  /**
   * With the first append since this node claimed the execution: the last event that was read. It is fenced when the table does
   * not say that we are the owner, or that event is not there: a failover lost the claim, or what was read. The owner alone
   * proves nothing, since this node may have claimed it again before it knew (docs/adr/0018).
   */
  readonly basis?: Basis
  /** Starts of other executions that are written with it or not at all: their rows and first events. They bring none themselves. */
  readonly also?: readonly Append[]
  /**
   * What it leaves in the inboxes of other executions, in this order: for each only if there is such an execution, which this
   * very flush may start, and it has not ended.
   */
  readonly sends?: readonly NewInboxItem[]
  /** What the list of approvals is told. */
  readonly approvals?: ApprovalChanges
  /** Places that it takes in the lines of slots, and slots that it gives back, asked for in earlier appends: both or neither. */
  readonly asks?: readonly SlotAsk[]
  readonly releases?: readonly SlotRelease[]
  /** What the journal bounds its flushes by. */
  readonly bytes: number
  readonly statistics: readonly StatisticsDelta[]
}

/** An event of an execution; its time tells it from one that somebody else has written in its place. */
export interface Basis {
  readonly seq: number
  /** ms since 1970. */
  readonly at: number
}

interface Change {
  readonly id: string
  readonly image: ExecutionImage
}

const changeColumns: readonly ArrayColumn<Change>[] = [
  { name: 'id', type: 'uuid', of: (change) => change.id },
  ...imageColumns.map(({ name, type, of }) => ({ name, type, of: (change: Change) => of(change.image) })),
]

const inboxColumns: readonly ArrayColumn<InboxKey>[] = [
  { name: 'id', type: 'bigint', of: (key) => key.id },
  { name: 'request_id', type: 'uuid', of: (key) => key.requestId },
]

/** What a flush has. A statement without the parts that a flush does not need halves a lone flush's time. */
interface Parts {
  readonly events: readonly AppendedEvent[]
  readonly inserts: readonly ExecutionRow[]
  readonly changes: readonly Change[]
  readonly inboxKeys: readonly InboxKey[]
  readonly statistics: readonly StatisticsRow[]
  readonly claims: readonly Append[]
  readonly sends: readonly Send[]
  readonly others: readonly FlushPart[]
}

/** By its last event a resent claim is known that has given the execution away already. */
const claimColumns: readonly ArrayColumn<Append>[] = [
  { name: 'id', type: 'uuid', of: (append) => append.executionId },
  { name: 'seq', type: 'bigint', of: (append) => append.events.at(-1)!.seq },
  { name: 'at', type: 'bigint', of: (append) => append.events.at(-1)!.at },
  { name: 'read_seq', type: 'bigint', of: (append) => append.basis!.seq },
  { name: 'read_at', type: 'bigint', of: (append) => append.basis!.at },
]

/** A statement with its parameters; `shape` names its text among the few that there are. */
export interface FlushStatement {
  readonly shape: string
  readonly text: string
  readonly values: readonly unknown[]
}

/**
 * The one flush statement, for these appends. A single autocommit statement, so a flush is all or nothing, and one round
 * trip. `isFenced` reads its answer.
 *
 * - The fence locks the lane's row against deletion until the commit: a node that was declared dead finds no row, and whoever
 *   deletes the row waits for this flush. The row itself is not changed.
 * - `complete` holds a row only when this very statement inserts every event; all else selects from it. That is so when the fence
 *   stands: an event that is there already ends the statement. But on a resend after a commit that went unnoticed all of them are
 *   (ON CONFLICT), and it changes nothing: there they are counted first. Not counted, a lone flush takes a fifth less (docs/adr/0043).
 * - A start that an append brings stands when that append does, whatever has become of its events since.
 * - A resend of which some appends stand and others do not would count and answer wrongly: it fails (22P02), and the journal
 *   halves it until each append is alone.
 *
 * Appends come sorted by execution: neighbours land on the same index pages.
 */
export function flushStatement(fence: Fence, given: readonly Append[], resend: boolean): FlushStatement {
  const appends = withStarts(given)
  const parts = partsOf(given, appends)
  const { events, inserts, changes, inboxKeys, statistics, claims, sends, others } = parts
  const isStartResent = resend && appends !== given
  const form = isLone(parts) && !resend ? asOneRow : asArrays
  const needs = [resend, inserts.length, changes.length, inboxKeys.length, claims.length]
  const marks = [sends.length > 0 ? '1' : '', isStartResent ? 's' : '', ...others.map(({ name }) => name)]
  const signs = needs.map(Number).map(Math.sign).join('')
  const shape = `${form === asOneRow ? 'lone' : ''}${signs}${Math.min(statistics.length, 2)}${marks.join('')}`
  const values = [
    ...fenceParameters(fence),
    ...(resend ? [events.length] : []),
    ...(isStartResent ? arrayParameters(resentColumns, resentEvents(given)) : form.parameters(eventColumns, events)),
    ...(inserts.length > 0 ? form.parameters(executionColumns, inserts) : []),
    ...(changes.length > 0 ? form.parameters(changeColumns, changes) : []),
    ...(inboxKeys.length > 0 ? form.parameters(inboxColumns, inboxKeys) : []),
    ...(statistics.length > 0 ? countedForm(statistics).parameters(statisticsColumns, statistics) : []),
    ...(claims.length > 0 ? form.parameters(claimColumns, claims) : []),
    ...(sends.length > 0 ? arrayParameters(sendColumns, sends) : []),
    ...others.flatMap(({ parameters }) => parameters),
  ]
  const text = texts.get(shape) ?? textOf(parts, form, resend, isStartResent)
  texts.set(shape, text)
  return { shape, text, values }
}

/** In one pass: most appends have an event and nothing else. */
function partsOf(given: readonly Append[], appends: readonly Append[]): Parts {
  const events: AppendedEvent[] = []
  const inserts: ExecutionRow[] = []
  const changes: Change[] = []
  const inboxKeys: InboxKey[] = []
  const counted: StatisticsDelta[] = []
  const claims: Append[] = []
  for (const append of appends) {
    const { executionId: id, insert, row, basis } = append
    for (const event of append.events) events.push(event)
    if (insert !== undefined) inserts.push(insert)
    else if (row !== undefined) changes.push({ id, image: row })
    for (const key of append.inboxKeys) inboxKeys.push(key)
    for (const delta of append.statistics) counted.push(delta)
    if (basis !== undefined) claims.push(append)
  }
  return {
    ...{ events, inserts, changes, inboxKeys, statistics: tally(counted), claims },
    sends: sendsOf(given, appends),
    others: [...approvalParts(appends), ...slotParts(given)],
  }
}

/** However much a flush has, it is mostly of one workflow. */
const countedForm = (statistics: readonly StatisticsRow[]): RowsForm => (statistics.length === 1 ? asOneRow : asArrays)

/** One event, and no more than a row of anything else, as when one execution runs alone: it has a form of its own. */
const isLone = ({ events, inserts, changes, inboxKeys, statistics, claims, sends, others }: Parts): boolean =>
  events.length === 1 &&
  [inserts, changes, inboxKeys, statistics, claims].every((rows) => rows.length <= 1) &&
  sends.length === 0 &&
  others.length === 0

/** Each append with the starts that it brings. */
export const withStarts = (appends: readonly Append[]): readonly Append[] =>
  appends.some(({ also }) => also !== undefined)
    ? appends.flatMap((append) => [append, ...(append.also ?? [])])
    : appends

/** A statement does not see the rows that it inserts: for those it is told that they are there. */
function sendsOf(given: readonly Append[], all: readonly Append[]): readonly Send[] {
  if (!given.some(({ sends }) => sends !== undefined && sends.length > 0)) return []
  const started = new Set(all.flatMap(({ insert }) => insert?.id ?? []))
  return given.flatMap(({ sends = [] }) => sends.map((item) => ({ item, isStarted: started.has(item.executionId) })))
}

const texts = new Map<string, string>()

/** Whether the fence of a flush was gone, by what its statement answered. */
export const isFenced = ({ rows, rowCount }: pg.QueryResult, resend: boolean): boolean =>
  resend ? !rows[0].fenced : rowCount === 0

/** The fence's seven parameters come first, then on a resend the number of events. */
const firstColumnOf = (resend: boolean): number => (resend ? 9 : 8)

const eventAt = (seq: string): string =>
  `(SELECT v.at FROM execution_events v WHERE v.execution_id = c.id AND v.seq = ${seq})`

/**
 * We are the owner and the history is the one that was read, or the append is there already. An event that was compacted away
 * has left its snapshot. Scalar sub-selects: an EXISTS could be planned as a hash of the whole table.
 */
const claimStands = `(${eventAt('c.seq')} = c.at OR (
  (SELECT e.owner FROM workflow_executions e WHERE e.id = c.id) = $1::uuid AND coalesce(${eventAt('c.read_seq')},
    (SELECT c.read_at FROM execution_snapshots s WHERE s.execution_id = c.id AND s.seq = c.read_seq)) = c.read_at))`

function textOf(
  { inserts, changes, inboxKeys, statistics, claims, sends, others }: Parts,
  form: RowsForm,
  resend: boolean,
  isStartResent: boolean,
): string {
  const firstColumn = firstColumnOf(resend)
  let next = firstColumn + (isStartResent ? resentColumns : eventColumns).length
  const ctes: string[] = []
  const take = (count: number): number => {
    next += count
    return next - count
  }
  if (inserts.length > 0) {
    ctes.push(
      `inserted AS (${insertFrom('complete', 'workflow_executions', executionColumns, take(executionColumns.length), { form })})`,
    )
  }
  if (changes.length > 0) {
    const assignments = imageColumns.map((column) => `${column.name} = c.${column.name}${cast(column)}`).join(', ')
    ctes.push(`changed AS (
  UPDATE workflow_executions AS e SET ${assignments}
  FROM complete, ${form.from(changeColumns, take(changeColumns.length), 'c')} WHERE e.id = c.id
)`)
  }
  if (inboxKeys.length > 0) {
    // Looked up one by one: joined, the planner may read the whole inbox.
    ctes.push(`consumed AS (
  DELETE FROM execution_inbox WHERE id = ANY (ARRAY(
    SELECT x.id FROM complete, ${form.from(inboxColumns, take(inboxColumns.length), 'c')} CROSS JOIN LATERAL (
      SELECT i.id FROM execution_inbox i WHERE i.id = c.id AND i.request_id = c.request_id LIMIT 1
    ) x
  ))
)`)
  }
  if (statistics.length > 0) {
    ctes.push(
      `counted AS (${insertFrom('complete', statisticsTable, statisticsColumns, take(statisticsColumns.length), { form: countedForm(statistics) })})`,
    )
  }
  const isOurs =
    claims.length === 0
      ? ''
      : `
    AND NOT EXISTS (SELECT FROM ${form.from(claimColumns, take(claimColumns.length), 'c')} WHERE ${claimStands} IS NOT TRUE)`
  if (sends.length > 0) ctes.push(`sent AS (${sendFrom('complete', take(sendColumns.length))})`)
  for (const { name, parameters, clause } of others) ctes.push(`${name} AS (${clause(take(parameters.length))})`)
  const fence = `SELECT FROM node_lanes WHERE ${fenceCondition}${isOurs} FOR KEY SHARE`
  const rest = ctes.map((cte) => `, ${cte}`).join('')
  const insertFromOne = (source: string) => insertFrom(source, 'execution_events', eventColumns, firstColumn, { form })
  if (!resend) return `WITH complete AS MATERIALIZED (${fence})${rest}\n${insertFromOne('complete')}`
  return `
WITH fence AS MATERIALIZED (
  ${fence}
), events AS (
  ${isStartResent ? insertResentFrom('fence', firstColumn) : insertFromOne('fence')} ON CONFLICT DO NOTHING RETURNING 1
), written AS MATERIALIZED (
  SELECT count(*)::integer AS events FROM events
), complete AS MATERIALIZED (
  SELECT FROM written WHERE events = $8::integer
)${rest}
SELECT EXISTS (SELECT FROM fence) AS fenced,
  CASE WHEN events IN (0, $8::integer) THEN events ELSE ('a resend stands in part: ' || events)::integer END AS events
FROM written`
}

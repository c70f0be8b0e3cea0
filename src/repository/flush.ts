import { createHash } from 'node:crypto'
import type pg from 'pg'
import { type Append, withStarts } from './append.ts'
import { approvalParts } from './approvals.ts'
import { asArrays, asOneRow } from './array-columns.ts'
import { slotParts } from './concurrency-slots.ts'
import { type Copy, copyLines, copyStatement } from './copy.ts'
import { eventColumns } from './events.ts'
import { executionColumns } from './execution-row.ts'
import { type Fence, fenceCondition, fenceParameters } from './fence.ts'
import type { FlushPart } from './flush-part.ts'
import { changeParts, claimsPart, eventsPart, resentEventsPart, sendsPart, startsPart } from './flush-parts.ts'
import { queryFlush } from './flush-query.ts'
import { type FlushRows, isLone, rowsOf, sendsOf } from './flush-rows.ts'

/** A statement with its parameters, and the rows that are copied behind it. `name` is its text's, the same on every node. */
export interface Flush {
  readonly name: string
  readonly text: string
  readonly values: readonly unknown[]
  readonly copies: readonly Copy[]
  readonly isResend: boolean
}

/**
 * What writes these appends: one round trip and one transaction, so a flush is all or nothing.
 *
 * - The fence locks the lane's row against deletion until the commit: a node that was declared dead finds no row, and whoever
 *   deletes the row waits for this flush. The row itself is not changed.
 * - `complete` holds a row only when this very flush inserts every event; all else selects from it. On a first send that is so
 *   when the fence stands: an event that is there already ends the flush.
 * - A first send copies its rows behind the statement: no INSERT is as fast, nor writes as little WAL (docs/adr/0046). A lone event
 *   is there sooner when the statement inserts it (docs/adr/0043).
 * - A resend after a commit that went unnoticed finds its events there (ON CONFLICT) and changes nothing: there they are counted.
 *   One of which some appends stand and others do not would count and answer wrongly: it fails (22P02), and the journal halves it
 *   until each append is alone.
 * - A start that an append brings stands when that append does, whatever has become of its events since.
 *
 * Appends come sorted by execution: neighbours land on the same index pages.
 */
export function flushOf(fence: Fence, given: readonly Append[], resend: boolean): Flush {
  const appends = withStarts(given)
  const rows = rowsOf(appends)
  const others = [...sendsPart(sendsOf(given, appends)), ...approvalParts(appends), ...slotParts(given)]
  if (resend) {
    const events = appends === given ? eventsPart(rows, asArrays, 'fence') : resentEventsPart(given, 'fence')
    const parts = [...startsPart(rows, asArrays), ...changeParts(rows, asArrays), ...others]
    const values = [...fenceParameters(fence), rows.events.length]
    const statement = statementOf(resending, values, claimsPart(rows, asArrays), events, parts)
    return { ...statement, copies: [], isResend: true }
  }
  if (isLone(rows) && others.length === 0) {
    const events = eventsPart(rows, asOneRow, 'complete')
    const parts = [...startsPart(rows, asOneRow), ...changeParts(rows, asOneRow)]
    const statement = statementOf(sending, fenceParameters(fence), claimsPart(rows, asOneRow), events, parts)
    return { ...statement, copies: [], isResend: false }
  }
  const parts = [...changeParts(rows, asArrays), ...others]
  const statement = statementOf(sending, fenceParameters(fence), claimsPart(rows, asArrays), standingPart, parts)
  return { ...statement, copies: copiesOf(rows), isResend: false }
}

/**
 * Sends it, prepared under `name` unless that is undefined. `fenced`: nothing was written. Throws pg's error otherwise: whether it
 * was written is known only when PostgreSQL said so.
 */
export async function sendFlush(client: pg.Client, flush: Flush, name: string | undefined): Promise<FlushOutcome> {
  const { text, values, copies, isResend } = flush
  if (isResend) {
    const { rows } = await client.query({ name, text, values: values as unknown[] })
    return rows[0].stood ? 'committed' : 'fenced'
  }
  try {
    return (await queryFlush(client, { name, text, values, copies })) > 0 ? 'committed' : 'fenced'
  } catch (error) {
    if (copies.length > 0 && (error as { code?: unknown }).code === DIVISION_BY_ZERO) return 'fenced'
    throw error
  }
}

export type FlushOutcome = 'committed' | 'fenced'

const copiesOf = ({ inserts, events }: FlushRows): Copy[] => [
  ...(inserts.length > 0 ? [{ statement: copyExecutions, lines: copyLines(executionColumns, inserts) }] : []),
  { statement: copyEvents, lines: copyLines(eventColumns, events) },
]

const copyExecutions = copyStatement('workflow_executions', executionColumns)
const copyEvents = copyStatement('execution_events', eventColumns)

const DIVISION_BY_ZERO = '22012'

/** In the events' place where these are copied: ends the flush when the fence does not stand. */
const standingPart: FlushPart = {
  name: 'standing',
  parameters: [],
  clause: () => 'SELECT 1 / count(*) FROM complete',
}

/** How a fence, the events and all else become a text. */
interface Layout {
  readonly name: string
  readonly text: (fence: string, events: string, rest: string) => string
}

const sending: Layout = {
  name: 'first',
  text: (fence, events, rest) => `WITH complete AS MATERIALIZED (${fence})${rest}\n${events}`,
}

const resending: Layout = {
  name: 'resend',
  text: (fence, events, rest) => `
WITH fence AS MATERIALIZED (
  ${fence}
), events AS (
  ${events} ON CONFLICT DO NOTHING RETURNING 1
), written AS MATERIALIZED (
  SELECT count(*)::integer AS events FROM events
), complete AS MATERIALIZED (
  SELECT FROM written WHERE events = $8::integer
)${rest}
SELECT EXISTS (SELECT FROM fence) AS stood,
  CASE WHEN events IN (0, $8::integer) THEN events ELSE ('a resend stands in part: ' || events)::integer END AS events
FROM written`,
}

interface Text {
  readonly name: string
  readonly text: string
}

/** A text is made once; there are few. */
const texts = new Map<string, Text>()

/** The statement of these parts; `first` are the parameters that the fence and the layout take. */
function statementOf(
  layout: Layout,
  first: readonly unknown[],
  claims: readonly FlushPart[],
  events: FlushPart,
  rest: readonly FlushPart[],
): Text & { readonly values: readonly unknown[] } {
  const parts = [...claims, events, ...rest]
  const values = [...first, ...parts.flatMap(({ parameters }) => parameters)]
  const shape = `${layout.name} ${parts.map(({ name }) => name).join(' ')}`
  let known = texts.get(shape)
  if (known === undefined) {
    let next = first.length + 1
    const clauses = new Map<FlushPart, string>()
    for (const part of parts) {
      clauses.set(part, part.clause(next))
      next += part.parameters.length
    }
    const isOurs = claims.map((part) => `\n    AND ${clauses.get(part)}`).join('')
    const ctes = rest.map((part) => `,\n  ${part.name} AS (${clauses.get(part)})`).join('')
    const text = layout.text(
      `SELECT FROM node_lanes WHERE ${fenceCondition}${isOurs} FOR KEY SHARE`,
      clauses.get(events)!,
      ctes,
    )
    known = { text, name: createHash('sha256').update(text).digest('base64url').slice(0, 12) }
    texts.set(shape, known)
  }
  return { ...known, values }
}

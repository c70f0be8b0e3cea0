import type { Append } from './append.ts'
import type { AppendedEvent } from './events.ts'
import type { ExecutionImage, ExecutionRow } from './execution-row.ts'
import type { InboxKey, Send } from './inbox.ts'
import { type StatisticsDelta, type StatisticsRow, tally } from './tally.ts'

/** What a flush writes, table by table. */
export interface FlushRows {
  readonly events: readonly AppendedEvent[]
  readonly inserts: readonly ExecutionRow[]
  readonly changes: readonly Change[]
  readonly inboxKeys: readonly InboxKey[]
  readonly statistics: readonly StatisticsRow[]
  /** Those with a basis. */
  readonly claims: readonly Append[]
}

export interface Change {
  readonly id: string
  readonly image: ExecutionImage
}

/** In one pass: most appends have an event and nothing else. */
export function rowsOf(appends: readonly Append[]): FlushRows {
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
  return { events, inserts, changes, inboxKeys, statistics: tally(counted), claims }
}

/** One event, and no more than a row of anything else, as when one execution runs alone. */
export const isLone = ({ events, ...others }: FlushRows): boolean =>
  events.length === 1 && Object.values(others).every((rows) => rows.length <= 1)

/** A flush does not see the rows that it inserts: for those it is told that they are there. */
export function sendsOf(given: readonly Append[], all: readonly Append[]): readonly Send[] {
  if (!given.some(({ sends }) => sends !== undefined && sends.length > 0)) return []
  const started = new Set(all.flatMap(({ insert }) => insert?.id ?? []))
  return given.flatMap(({ sends = [] }) => sends.map((item) => ({ item, isStarted: started.has(item.executionId) })))
}

import { type ArrayColumn, insertFrom } from './array-columns.ts'
import { type AppendedEvent, eventColumns } from './events.ts'

/** An event that is sent again, and the first event of the append that brings it, when it belongs to a start that another brings. */
export interface ResentEvent {
  readonly event: AppendedEvent
  readonly bringer: AppendedEvent | null
}

interface Bringing {
  readonly events: readonly AppendedEvent[]
  readonly also?: readonly { readonly events: readonly AppendedEvent[] }[]
}

const given: readonly ArrayColumn<ResentEvent>[] = eventColumns.map(({ name, type, of }) => ({
  name,
  type,
  of: ({ event }) => of(event),
}))

export const resentColumns: readonly ArrayColumn<ResentEvent>[] = [
  ...given,
  { name: 'bringer', type: 'uuid', of: ({ bringer }) => bringer?.executionId ?? null },
  { name: 'bringer_seq', type: 'bigint', of: ({ bringer }) => bringer?.seq ?? null },
]

/** The events of appends that are sent again, those that each brings after its own. */
export const resentEvents = (appends: readonly Bringing[]): readonly ResentEvent[] =>
  appends.flatMap(({ events, also = [] }) => [
    ...events.map((event) => ({ event, bringer: null })),
    ...also.flatMap((start) => start.events.map((event) => ({ event, bringer: events[0]! }))),
  ])

/**
 * `INSERT … SELECT` of them, but for the starts of appends that are there: those were there with them, and may have been run,
 * compacted or removed since. Looked up one by one.
 */
export const insertResentFrom = (source: string, first: number): string =>
  `${insertFrom(source, 'execution_events', given, first, { given: resentColumns })}
  WHERE given.bringer IS NULL OR (
    SELECT 1 FROM execution_events b WHERE b.execution_id = given.bringer AND b.seq = given.bringer_seq
  ) IS NULL`

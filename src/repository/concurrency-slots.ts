import pg from 'pg'
import type { OnLimit } from '../definition/slot.ts'
import { type ArrayColumn, arrayParameters, insertFrom, unnest } from './array-columns.ts'
import type { Database } from './connection.ts'
import type { FlushPart } from './flush-part.ts'

/*
 * A slot of a key, a row from the moment it is asked for until it is given back; see docs/adr/0029:
 *
 *   (flush) ──asked──▶ ┌ settle ┐ ──▶ waiting ──settle──▶ held ──(flush) released──▶ settle: gone
 *                      └────────┘ ──▶ refused: gone, its execution is told
 *
 * Flushes only add rows and mark them: they wait for nobody. Everything that must look at the whole line of a key is done by
 * settling it, one after another for each key. What is asked or released says itself that its key is unsettled.
 */

export interface SlotKey {
  readonly namespace: string
  readonly scope: string
  readonly key: string
}

/** A place in line: written with the event that asks. */
export interface SlotAsk extends SlotKey {
  readonly executionId: string
  /** '': the execution's own. */
  readonly path: string
  /** seq of that event: never used twice in an execution. */
  readonly ticket: number
  /** How many may hold the key: the newest asker's counts for all. */
  readonly limit: number
  readonly onLimit: OnLimit
  /** Who is smaller goes first, then who asked first. */
  readonly turn: number
  /** ms since 1970. */
  readonly at: number
}

/** A slot, or a place in line, that is given back with the event that says so; `ticket` null: all of the execution's. */
export interface SlotRelease extends SlotKey {
  readonly executionId: string
  readonly path: string
  readonly ticket: number | null
  readonly at: number
}

/** What an execution finds in its inbox. */
export interface SlotNews {
  readonly path: string
  readonly ticket: number
  /** There: it was refused, since these hold the key. */
  readonly holders?: readonly string[]
  /** How many may; not said by earlier releases. */
  readonly limit?: number
  readonly outcome?: 'fail' | 'cancel'
}

/** The executions that something was left for in their inboxes. */
export interface SlotsSettled {
  readonly granted: readonly string[]
  readonly refused: readonly string[]
  readonly cancelled: readonly string[]
}

export const askColumns: readonly ArrayColumn<SlotAsk>[] = [
  { name: 'execution_id', type: 'uuid', of: (ask) => ask.executionId },
  { name: 'path', type: 'text', of: (ask) => ask.path },
  { name: 'ticket', type: 'bigint', of: (ask) => ask.ticket },
  { name: 'namespace', type: 'text', of: (ask) => ask.namespace },
  { name: 'scope', type: 'text', of: (ask) => ask.scope },
  { name: 'key', type: 'text', of: (ask) => ask.key },
  { name: 'slot_limit', type: 'integer', of: (ask) => ask.limit },
  { name: 'on_limit', type: 'word', of: (ask) => ask.onLimit },
  { name: 'turn', type: 'bigint', of: (ask) => ask.turn },
  { name: 'changed_at', type: 'bigint', of: (ask) => ask.at },
]

const releaseColumns: readonly ArrayColumn<SlotRelease>[] = [
  { name: 'execution_id', type: 'uuid', of: (release) => release.executionId },
  { name: 'path', type: 'text', of: (release) => release.path },
  { name: 'ticket', type: 'bigint', of: (release) => release.ticket },
  { name: 'at', type: 'bigint', of: (release) => release.at },
]

const noParts: readonly FlushPart[] = []

/** The parts of a flush that these appends need, most often none. */
export function slotParts(
  appends: readonly { readonly asks?: readonly SlotAsk[]; readonly releases?: readonly SlotRelease[] }[],
): readonly FlushPart[] {
  if (!appends.some(({ asks }) => asks !== undefined)) return noParts
  const asks = appends.flatMap((append) => append.asks ?? [])
  const releases = appends.flatMap((append) => append.releases ?? [])
  return [...(asks.length > 0 ? [askingPart(asks)] : []), ...(releases.length > 0 ? [releasingPart(releases)] : [])]
}

const askingPart = (asks: readonly SlotAsk[]): FlushPart => ({
  name: 'slots_asked',
  parameters: arrayParameters(askColumns, asks),
  clause: (first) => insertFrom('complete', 'concurrency_slots', askColumns, first),
})

/** Waits for a settling that is just giving it the slot, which waits for nobody; joined by the key, so that it is seen then. */
const releasingPart = (releases: readonly SlotRelease[]): FlushPart => ({
  name: 'slots_released',
  parameters: arrayParameters(releaseColumns, releases),
  clause: (first) => `UPDATE concurrency_slots s SET state = 'released', changed_at = r.at
  FROM complete, ${unnest(releaseColumns, first, 'r')} WHERE s.execution_id = r.execution_id
    AND (r.ticket IS NULL OR (s.ticket = r.ticket AND s.path = r.path)) AND s.state <> 'released'`,
})

const now = '(extract(epoch FROM clock_timestamp()) * 1000)::bigint'
const sameKey = (slot: string, key: string): string =>
  `${slot}.namespace = ${key}.namespace AND ${slot}.scope = ${key}.scope AND ${slot}.key = ${key}.key`
/** How many executions a refusal names at most. */
export const holdersShown = 10

/** What a key's advisory lock goes by. */
export const lineHash = (namespace: string, scope: string, key: string): string =>
  `hashtextextended(${namespace} || E'\\n' || ${scope} || E'\\n' || ${key}, 0)`

const keyColumns: readonly ArrayColumn<SlotKey>[] = [
  { name: 'namespace', type: 'text', of: ({ namespace }) => namespace },
  { name: 'scope', type: 'text', of: ({ scope }) => scope },
  { name: 'key', type: 'text', of: ({ key }) => key },
]

/** Rows of these keys that nobody else is changing. */
const chosen = (keys: string, condition: string): string =>
  `WITH chosen AS MATERIALIZED (
    SELECT s.execution_id, s.ticket, s.path FROM ${keys}, concurrency_slots s
    WHERE ${sameKey('s', 'k')} AND ${condition} FOR UPDATE OF s SKIP LOCKED
  )`
const isChosen = 's.execution_id = chosen.execution_id AND s.ticket = chosen.ticket AND s.path = chosen.path'

/**
 * Who goes next in each line: rows that a flush is just releasing are passed over, never waited for, since it may wait for
 * rows of ours. What it releases it leaves unsettled.
 */
const settling = (keys: string): readonly string[] => [
  // In one order, so that nobody waits in a circle. Each following statement sees what was committed before it.
  `SELECT pg_advisory_xact_lock(line.hash) FROM (
    SELECT DISTINCT ${lineHash('k.namespace', 'k.scope', 'k.key')} AS hash FROM ${keys} ORDER BY 1
  ) AS line`,
  `${chosen(keys, "s.state = 'released'")} DELETE FROM concurrency_slots s USING chosen WHERE ${isChosen}`,
  `${chosen(keys, "s.state = 'asked'")} UPDATE concurrency_slots s SET state = 'waiting' FROM chosen WHERE ${isChosen}`,
  `WITH room AS MATERIALIZED (
    SELECT k.*, (SELECT s.slot_limit FROM concurrency_slots s WHERE ${sameKey('s', 'k')} ORDER BY s.place DESC LIMIT 1)
      - (SELECT count(*) FROM concurrency_slots s WHERE ${sameKey('s', 'k')} AND s.state = 'held') AS free
    FROM ${keys}
  ), next AS MATERIALIZED (
    SELECT x.* FROM room k CROSS JOIN LATERAL (
      SELECT s.execution_id, s.ticket, s.path FROM concurrency_slots s
      WHERE ${sameKey('s', 'k')} AND s.state = 'waiting' ORDER BY s.turn, s.place LIMIT greatest(k.free, 0)
      FOR UPDATE SKIP LOCKED
    ) AS x
  ), granted AS (
    UPDATE concurrency_slots s SET state = 'held', changed_at = ${now} FROM next
    WHERE s.execution_id = next.execution_id AND s.ticket = next.ticket AND s.path = next.path
    RETURNING s.execution_id, s.ticket, s.path
  )
  INSERT INTO execution_inbox (execution_id, request_id, created_at, kind, name, payload)
  SELECT execution_id, gen_random_uuid(), ${now}, 'slot', NULL, json_build_object('path', path, 'ticket', ticket) FROM granted
  RETURNING execution_id`,
  `${chosen(keys, "s.state = 'waiting' AND s.on_limit <> 'queue' AND s.on_limit <> 'cancel_running'")}, refused AS (
    DELETE FROM concurrency_slots s USING chosen WHERE ${isChosen} RETURNING s.*
  )
  INSERT INTO execution_inbox (execution_id, request_id, created_at, kind, name, payload)
  SELECT r.execution_id, gen_random_uuid(), ${now}, 'slot', NULL, json_build_object('path', r.path, 'ticket', r.ticket,
    'outcome', CASE r.on_limit WHEN 'reject' THEN 'fail' ELSE 'cancel' END,
    'limit', (SELECT s.slot_limit FROM concurrency_slots s WHERE ${sameKey('s', 'r')} ORDER BY s.place DESC LIMIT 1),
    'holders', coalesce((SELECT json_agg(h.execution_id) FROM (
      SELECT s.execution_id FROM concurrency_slots s WHERE ${sameKey('s', 'r')} AND s.state = 'held'
      ORDER BY s.turn, s.place LIMIT ${holdersShown}
    ) AS h), '[]'::json))
  FROM refused r RETURNING execution_id`,
  `WITH newest AS MATERIALIZED (
    SELECT x.* FROM ${keys} CROSS JOIN LATERAL (
      SELECT s.* FROM concurrency_slots s WHERE ${sameKey('s', 'k')} AND s.state = 'waiting' AND s.on_limit <> 'queue'
      ORDER BY s.place DESC LIMIT 1
    ) AS x
  ), ahead AS MATERIALIZED (
    SELECT s.execution_id, s.ticket, s.path, newest.execution_id AS by,
      row_number() OVER (PARTITION BY newest.place ORDER BY s.place) AS nth,
      count(*) OVER (PARTITION BY newest.place) - (newest.slot_limit - 1) AS too_many
    FROM newest JOIN concurrency_slots s ON ${sameKey('s', 'newest')} AND s.state IN ('waiting', 'held')
      AND s.place < newest.place AND s.execution_id <> newest.execution_id AND NOT s.is_leaving
  ), chosen AS MATERIALIZED (
    SELECT s.execution_id, s.ticket, s.path, ahead.by FROM ahead JOIN concurrency_slots s USING (execution_id, ticket, path)
    WHERE ahead.nth <= ahead.too_many FOR UPDATE OF s SKIP LOCKED
  ), leaving AS (
    UPDATE concurrency_slots s SET is_leaving = true FROM chosen
    WHERE ${isChosen} RETURNING s.execution_id, chosen.by
  )
  INSERT INTO execution_inbox (execution_id, request_id, created_at, kind, name, payload)
  SELECT execution_id, gen_random_uuid(), ${now}, 'cancel', NULL,
    json_build_object('reason', 'execution ' || min(by::text) || ' takes its slot') FROM leaving
  GROUP BY execution_id RETURNING execution_id`,
  `${chosen(keys, "s.state = 'waiting' AND s.on_limit <> 'queue'")}
  UPDATE concurrency_slots s SET on_limit = 'queue' FROM chosen WHERE ${isChosen}`,
]

/**
 * Gives the slots of these keys to who is next in their lines, tells who may not wait, and asks to go who is to make room; their
 * inboxes have it when this returns. Any number of nodes may do it at once. One message, so that no client that stands still
 * keeps anything locked: its statements make one transaction, and each sees what was committed before it began.
 */
async function settleSlots({ pool }: Database, keys: readonly SlotKey[]): Promise<SlotsSettled> {
  if (keys.length === 0) return { granted: [], refused: [], cancelled: [] }
  const literals = arrayParameters(keyColumns, keys).map((array) => `${pg.escapeLiteral(array)}::text[]`)
  const text = settling(`unnest(${literals.join(', ')}) AS k(namespace, scope, key)`).join(';\n')
  const results = (await pool.query(text)) as unknown as pg.QueryResult<{ execution_id: string }>[]
  const idsOf = (index: number): string[] => results[index]!.rows.map((row) => row.execution_id)
  return { granted: idsOf(3), refused: idsOf(4), cancelled: idsOf(5) }
}

/** Keys whose slots were asked for or given back at least `ageMs` ago, and that nobody has settled since. */
async function unsettledKeys({ pool }: Database, ageMs: number, limit: number): Promise<SlotKey[]> {
  const { rows } = await pool.query<SlotKey>(
    `SELECT DISTINCT namespace, scope, key FROM (
       SELECT namespace, scope, key FROM concurrency_slots
       WHERE state IN ('asked', 'released') AND changed_at < ${now} - $1::bigint ORDER BY changed_at LIMIT $2
     ) AS oldest`,
    [ageMs, limit],
  )
  return rows
}

export const createSlotStatements = (database: Database) => ({
  settleSlots: (keys: readonly SlotKey[]) => settleSlots(database, keys),
  unsettledKeys: (ageMs: number, limit: number) => unsettledKeys(database, ageMs, limit),
})

export type SlotStatements = ReturnType<typeof createSlotStatements>

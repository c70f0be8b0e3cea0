import type { OnLimit } from '../definition/slot.ts'
import type { Database } from './connection.ts'
import { type Page, pageBy, positionIn } from './cursor.ts'

/** Who holds a key, or waits for it. */
export interface LinePlace {
  readonly executionId: string
  /** '': the execution's own. */
  readonly path: string
  readonly state: 'held' | 'waiting'
  /** When it was given its slot, or asked for it; ms since 1970. */
  readonly since: number
  readonly onLimit: OnLimit
  /** Its execution was asked to go, since another takes its place. */
  readonly isLeaving: boolean
}

/** A key that somebody holds or waits for. */
export interface Line {
  readonly scope: string
  readonly key: string
  /** How many may hold it, as who asked last has it. */
  readonly limit: number
  readonly held: number
  readonly waiting: number
  /** Some of them, the first ones. */
  readonly holders: readonly Pick<LinePlace, 'executionId' | 'path' | 'since'>[]
}

export interface LineFilter {
  readonly namespace?: string | undefined
  readonly scope?: string | undefined
  readonly key?: string | undefined
  /** It holds the key, or waits for it. */
  readonly executionId?: string | undefined
}

const holdersShown = 10
const ofKey = 's.namespace = $1 AND s.scope = line.scope AND s.key = line.key'

/** What a settling has not removed yet is given back all the same. */
const isMeant = `s.namespace = $1 AND s.state <> 'released' AND ($2::text IS NULL OR s.scope = $2)
  AND ($3::text IS NULL OR s.key = $3) AND ($4::uuid IS NULL OR s.execution_id = $4)`
const first = `SELECT s.scope, s.key FROM concurrency_slots s WHERE ${isMeant}`
const inOrder = 'ORDER BY s.scope, s.key LIMIT 1'

/** From one key to the next by the index, whatever stands in their lines. */
const keysInUse = `WITH RECURSIVE line AS (
  (SELECT x.*, 1 AS nth FROM (${first} AND ($5::text IS NULL OR (s.scope, s.key) > ($5::text, $6::text)) ${inOrder}) AS x)
  UNION ALL
  SELECT x.*, line.nth + 1 FROM line
  CROSS JOIN LATERAL (${first} AND (s.scope, s.key) > (line.scope, line.key) ${inOrder}) AS x WHERE line.nth < $7
)`

/** Keys that somebody holds or waits for, by scope and key; filters are combined with "and". CURSOR_INVALID. */
export async function listLines(
  { pool }: Database,
  { namespace = 'default', scope, key, executionId }: LineFilter,
  limit: number,
  cursor?: string,
): Promise<Page<Line>> {
  const [afterScope, afterKey] = positionIn(cursor, ['text', 'text']) ?? []
  const { rows } = await pool.query<Line>(
    `${keysInUse}
     SELECT line.scope, line.key,
       (SELECT s.slot_limit FROM concurrency_slots s WHERE ${ofKey} AND s.state <> 'released'
         ORDER BY s.place DESC LIMIT 1) AS "limit",
       (SELECT count(*) FROM concurrency_slots s WHERE ${ofKey} AND s.state = 'held') AS held,
       (SELECT count(*) FROM concurrency_slots s WHERE ${ofKey} AND s.state IN ('asked', 'waiting')) AS waiting,
       coalesce((SELECT json_agg(json_build_object('executionId', h.execution_id, 'path', h.path, 'since', h.changed_at))
         FROM (SELECT s.execution_id, s.path, s.changed_at FROM concurrency_slots s WHERE ${ofKey} AND s.state = 'held'
           ORDER BY s.turn, s.place LIMIT ${holdersShown}) AS h), '[]'::json) AS holders
     FROM line ORDER BY line.scope, line.key`,
    [namespace, scope, key, executionId, afterScope, afterKey, limit + 1],
  )
  return pageBy(
    rows,
    limit,
    (row) => [row.scope, row.key],
    (row) => row,
  )
}

const places = (state: string, isWaiting: 0 | 1): string =>
  `(SELECT s.execution_id AS "executionId", s.path, s.changed_at AS since, s.on_limit AS "onLimit",
      s.is_leaving AS "isLeaving", s.turn, s.place, ${isWaiting} AS waits
    FROM concurrency_slots s WHERE s.namespace = $1 AND s.scope = $2 AND s.key = $3 AND s.state = '${state}'
      AND ($4::bigint IS NULL OR (${isWaiting}, s.turn, s.place) > ($4, $5::bigint, $6::bigint))
    ORDER BY s.turn, s.place LIMIT $7)`

/** Who holds a key, then who waits for it, first who goes first. CURSOR_INVALID. */
export async function placesInLine(
  { pool }: Database,
  { namespace = 'default', scope, key }: { namespace?: string; scope: string; key: string },
  limit: number,
  cursor?: string,
): Promise<Page<LinePlace>> {
  const [waits, turn, place] = positionIn(cursor, ['integer', 'integer', 'integer']) ?? []
  const { rows } = await pool.query<Omit<LinePlace, 'state'> & { turn: number; place: number; waits: number }>(
    `SELECT * FROM (${places('held', 0)} UNION ALL ${places('asked', 1)} UNION ALL ${places('waiting', 1)}) AS line
     ORDER BY waits, turn, place LIMIT $7`,
    [namespace, scope, key, waits, turn, place, limit + 1],
  )
  return pageBy(
    rows,
    limit,
    (row) => [row.waits, row.turn, row.place],
    ({ turn: _turn, place: _place, waits, ...row }): LinePlace => ({ ...row, state: waits === 0 ? 'held' : 'waiting' }),
  )
}

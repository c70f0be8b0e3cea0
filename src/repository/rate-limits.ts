import type { Database } from './connection.ts'
import { type Page, pageBy, positionIn } from './cursor.ts'

/*
 * When calls of a key may begin, for all nodes: a row a key, changed by one statement, by the database's clock.
 *
 *   asked for ──▶ granted, now or within the horizon       `tat` moves on
 *        └──────▶ told when to ask again: a place in line   `line_until` or `late_until` moves on
 *
 * `tat` is the theoretical arrival time of the generic cell rate algorithm (ITU-T I.371, annex A; "virtual scheduling"): each
 * grant moves it on by the interval of one call, and a call conforms when it is no further ahead than a burst allows. Places
 * take nothing from it: who does not come back has cost nobody a call. There are two lines, each a time up to which places are
 * given away, one interval for each: `line` for who asks for the first time, and before it `late` for those whose place has
 * come and was taken, since the calls lag behind the places (nobody called for a while). Who comes for the third time goes
 * before both.
 */

/** Calls with the same rate; those that ask for the first time, for the second, or have asked more often (rank 0, 1, 2). */
export interface TurnsAsked {
  readonly namespace: string
  readonly scope: string
  readonly key: string
  /** So many calls in `periodMs`, evenly spread, and `burst` at once. */
  readonly limit: number
  readonly periodMs: number
  readonly burst: number
  readonly rank: 0 | 1 | 2
  readonly count: number
}

/** What becomes of the calls, in the order in which they came. */
export interface TurnsGiven {
  /** They may begin, each so long (ms) after it was asked. */
  readonly granted: readonly number[]
  /** The rest must ask again, each after so long, which is at that time (ms since 1970). */
  readonly later: readonly { readonly afterMs: number; readonly at: number }[]
}

/** Times are ms since 1970. */
export interface RateLimitView {
  readonly scope: string
  readonly key: string
  readonly limit: number
  readonly periodMs: number
  readonly burst: number
  /** When a call that asks now for the first time would begin; null: at once. */
  readonly freeAt: number | null
  readonly askedAt: number
  /** null: never yet. */
  readonly grantedAt: number | null
}

export interface RateLimitFilter {
  readonly namespace?: string | undefined
  readonly scope?: string | undefined
  readonly key?: string | undefined
}

/**
 * For so long and an interval nobody was granted anything, though there is a line: who stands in it does not come back. That is
 * longer than it takes to recover an execution whose node has died.
 */
export const ABANDONED_AFTER_MS = 20_000
/** No place is further away: ten years. */
export const FARTHEST_MS = 10 * 365 * 24 * 3_600_000

/** µs from one call to the next: rounded up, so that never more are granted than the limit says. */
export const intervalOf = ({ limit, periodMs }: Pick<TurnsAsked, 'limit' | 'periodMs'>): number =>
  Math.ceil((periodMs * 1000) / limit)

const now = '(extract(epoch FROM clock_timestamp()) * 1000000)::bigint'
const us = (ms: number): string => `${ms * 1000}::bigint`
const intervalSql = (row: string): string => `((${row}.period_ms * 1000 + ${row}.calls - 1) / ${row}.calls)`

/**
 * `present` as it is now, and what becomes of what `given` asks, step by step from within. The clock is read for each row, once it is
 * locked: were it not for the CASE, PostgreSQL would read it once for all rows that are new, before it waits for others. OFFSET 0
 * keeps it from writing each step out wherever the next one uses it, again and again: planning took 6 ms so.
 */
const turnsSql = (
  present: { readonly tat: string; readonly line: string; readonly late: string; readonly grantedAt: string },
  given: string,
): string => `
  SELECT p.base + p.granted * p.step,
    CASE WHEN ${given}.rank = 0 AND p.granted < ${given}.asked THEN p.till ELSE p.line END,
    CASE WHEN ${given}.rank > 0 AND p.granted < ${given}.asked THEN p.till ELSE p.late END,
    p.granted, p.now, CASE WHEN p.granted > 0 THEN p.now ELSE ${present.grantedAt} END
  FROM (SELECT g.*, least(g.now + ${us(FARTHEST_MS)}, (${given}.asked - g.granted) * g.step
      + greatest(g.now, g.base + (g.granted - ${given}.burst + 1) * g.step, g.late,
          CASE ${given}.rank WHEN 0 THEN g.line ELSE 0 END)) AS till
    FROM (SELECT c.*, CASE
        WHEN CASE ${given}.rank WHEN 0 THEN greatest(c.line, c.late) WHEN 1 THEN c.late ELSE 0 END > c.now THEN 0
        ELSE least(${given}.asked,
          greatest(0, ($1::bigint - (c.base - c.now) + ${given}.burst * c.step) / c.step)) END::integer AS granted
      FROM (SELECT l.now, l.step, greatest(l.now, ${present.tat}) AS base,
          CASE WHEN l.is_left THEN 0 ELSE ${present.line} END AS line,
          CASE WHEN l.is_left THEN 0 ELSE ${present.late} END AS late
        FROM (SELECT t.now, t.step, ${present.grantedAt} < t.now - ${us(ABANDONED_AFTER_MS)} - t.step AS is_left
          FROM (SELECT CASE WHEN ${given}.asked > 0 THEN ${now} END AS now, ${intervalSql(given)} AS step OFFSET 0) AS t
          OFFSET 0) AS l
        OFFSET 0) AS c
      OFFSET 0) AS g
    OFFSET 0) AS p`

const fresh = { tat: '0::bigint', line: '0::bigint', late: '0::bigint', grantedAt: '0::bigint' }
const stored = { tat: 'r.tat', line: 'r.line_until', late: 'r.late_until', grantedAt: 'r.granted_at' }

// The rows are locked in one order, whatever nodes ask for: PostgreSQL inserts in that of the sorted rows.
const takeTurnsSql = `
  INSERT INTO rate_limits AS r (namespace, scope, key, calls, period_ms, burst, asked, rank,
    tat, line_until, late_until, granted, asked_at, granted_at)
  SELECT ask.*, d.* FROM (
    SELECT * FROM unnest($2::text[], $3::text[], $4::text[], $5::integer[], $6::bigint[], $7::integer[], $8::integer[],
      $9::smallint[]) AS given(namespace, scope, key, calls, period_ms, burst, asked, rank)
    ORDER BY namespace, scope, key
  ) AS ask, LATERAL (${turnsSql(fresh, 'ask')}) AS d
  ON CONFLICT (namespace, scope, key) DO UPDATE SET
    (calls, period_ms, burst, asked, rank)
      = (excluded.calls, excluded.period_ms, excluded.burst, excluded.asked, excluded.rank),
    (tat, line_until, late_until, granted, asked_at, granted_at) = (${turnsSql(stored, 'excluded')})
  RETURNING namespace, scope, key, tat, line_until, late_until, granted, asked_at`

/** A row after it was asked; µs since 1970. */
export interface AnsweredRow {
  readonly tat: number
  readonly line_until: number
  readonly late_until: number
  readonly granted: number
  readonly asked_at: number
}

/**
 * Asks for turns of keys, each key once. What may begin within `horizonMs` is granted and counts as begun; the rest is told when
 * to ask again. Durable when it resolves. When nobody knows whether it was done, asking anew is safe: turns are lost, none is
 * given twice.
 */
export async function takeTurns(
  { pool }: Database,
  asks: readonly TurnsAsked[],
  horizonMs: number,
): Promise<TurnsGiven[]> {
  const { rows } = await pool.query<AnsweredRow & { namespace: string; scope: string; key: string }>(takeTurnsSql, [
    Math.floor(horizonMs * 1000),
    asks.map(({ namespace }) => namespace),
    asks.map(({ scope }) => scope),
    asks.map(({ key }) => key),
    asks.map(({ limit }) => limit),
    asks.map(({ periodMs }) => periodMs),
    asks.map(({ burst }) => burst),
    asks.map(({ count }) => count),
    asks.map(({ rank }) => rank),
  ])
  const answers = new Map(rows.map((row) => [nameOf(row), row]))
  return asks.map((ask) => givenBy(ask, answers.get(nameOf(ask))!))
}

/** Names a key: texts hold no U+0000. */
export const nameOf = ({ namespace, scope, key }: Pick<TurnsAsked, 'namespace' | 'scope' | 'key'>): string =>
  `${namespace}\0${scope}\0${key}`

/** What the row says of each of the calls. */
export function givenBy(ask: TurnsAsked, row: AnsweredRow): TurnsGiven {
  const { tat, granted, asked_at: askedAt } = row
  const step = intervalOf(ask)
  const left = ask.count - granted
  const till = ask.rank === 0 ? row.line_until : row.late_until
  const turnOf = (index: number): number => Math.max(askedAt, tat + (index - granted - ask.burst + 1) * step)
  const placeOf = (index: number): number => till - (left - index) * step
  return {
    granted: Array.from({ length: granted }, (_, index) => (turnOf(index) - askedAt) / 1000),
    later: Array.from({ length: left }, (_, index) => {
      const place = placeOf(index)
      return { afterMs: Math.max(0, place - askedAt) / 1000, at: Math.ceil(place / 1000) }
    }),
  }
}

interface Row {
  scope: string
  key: string
  calls: number
  period_ms: number
  burst: number
  asked_at: number
  granted_at: number
  free_at: number | null
}

/** By scope and key: what was asked for lately. CURSOR_INVALID. */
export async function listRateLimits(
  { pool }: Database,
  { namespace = 'default', scope, key }: RateLimitFilter,
  limit: number,
  cursor?: string,
): Promise<Page<RateLimitView>> {
  const [afterScope, afterKey] = positionIn(cursor, ['text', 'text']) ?? [null, null]
  const { rows } = await pool.query<Row>(
    `SELECT r.scope, r.key, r.calls, r.period_ms, r.burst, r.asked_at, r.granted_at, nullif(greatest(t.now,
        r.tat - (r.burst - 1) * ${intervalSql('r')},
        CASE WHEN r.granted_at < t.now - ${us(ABANDONED_AFTER_MS)} - ${intervalSql('r')} THEN 0
          ELSE greatest(r.line_until, r.late_until) END), t.now) AS free_at
     FROM rate_limits AS r, (SELECT ${now} AS now) AS t
     WHERE r.namespace = $1 AND ($2::text IS NULL OR r.scope = $2) AND ($3::text IS NULL OR r.key = $3)
       AND ($4::text IS NULL OR (r.scope COLLATE "C", r.key COLLATE "C") > ($4, $5::text))
     ORDER BY r.scope COLLATE "C", r.key COLLATE "C" LIMIT $6`,
    [namespace, scope ?? null, key ?? null, afterScope, afterKey, limit + 1],
  )
  return pageBy(rows, limit, positionOf, toView)
}

/** By which the list is ordered. */
export const positionOf = ({ scope, key }: Pick<RateLimitView, 'scope' | 'key'>): readonly string[] => [scope, key]

const toMs = (time: number): number => Math.ceil(time / 1000)

const toView = (row: Row): RateLimitView => ({
  scope: row.scope,
  key: row.key,
  limit: row.calls,
  periodMs: row.period_ms,
  burst: row.burst,
  freeAt: row.free_at === null ? null : toMs(row.free_at),
  askedAt: toMs(row.asked_at),
  grantedAt: row.granted_at === 0 ? null : toMs(row.granted_at),
})

/** Removes at most `limit` keys for which nobody has asked for `idleMs`, and that are as free as new ones. Answers how many. */
export async function forgetRateLimits({ pool }: Database, idleMs: number, limit: number): Promise<number> {
  const { rowCount } = await pool.query(
    `DELETE FROM rate_limits AS r USING (
       SELECT i.namespace, i.scope, i.key FROM rate_limits AS i, (SELECT ${now} AS now) AS t
       WHERE i.asked_at < t.now - $1::bigint AND greatest(i.tat, i.line_until, i.late_until) < t.now
       LIMIT $2 FOR UPDATE OF i SKIP LOCKED
     ) AS idle
     WHERE (r.namespace, r.scope, r.key) = (idle.namespace, idle.scope, idle.key)`,
    [idleMs * 1000, limit],
  )
  return rowCount ?? 0
}

import { type Page, pageBy, positionIn } from '../../../src/repository/cursor.ts'
import {
  ABANDONED_AFTER_MS,
  FARTHEST_MS,
  givenBy,
  intervalOf,
  nameOf,
  positionOf,
  type RateLimitFilter,
  type RateLimitView,
  type TurnsAsked,
  type TurnsGiven,
} from '../../../src/repository/rate-limits.ts'
import { put, remove, type Statement } from './server.ts'
import type { RateLimitRow } from './tables.ts'

// src/repository/rate-limits.ts: one row a key, by the database's clock.

const microseconds = (ms: number): number => Math.floor(ms * 1000)

/** All rows are locked before the first is read: as good as one after the other, for who asks for several. */
export const takeTurnsStatement = (asks: readonly TurnsAsked[], horizonMs: number): Statement<TurnsGiven[]> =>
  function* takeTurns(transaction, { rateLimits }) {
    for (const name of asks.map(nameOf).sort()) yield { row: `rate limit ${name}`, mode: 'exclusive' }
    const now = microseconds(transaction.now)
    return asks.map((ask) => {
      const { row, granted } = answered(rateLimits.get(nameOf(ask)), ask, now, microseconds(horizonMs))
      transaction.change(put((tables) => tables.rateLimits, nameOf(ask), row))
      const { tat, lineUntil, lateUntil } = row
      return givenBy(ask, { tat, line_until: lineUntil, late_until: lateUntil, granted, asked_at: now })
    })
  }

/** The lines of a key as they count: none when those who stand in them do not come back. */
function linesOf({ lineUntil, lateUntil, grantedAt }: RateLimitRow, step: number, now: number) {
  const isLeft = grantedAt < now - ABANDONED_AFTER_MS * 1000 - step
  return isLeft ? { line: 0, late: 0 } : { line: lineUntil, late: lateUntil }
}

function answered(present: RateLimitRow | undefined, ask: TurnsAsked, now: number, horizon: number) {
  const step = intervalOf(ask)
  const { namespace, scope, key, limit, periodMs, burst, rank, count } = ask
  const { line, late } = present === undefined ? { line: 0, late: 0 } : linesOf(present, step, now)
  const base = Math.max(now, present?.tat ?? 0)
  const ahead = rank === 0 ? Math.max(line, late) : rank === 1 ? late : 0
  const fitting = Math.max(0, Math.floor((horizon - (base - now)) / step + burst))
  const granted = ahead > now ? 0 : Math.min(count, fitting)
  const first = Math.max(now, base + (granted - burst + 1) * step, late, rank === 0 ? line : 0)
  const till = Math.min(now + FARTHEST_MS * 1000, first + (count - granted) * step)
  const row: RateLimitRow = {
    ...{ namespace, scope, key, limit, periodMs, burst },
    tat: base + granted * step,
    lineUntil: rank === 0 && granted < count ? till : line,
    lateUntil: rank > 0 && granted < count ? till : late,
    granted,
    askedAt: now,
    grantedAt: granted > 0 ? now : (present?.grantedAt ?? 0),
  }
  return { row, granted }
}

export const listRateLimits = (filter: RateLimitFilter, limit: number, cursor: string | undefined) => {
  const { namespace = 'default', scope, key } = filter
  const [afterScope, afterKey] = positionIn(cursor, ['text', 'text']) ?? []
  const isMeant = (row: RateLimitRow): boolean =>
    row.namespace === namespace && (scope ?? row.scope) === row.scope && (key ?? row.key) === row.key
  const isAfter = (row: RateLimitRow): boolean =>
    afterScope === undefined || row.scope > afterScope || (row.scope === afterScope && row.key > afterKey!)
  const order = (a: RateLimitRow, b: RateLimitRow): number =>
    a.scope === b.scope ? (a.key < b.key ? -1 : 1) : a.scope < b.scope ? -1 : 1
  return function* list(transaction: { now: number }, { rateLimits }: { rateLimits: Map<string, RateLimitRow> }) {
    const now = microseconds(transaction.now)
    const rows = [...rateLimits.values()].filter((row) => isMeant(row) && isAfter(row)).sort(order)
    return pageBy(rows, limit, positionOf, (row) => viewOf(row, now))
  } satisfies Statement<Page<RateLimitView>>
}

const toMs = (time: number): number => Math.ceil(time / 1000)

function viewOf(row: RateLimitRow, now: number): RateLimitView {
  const { scope, key, limit, periodMs, burst, tat, askedAt, grantedAt } = row
  const step = intervalOf(row)
  const { line, late } = linesOf(row, step, now)
  const freeAt = Math.max(tat - (burst - 1) * step, line, late)
  return {
    ...{ scope, key, limit, periodMs, burst },
    freeAt: freeAt > now ? toMs(freeAt) : null,
    askedAt: toMs(askedAt),
    grantedAt: grantedAt === 0 ? null : toMs(grantedAt),
  }
}

export const forgetStatement = (idleMs: number, limit: number): Statement<number> =>
  function* forgetRateLimits(transaction, { rateLimits }) {
    const now = microseconds(transaction.now)
    let forgotten = 0
    for (const [name, { tat, lineUntil, lateUntil, askedAt }] of [...rateLimits]) {
      if (forgotten === limit) break
      if (askedAt >= now - idleMs * 1000 || Math.max(tat, lineUntil, lateUntil) >= now) continue
      if (!transaction.tryLock(`rate limit ${name}`, 'exclusive')) continue
      transaction.change(remove((tables) => tables.rateLimits, name))
      forgotten += 1
    }
    return forgotten
  }

import { CairnError } from '../errors.ts'
import { isUnavailable } from '../repository/classify.ts'
import type { Log } from './log.ts'

/** How often it is said again that PostgreSQL is away. */
const REMIND_MS = 60_000

interface Away {
  readonly since: number
  lastSaid: number
  lastFailed: number
  failures: number
  /** A heartbeat was answered, and nothing has failed since. */
  isCalm: boolean
}

/*
 * Whether PostgreSQL can be used, as the log tells it:
 *
 *   there ──a warning that it cannot be reached, or takes nothing──▶ away ──two heartbeats, and no such warning between──▶ there
 *
 * A node without PostgreSQL fails in dozens of places each second, and each has a warning of its own. One line is written when that
 * begins, one a minute while it lasts, one when it is over; the warnings themselves are of level debug.
 */
export class Outage {
  /** Takes the place of the log that was given. */
  readonly log: Log
  readonly #given: Log
  readonly #now: () => number
  #away: Away | null = null

  /** `now`: monotonic, ms. */
  constructor(log: Log, now: () => number) {
    this.#given = log
    this.#now = now
    this.log = {
      debug: (facts, message) => log.debug(facts, message),
      info: (facts, message) => log.info(facts, message),
      warn: (facts, message) => this.#warn(facts, message),
      error: (facts, message) => log.error(facts, message),
      // What actions write is about what they call.
      child: (bindings) => log.child(bindings),
      ...(log.isLevelEnabled && { isLevelEnabled: (level) => log.isLevelEnabled!(level) }),
    }
  }

  /** A heartbeat was answered. */
  answered(): void {
    const away = this.#away
    if (away === null) return
    if (!away.isCalm) {
      away.isCalm = true
      return
    }
    this.#away = null
    const { since, lastFailed, failures } = away
    this.#given.info({ awayMs: Math.round(lastFailed - since), failures }, 'PostgreSQL can be used again')
  }

  #warn(facts: object, message: string): void {
    const { err } = facts as { err?: unknown }
    const isAway = err instanceof CairnError ? err.code === 'DATABASE_UNAVAILABLE' : isUnavailable(err)
    if (!isAway) return this.#given.warn(facts, message)
    this.#given.debug(facts, message)
    const now = this.#now()
    if (this.#away === null) {
      this.#away = { since: now, lastSaid: now, lastFailed: now, failures: 1, isCalm: false }
      const text = 'PostgreSQL cannot be used; what needs it is tried again, and said at level debug'
      return this.#given.warn({ err, failed: message }, text)
    }
    const away = this.#away
    away.isCalm = false
    away.lastFailed = now
    away.failures += 1
    if (now - away.lastSaid < REMIND_MS) return
    away.lastSaid = now
    this.#given.warn(
      { err, failures: away.failures, awayMs: Math.round(now - away.since) },
      'PostgreSQL still cannot be used',
    )
  }
}

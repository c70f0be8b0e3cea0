import { nameOf, type TurnsAsked, type TurnsGiven } from '../repository/rate-limits.ts'
import type { Store } from '../repository/store.ts'
import type { Clock, Timer } from './clock.ts'
import type { Log } from './log.ts'
import { rateLimited } from './put-off.ts'

/** A key, and how many calls of it may begin. */
export type Rate = Omit<TurnsAsked, 'rank' | 'count'>

/** Who wants to call. */
export interface Caller {
  /** How often its place in the line has come already. */
  readonly turns: number
  /** It has been aborted: nothing more is asked for it, and no promise to it need be kept. */
  readonly isOver: boolean
  /** Resolves after so long, when it may go on; never once it is over. */
  pause(ms: number): Promise<void>
}

export interface RateLimitsOptions {
  readonly store: Pick<Store, 'takeTurns'>
  readonly clock: Clock
  readonly log: Log
  /** The longest wait that is made in memory, ms; longer ones are for the database. */
  readonly horizonMs: number
}

/** What the database says to one caller. */
type Answer =
  | { readonly type: 'granted'; readonly afterMs: number }
  | { readonly type: 'later'; readonly afterMs: number; readonly at: number }

/** Callers who ask the same. */
interface Group {
  readonly rate: Rate
  readonly rank: TurnsAsked['rank']
  readonly callers: { readonly caller: Caller; readonly answer: (answer: Answer) => void }[]
}

const MOST_KEYS = 500
const RETRY_MS = 1_000

/**
 * The rate limits, as this node asks for them: one statement at a time for all keys, and while it runs the next one gathers. So
 * a key that many want takes one row of one statement, and no other key waits for it.
 */
export class RateLimits {
  readonly #options: RateLimitsOptions
  /** By key, rate and rank, in the order in which they came. */
  readonly #waiting = new Map<string, Group>()
  #isAsking = false
  #asked: Promise<void> = Promise.resolve()
  #pause: { readonly timer: Timer; readonly end: () => void } | null = null
  #isStopped = false
  /** Calls that were let go, and calls that were put off until their place in line comes. */
  granted = 0
  deferred = 0

  constructor(options: RateLimitsOptions) {
    this.#options = options
  }

  /** Resolves when the call may begin. Rejects with PutOff when that is too long to wait for in memory. */
  async turn(rate: Rate, caller: Caller): Promise<void> {
    for (let { turns } = caller; ; turns += 1) {
      const answer = await this.#ask(rate, Math.min(turns, 2) as TurnsAsked['rank'], caller)
      if (answer.type === 'later' && answer.afterMs > this.#options.horizonMs) {
        this.deferred += 1
        throw rateLimited(rate, answer.at, turns + 1)
      }
      if (answer.afterMs > 0) await caller.pause(answer.afterMs)
      if (answer.type === 'later') continue
      this.granted += 1
      return
    }
  }

  /** Idempotent. What is being asked is asked to its end; callers who wait hear nothing any more. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#waiting.clear()
    this.#pause?.timer.cancel()
    this.#pause?.end()
    await this.#asked
  }

  #ask(rate: Rate, rank: Group['rank'], caller: Caller): Promise<Answer> {
    return new Promise((resolve) => {
      if (this.#isStopped) return
      this.#gather({ rate, rank, callers: [{ caller, answer: resolve }] })
      if (!this.#isAsking) this.#asked = this.#askAll()
    })
  }

  #gather({ rate, rank, callers }: Group): void {
    const { limit, periodMs, burst } = rate
    const name = `${nameOf(rate)}\0${limit}/${periodMs}/${burst}/${rank}`
    const group = this.#waiting.get(name)
    if (group === undefined) this.#waiting.set(name, { rate, rank, callers })
    else group.callers.push(...callers)
  }

  /** Never rejects. The flag falls in the turn in which nothing is left, so that nobody who comes then is overlooked. */
  async #askAll(): Promise<void> {
    this.#isAsking = true
    while (this.#waiting.size > 0 && !this.#isStopped) {
      const groups = this.#nextGroups()
      if (groups.length > 0) await this.#askFor(groups)
    }
    this.#isAsking = false
  }

  async #askFor(groups: readonly Group[]): Promise<void> {
    const { store, log, horizonMs } = this.#options
    const asked = groups.map(({ rate, rank, callers }) => ({ ...rate, rank, count: callers.length }))
    try {
      const given = await store.takeTurns(asked, horizonMs)
      for (const [index, group] of groups.entries()) tell(group, given[index]!)
    } catch (error) {
      // What may have been granted is lost: the safe side. Nothing that a call would do could be recorded now.
      log.warn({ err: error, keys: groups.length }, 'rate limits were not asked; calls wait')
      if (!this.#isStopped) await this.#rest()
      this.#takeBack(groups)
    }
  }

  /** One of each key: the others of it come next. */
  #nextGroups(): Group[] {
    const groups = new Map<string, Group>()
    for (const [name, { rate, rank, callers }] of this.#waiting) {
      if (groups.size === MOST_KEYS) break
      const key = nameOf(rate)
      if (groups.has(key)) continue
      this.#waiting.delete(name)
      const wanted = callers.filter(({ caller }) => !caller.isOver)
      if (wanted.length > 0) groups.set(key, { rate, rank, callers: wanted })
    }
    return [...groups.values()]
  }

  /** They ask again, before who came meanwhile. */
  #takeBack(groups: readonly Group[]): void {
    const later = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const group of [...groups, ...later]) this.#gather(group)
  }

  #rest(): Promise<void> {
    return new Promise<void>((resolve) => {
      this.#pause = { timer: this.#options.clock.after(RETRY_MS, resolve), end: resolve }
    }).finally(() => {
      this.#pause = null
    })
  }
}

function tell({ callers }: Group, { granted, later }: TurnsGiven): void {
  callers.forEach(({ answer }, index) => {
    const afterMs = granted[index]
    if (afterMs !== undefined) answer({ type: 'granted', afterMs })
    else answer({ type: 'later', ...later[index - granted.length]! })
  })
}

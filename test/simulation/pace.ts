import { intervalOf, nameOf } from '../../src/repository/rate-limits.ts'
import type { Effect } from './effects.ts'
import type { Server } from './model/server.ts'
import type { RateLimitRow } from './model/tables.ts'

type Fault = (rule: string, what: string) => void

/** A key, and what was granted for it. */
interface Granted {
  row: RateLimitRow
  /** When each call may begin, µs since 1970, since commits were lost last. */
  readonly turns: number[]
  /** All that there ever were. */
  readonly all: number[]
  effects: number
}

/** Watches the rate limits: what is granted, by the commits alone, and that nothing is called that was not granted. */
export class Pace {
  readonly #server: Server
  readonly #fault: Fault
  readonly #keys = new Map<string, Granted>()

  constructor(server: Server, fault: Fault) {
    this.#server = server
    this.#fault = fault
  }

  /** In no time more turns are granted than the burst and what comes in that time. */
  committed(): void {
    for (const row of this.#server.tables.rateLimits.values()) {
      const known = this.#keys.get(row.key) ?? { row: null, turns: [], all: [], effects: 0 }
      if (known.row === row) continue
      const key: Granted = Object.assign(known, { row })
      this.#keys.set(row.key, key)
      for (let index = 0; index < row.granted; index++) this.#note(key, index)
    }
  }

  #note({ row, turns, all }: Granted, index: number): void {
    const { key, burst, tat, granted, askedAt } = row
    const interval = intervalOf(row)
    const turn = Math.max(askedAt, tat + (index - granted - burst + 1) * interval)
    turns.push(turn)
    all.push(turn)
    for (let first = 0; first < turns.length; first++) {
      const most = burst + Math.floor((turn - turns[first]!) / interval)
      if (turns.length - first > most)
        this.#fault(
          'no more is granted than the rate',
          `${turns.length - first} of ${key} from ${turns[first]} to ${turn}`,
        )
    }
  }

  /** Grants that were lost are given again. What they let begin has begun. */
  turnedBack(): void {
    for (const known of this.#keys.values()) {
      known.turns.length = 0
      known.row = this.#server.tables.rateLimits.get(nameOf(known.row)) ?? known.row
    }
  }

  called({ limited, executionId, path }: Effect): void {
    if (limited === null) return
    const known = this.#keys.get(limited)
    const now = this.#server.now * 1000
    const granted = known?.all.filter((turn) => turn <= now).length ?? 0
    if (known !== undefined) known.effects += 1
    if ((known?.effects ?? 1) > granted)
      this.#fault('nothing is called before it is granted', `${limited} by ${executionId.slice(-4)} ${path}`)
  }
}

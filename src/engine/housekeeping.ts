import type { Upkeep } from '../repository/upkeep.ts'
import type { Clock, Timer } from './clock.ts'
import type { Compaction } from './compaction.ts'
import type { History } from './history.ts'
import type { Log } from './log.ts'
import type { NodeLife } from './node-life.ts'
import { runBatches } from './pacing.ts'
import { Retention } from './retention.ts'
import { Settling } from './settling.ts'

export interface HousekeepingOptions {
  readonly upkeep: Upkeep
  readonly clock: Clock
  readonly log: Log
  readonly compaction: Compaction
  readonly history: Pick<History, 'tidy'>
  /** Days after which finished executions go when their workflow does not say; null: never. */
  readonly retentionDays: number | null
  readonly everyMs: number
  readonly life: () => NodeLife | null
}

/** How far the database's clock may be set back without anything going too early. */
const CLOCK_ERROR_MS = 1_000

/** Keys of rate limits for which nobody has asked for so long are not listed any more. */
const IDLE_MS = 3_600_000
const FORGET_BATCH = 1_000

/**
 * What goes in time: finished executions, what compaction leaves behind, idle rate limits, states that nobody reads. Any number
 * of nodes may do it at once.
 */
export class Housekeeping {
  readonly #options: HousekeepingOptions
  readonly #settling: Settling
  readonly retention: Retention
  #timer: Timer | null = null
  #round: Promise<void> | null = null
  #isStopped = false

  constructor(options: HousekeepingOptions) {
    const { upkeep, clock, log, retentionDays: days } = options
    this.#options = options
    this.#settling = new Settling(upkeep)
    this.retention = new Retention({ upkeep, clock, log, days })
  }

  /** A round every `everyMs`, give or take a fifth: nodes that were started together should not meet each time. */
  start(): void {
    const delayMs = this.#options.everyMs * (0.8 + 0.4 * this.#options.clock.random())
    this.#timer = this.#options.clock.after(delayMs, () => {
      this.#round = this.#run().finally(() => {
        if (!this.#isStopped) this.start()
      })
    })
  }

  /** Idempotent, safe before `start()`. A batch that is under way is ended first. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#timer?.cancel()
    await this.#round
  }

  async #run(): Promise<void> {
    const { upkeep, clock, log, compaction, history, life } = this.#options
    const isStopped = (): boolean => this.#isStopped
    history.tidy()
    try {
      await life()?.slotSettling.sweep()
      const now = await this.#settling.round(life())
      const horizon = (await upkeep.settledHorizon()) - CLOCK_ERROR_MS
      await compaction.run({ upkeep, clock, isStopped }, now, horizon)
      await this.retention.run(now, horizon, isStopped)
      await runBatches(clock, isStopped, async () =>
        (await upkeep.forgetRateLimits(IDLE_MS, FORGET_BATCH)) === FORGET_BATCH ? 'more' : 'done',
      )
    } catch (error) {
      log.warn({ err: error }, 'housekeeping failed; the next round tries again')
    }
  }
}

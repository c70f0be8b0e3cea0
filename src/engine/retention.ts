import type { Due, Retention as StatedRetention } from '../repository/retention.ts'
import type { Upkeep } from '../repository/upkeep.ts'
import type { Clock } from './clock.ts'
import type { Log } from './log.ts'
import { runBatches } from './pacing.ts'

export interface RetentionOptions {
  readonly upkeep: Pick<Upkeep, 'activeVersions' | 'retentionOf' | 'retireExecutions' | 'purgeRetired'>
  readonly clock: Clock
  readonly log: Log
  /** Days after which finished executions go when their workflow does not say; null: never. */
  readonly days: number | null
}

const DAY_MS = 24 * 3600 * 1000
const RETIRE_BATCH = 100
const PURGE_BATCH = 1_000

/**
 * Lets finished executions go that are older than their workflow's active version says, or than the setting. What counts is
 * when an execution was last changed: a retry or a signal begins its time anew.
 */
export class Retention {
  readonly #options: RetentionOptions
  /** By workflow: what its active version says. A version never changes, so only new ones are read. */
  #stated = new Map<string, StatedRetention>()
  executions = 0
  events = 0

  constructor(options: RetentionOptions) {
    this.#options = options
  }

  /** `now` and `horizon` in ms since 1970: nothing that was changed after `horizon` goes, however short its time is. */
  async run(now: number, horizon: number, isStopped: () => boolean): Promise<void> {
    const before = { executions: this.executions, events: this.events }
    const due = await this.#due(now, horizon)
    if (due.length > 0) await runBatches(this.#options.clock, isStopped, () => this.#retire(due))
    await runBatches(this.#options.clock, isStopped, () => this.#purge())
    const executions = this.executions - before.executions
    const events = this.events - before.events
    if (executions + events > 0) this.#options.log.info({ executions, events }, 'finished executions were removed')
  }

  async #due(now: number, horizon: number): Promise<Due[]> {
    await this.#readStated()
    return [...this.#stated.values()].flatMap(({ workflowId, days = this.#options.days }) =>
      days === null ? [] : [{ workflowId, before: Math.floor(Math.min(now - days * DAY_MS, horizon)) }],
    )
  }

  async #readStated(): Promise<void> {
    const { upkeep } = this.#options
    const versions = await upkeep.activeVersions()
    const isKnown = ({ workflowId, version }: { workflowId: string; version: number }): boolean =>
      this.#stated.get(workflowId)?.version === version
    const read = await upkeep.retentionOf(versions.filter((version) => !isKnown(version)))
    for (const retention of read) this.#stated.set(retention.workflowId, retention)
  }

  async #retire(due: readonly Due[]): Promise<'more' | 'done'> {
    const ids = await this.#options.upkeep.retireExecutions(due, RETIRE_BATCH)
    this.executions += ids?.length ?? 0
    return ids?.length === RETIRE_BATCH ? 'more' : 'done'
  }

  async #purge(): Promise<'more' | 'done'> {
    const purged = await this.#options.upkeep.purgeRetired(PURGE_BATCH)
    this.events += purged?.events ?? 0
    return purged === null || purged.isDone ? 'done' : 'more'
  }
}

import { LRUCache } from 'lru-cache'
import type { Compactable } from '../repository/retention.ts'
import type { Upkeep } from '../repository/upkeep.ts'
import type { Clock } from './clock.ts'
import { runBatches } from './pacing.ts'

/*
 * What an execution has left behind:
 *
 *   noted ──a round──▶ known since then ──the horizon has passed it──▶ removed, and what was noted meanwhile takes its place
 */
interface Entry {
  readonly compactable: Compactable
  /** By the database's clock, ms since 1970; null until the next round. */
  since: number | null
  /** What was noted last: the one that waits is not put off by it. */
  next: Compactable | null
}

const BATCH = 1_000
/** Executions of which it is remembered how far they are compacted, so that a batch need not pass by what is gone. */
const REMEMBERED = 10_000

/**
 * Removes what executions with `checkpoints.compact` have left behind: their events up to a snapshot, and the snapshots before
 * that one but those of kept checkpoints. Executors note it here (snapshots.ts says up to where); what a node forgets when it
 * dies, a later snapshot notes again.
 */
export class Compaction {
  readonly #entries = new Map<string, Entry>()
  readonly #reached = new LRUCache<string, number>({ max: REMEMBERED })
  /** Removed so far, for metrics. */
  events = 0

  /** The journal up to `through` may go once nobody leans on it any more. */
  note(compactable: Compactable): void {
    const entry = this.#entries.get(compactable.executionId)
    if (entry !== undefined && entry.since !== null) entry.next = compactable
    else this.#entries.set(compactable.executionId, { compactable, since: null, next: null })
  }

  /** The node is dead: what it knows may be of commits that are lost. */
  clear(): void {
    this.#entries.clear()
  }

  /** Removes what has been known since before `horizon`. Both times in ms since 1970. */
  async run(options: CompactionRun, now: number, horizon: number): Promise<void> {
    for (const [executionId, entry] of [...this.#entries]) {
      if (options.isStopped()) return
      entry.since ??= now
      if (entry.since >= horizon) continue
      await this.#compact(options, entry.compactable)
      if (this.#entries.get(executionId) !== entry) continue
      this.#entries.delete(executionId)
      if (entry.next !== null) this.note(entry.next)
    }
  }

  async #compact({ upkeep, clock, isStopped }: CompactionRun, compactable: Compactable): Promise<void> {
    const { executionId, through, pinned } = compactable
    await runBatches(clock, isStopped, async () => {
      const removed = await upkeep.compactEvents(compactable, this.#reached.get(executionId) ?? 0, BATCH)
      if (removed.events === 0) return 'done'
      this.events += removed.events
      this.#reached.set(executionId, removed.last)
      return removed.last < through ? 'more' : 'done'
    })
    if (this.#reached.get(executionId) === through) await upkeep.deleteSnapshotsBefore(executionId, through, pinned)
  }
}

export interface CompactionRun {
  readonly upkeep: Pick<Upkeep, 'compactEvents' | 'deleteSnapshotsBefore'>
  readonly clock: Clock
  readonly isStopped: () => boolean
}

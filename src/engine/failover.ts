import type { LaneWriter } from '../repository/lane.ts'
import type { Store } from '../repository/store.ts'
import type { NodeParts } from './node-life.ts'
import type { OwnedExecutions } from './owned-executions.ts'
import type { StatisticsReader } from './statistics-reader.ts'

/*
 * PostgreSQL has failed over to a replica, which holds a prefix of what was committed: all of it when replication is
 * synchronous. Who owns something finds out by its flushes: the fence looks for what was acknowledged to the lane, and for
 * the claim of what was loaded since. All else that this node remembers is only read, so nothing would contradict it.
 */

/** Forgets what was read before: histories, plans, estimates. */
export function forgetPast({ history, plans, compaction }: NodeParts, statistics: StatisticsReader): void {
  history.clear()
  plans.clear()
  compaction.clear()
  statistics.clear()
}

/** What the database lost that this node stands on, in words; null when all is there. */
export async function lossOf(
  store: Pick<Store, 'findOwned'>,
  node: string,
  lanes: readonly LaneWriter[],
  owned: Pick<OwnedExecutions, 'idsHeld'>,
): Promise<string | null> {
  const stand = await Promise.all(lanes.map((lane) => lane.stands?.() ?? true))
  if (stand.includes(false)) return 'a failover lost commits that were acknowledged to it'
  const held = owned.idsHeld()
  const ours = new Set(await store.findOwned(node))
  // What was given away meanwhile is no loss.
  const stillHeld = new Set(owned.idsHeld())
  const isLost = held.some((id) => !ours.has(id) && stillHeld.has(id))
  return isLost ? 'a failover lost its claims' : null
}

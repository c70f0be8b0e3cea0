import type { Database } from './connection.ts'
import { databaseNow, settledHorizon, settleNode } from './nodes.ts'
import { forgetRateLimits } from './rate-limits.ts'
import { activeVersions, compactEvents, purgeRetired, retentionOf, retireExecutions } from './retention.ts'
import { deleteSnapshotsBefore } from './snapshots.ts'

/** The statements of housekeeping, bound to one database; apart from the store, which executions live by. */
export const createUpkeep = (database: Database) => ({
  databaseNow: () => databaseNow(database),
  settleNode: (id: string, settledAt: number) => settleNode(database, id, settledAt),
  settledHorizon: () => settledHorizon(database),
  activeVersions: () => activeVersions(database),
  retentionOf: (versions: Parameters<typeof retentionOf>[1]) => retentionOf(database, versions),
  retireExecutions: (due: Parameters<typeof retireExecutions>[1], limit: number) =>
    retireExecutions(database, due, limit),
  purgeRetired: (limit: number) => purgeRetired(database, limit),
  compactEvents: (compactable: Parameters<typeof compactEvents>[1], after: number, limit: number) =>
    compactEvents(database, compactable, after, limit),
  deleteSnapshotsBefore: (executionId: string, seq: number, pinned: readonly number[]) =>
    deleteSnapshotsBefore(database, executionId, seq, pinned),
  forgetRateLimits: (idleMs: number, limit: number) => forgetRateLimits(database, idleMs, limit),
})

export type Upkeep = ReturnType<typeof createUpkeep>

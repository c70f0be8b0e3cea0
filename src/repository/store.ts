import { findApproval, listApprovals } from './approvals.ts'
import { claim, findOwned, ownedRows } from './claim.ts'
import { listLines, placesInLine } from './concurrency-lines.ts'
import { createSlotStatements } from './concurrency-slots.ts'
import type { Database } from './connection.ts'
import { eventsAfter, eventsOfMany, rollbacksOf, rollbacksOfMany, tailMany } from './events.ts'
import { findLiveUnderKey, startUnderKey } from './execution-keys.ts'
import {
  executionsChangedSince,
  findExecution,
  findExecutionView,
  findStandings,
  listExecutions,
  missingExecutions,
} from './executions.ts'
import { findKey, insertInboxKeyed, insertWorkflowKeyed, startKeyed } from './idempotency.ts'
import { countSignals, inboxOf, inboxOfOwner, insertInbox } from './inbox.ts'
import { Lane, type LaneWriter } from './lane.ts'
import { databaseNow, heartbeat, registerNode, removeNode, removeOtherNodes, sweep } from './nodes.ts'
import { listRateLimits, takeTurns } from './rate-limits.ts'
import { receivers } from './receivers.ts'
import { deleteSnapshotsBefore, insertSnapshot, newestSnapshot, newestSnapshots } from './snapshots.ts'
import { foldStatistics, readStatistics, stepMedians } from './statistics.ts'
import { activateVersion, deprecateVersion, findVersion, listVersions } from './workflow-versions.ts'
import {
  archiveWorkflow,
  findWorkflow,
  findWorkflowNamed,
  insertVersion,
  insertWorkflow,
  listWorkflows,
} from './workflows.ts'

/** Every statement of the repository, bound to one database: what the engine is handed. */
export const createStore = (database: Database) => ({
  claim: bind(claim, database),
  findOwned: bind(findOwned, database),
  ownedRows: bind(ownedRows, database),
  findExecution: bind(findExecution, database),
  findExecutionView: bind(findExecutionView, database),
  findStandings: bind(findStandings, database),
  listExecutions: bind(listExecutions, database),
  executionsChangedSince: bind(executionsChangedSince, database),
  missingExecutions: bind(missingExecutions, database),
  eventsAfter: bind(eventsAfter, database),
  eventsOfMany: bind(eventsOfMany, database),
  rollbacksOf: bind(rollbacksOf, database),
  rollbacksOfMany: bind(rollbacksOfMany, database),
  tailMany: bind(tailMany, database),
  insertSnapshot: bind(insertSnapshot, database),
  newestSnapshot: bind(newestSnapshot, database),
  newestSnapshots: bind(newestSnapshots, database),
  deleteSnapshotsBefore: bind(deleteSnapshotsBefore, database),
  insertInbox: bind(insertInbox, database),
  inboxOf: bind(inboxOf, database),
  inboxOfOwner: bind(inboxOfOwner, database),
  countSignals: bind(countSignals, database),
  receivers: bind(receivers, database),
  findApproval: bind(findApproval, database),
  listApprovals: bind(listApprovals, database),
  takeTurns: bind(takeTurns, database),
  listRateLimits: bind(listRateLimits, database),
  registerNode: bind(registerNode, database),
  heartbeat: bind(heartbeat, database),
  databaseNow: bind(databaseNow, database),
  sweep: bind(sweep, database),
  removeNode: bind(removeNode, database),
  removeOtherNodes: bind(removeOtherNodes, database),
  insertWorkflow: bind(insertWorkflow, database),
  insertVersion: bind(insertVersion, database),
  findWorkflow: bind(findWorkflow, database),
  findWorkflowNamed: bind(findWorkflowNamed, database),
  listWorkflows: bind(listWorkflows, database),
  archiveWorkflow: bind(archiveWorkflow, database),
  findVersion: bind(findVersion, database),
  listVersions: bind(listVersions, database),
  activateVersion: bind(activateVersion, database),
  deprecateVersion: bind(deprecateVersion, database),
  startKeyed: bind(startKeyed, database),
  startUnderKey: bind(startUnderKey, database),
  findLiveUnderKey: bind(findLiveUnderKey, database),
  insertInboxKeyed: bind(insertInboxKeyed, database),
  insertWorkflowKeyed: bind(insertWorkflowKeyed, database),
  findKey: bind(findKey, database),
  foldStatistics: bind(foldStatistics, database),
  readStatistics: bind(readStatistics, database),
  stepMedians: bind(stepMedians, database),
  listLines: bind(listLines, database),
  placesInLine: bind(placesInLine, database),
  ...createSlotStatements(database),
  /** A writer of this node; it connects with its first flush. */
  openLane: (node: string, lane: number): LaneWriter =>
    new Lane({ connect: database.connectLane, prepare: database.prepare, node, lane }),
})

/** What the engine is handed: PostgreSQL's own, or the simulation's model of it. */
export type Store = ReturnType<typeof createStore>

const bind =
  <Arguments extends unknown[], Result>(
    statement: (database: Database, ...rest: Arguments) => Result,
    database: Database,
  ) =>
  (...rest: Arguments): Result =>
    statement(database, ...rest)

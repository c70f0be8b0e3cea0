import { CairnError } from '../../../src/errors.ts'
import type { Append } from '../../../src/repository/append.ts'
import type { Acknowledged, Fence } from '../../../src/repository/fence.ts'
import type { LaneWriter } from '../../../src/repository/lane.ts'
import type { Store } from '../../../src/repository/store.ts'
import * as approvals from './approvals.ts'
import { claimStatement } from './claim.ts'
import { connectionLost } from './errors.ts'
import { findLiveUnderKey, startUnderKeyStatement } from './execution-keys.ts'
import { flushStatement, markStatement } from './flush.ts'
import * as keys from './keys.ts'
import * as nodes from './nodes.ts'
import { listRateLimits, takeTurnsStatement } from './rate-limits.ts'
import * as reads from './reads.ts'
import type { Statement } from './server.ts'
import { settleStatement, unsettledKeys } from './slots.ts'
import type { Tables } from './tables.ts'
import { deleteSnapshotsStatement } from './upkeep.ts'
import type { Wire } from './wire.ts'
import * as workflows from './workflows.ts'

/** What the routes alone ask for: the simulation has none. */
type OfRoutes =
  | 'listExecutions'
  | 'listLines'
  | 'placesInLine'
  | 'findStandings'
  | 'listWorkflows'
  | 'listVersions'
  | 'readStatistics'
  | 'insertVersion'
  | 'archiveWorkflow'
  | 'activateVersion'
  | 'deprecateVersion'

export type ModelStore = Omit<Store, OfRoutes>

/** How long the heartbeat's connection waits for an answer: see src/repository/connection.ts. */
const PULSE_MS = 5_000

const read = <T>(of: (tables: Tables) => T): Statement<T> =>
  // biome-ignore lint/correctness/useYield: a read waits for nobody
  function* reading(_, tables) {
    return of(tables)
  }

/** The store of one client of the model. Whatever it promises is promised by src/repository/ in the same words. */
export function modelStore(wire: Wire): ModelStore {
  const ask = <T>(of: (tables: Tables) => T): Promise<T> => wire.send(read(of))
  const keyed = async (found: Promise<keys.Found | null>, key: Parameters<Store['findKey']>[0]) => {
    const row = await found
    if (row === null) return null
    if (row.requestHash !== key.requestHash) throw new CairnError('IDEMPOTENCY_KEY_REUSED', [key.key])
    return { resourceId: row.resourceId, requestId: row.requestId, replayed: true }
  }
  const findKey: Store['findKey'] = (key) =>
    keyed(
      ask((tables) => keys.findKey(tables, key)),
      key,
    )
  /** Two statements as in src/repository/idempotency.ts: the key with all that hangs on it, then who had it before. */
  const once = async (
    key: Parameters<Store['findKey']>[0],
    made: { readonly resourceId: string; readonly requestId: string | null },
    statement: Statement<boolean>,
  ) => {
    if (await wire.send(statement)) return { ...made, replayed: false }
    const found = await findKey(key)
    if (found === null) return null
    const isOwn = found.resourceId === made.resourceId && found.requestId === made.requestId
    return { ...found, replayed: !isOwn }
  }
  const deleteNodes = (isMeant: Parameters<typeof nodes.deleteNodesStatement>[0]) =>
    wire.transact(nodes.deleteNodesStatement(isMeant))
  return {
    claim: (node, limits) => wire.send(claimStatement(node, limits)),
    findOwned: (node) => ask((tables) => reads.findOwned(tables, node)),
    ownedRows: (node, ids, bytes) => ask((tables) => reads.ownedRows(tables, node, ids, bytes)),
    missingExecutions: (ids) => ask((tables) => ids.filter((id) => !tables.executions.has(id))),
    eventsOfMany: (ranges, each, bytes) => ask((tables) => reads.eventsOfMany(tables, ranges, each, bytes)),
    newestSnapshots: (ranges, bytes) => ask((tables) => reads.newestSnapshots(tables, ranges, bytes)),
    rollbacksOfMany: (ids) => ask((tables) => reads.rollbacksOf(tables, ids)),
    findExecution: (id) => ask((tables) => reads.findExecution(tables, id)),
    findExecutionView: (id) => ask((tables) => reads.findExecutionView(tables, id)),
    executionsChangedSince: (workflowIds, since, limit) =>
      ask((tables) => reads.changedSince(tables, workflowIds, since, limit)),
    eventsAfter: (id, after, limit, { through = Number.MAX_SAFE_INTEGER } = {}) =>
      ask((tables) => reads.eventsAfter(tables, id, after, limit, through)),
    rollbacksOf: (id) => ask((tables) => reads.rollbacksOf(tables, [id])),
    tailMany: async (cursors, limit) => {
      if (cursors.length === 0) return []
      return ask((tables) =>
        cursors
          .flatMap(({ executionId, after }) =>
            reads.eventsAfter(tables, executionId, after, limit, Number.MAX_SAFE_INTEGER),
          )
          .slice(0, limit),
      )
    },
    insertSnapshot: ({ executionId, seq, at, state, createdAt }) => {
      const text = JSON.stringify(state)
      return wire.send(function* insert(transaction, { events }) {
        if (events.get(executionId)?.get(seq)?.at !== at) return
        transaction.change((tables) => {
          const own = tables.snapshots.get(executionId) ?? new Map()
          tables.snapshots.set(executionId, own)
          if (own.has(seq)) return () => {}
          own.set(seq, { state: text, createdAt })
          return () => void own.delete(seq)
        })
      })
    },
    newestSnapshot: (id, throughSeq) => ask((tables) => reads.newestSnapshot(tables, id, throughSeq)),
    deleteSnapshotsBefore: (id, seq, pinned) => wire.send(deleteSnapshotsStatement(id, seq, pinned)),
    insertInbox: (item) => wire.send(keys.inboxStatement(item)),
    inboxOf: async (ids) => (ids.length === 0 ? [] : ask((tables) => reads.inbox(tables, (id) => ids.includes(id)))),
    inboxOfOwner: (node, limit) =>
      ask((tables) => reads.inbox(tables, (id) => tables.executions.get(id)?.owner === node).slice(0, limit)),
    countSignals: (id) =>
      ask((tables) => reads.inbox(tables, (other) => other === id).filter(({ kind }) => kind === 'signal').length),
    receivers: (namespace, address, limit) => ask((tables) => reads.receivers(tables, namespace, address, limit)),
    findApproval: (id) => ask((tables) => approvals.findApproval(tables, id)),
    listApprovals: (filter, limit, cursor) => ask((tables) => approvals.listApprovals(tables, filter, limit, cursor)),
    takeTurns: async (asks, horizonMs) => wire.send(takeTurnsStatement(asks, horizonMs)),
    listRateLimits: (filter, limit, cursor) => wire.send(listRateLimits(filter, limit, cursor)),
    registerNode: (options) => wire.send(nodes.registerStatement(options), PULSE_MS),
    heartbeat: (id, leaseMs) => wire.send(nodes.heartbeatStatement(id, leaseMs), PULSE_MS),
    databaseNow: () => wire.send(nodes.nowStatement, PULSE_MS),
    sweep: async () =>
      (await wire.send(nodes.anyExpiredStatement)) ? deleteNodes((node, now) => nodes.isExpired(now)(node)) : [],
    removeNode: async (id) => void (await deleteNodes((node) => node.id === id)),
    removeOtherNodes: (id, before) => deleteNodes((node) => node.id !== id && node.startedAt < before),
    insertWorkflow: async (workflow) => {
      await wire.send(workflows.insertStatement(workflow))
      return (await ask((tables) => workflows.findWorkflow(tables, workflow.id)))!
    },
    insertWorkflowKeyed: async (key, workflow) =>
      (await once(
        key,
        { resourceId: workflow.id, requestId: null },
        keys.keyedStatement(key, { resourceId: workflow.id, requestId: null }, workflows.insertStatement(workflow)),
      ))!,
    findWorkflow: (id) => ask((tables) => workflows.findWorkflow(tables, id)),
    findWorkflowNamed: (namespace, name) => ask((tables) => workflows.findWorkflowNamed(tables, namespace, name)),
    findVersion: (id, version) => ask((tables) => workflows.findVersion(tables, id, version)),
    startKeyed: async (key, append) => {
      const made = { resourceId: append.executionId, requestId: null }
      return (await once(key, made, keys.keyedStatement(key, made, keys.startStatement(append))))!
    },
    startUnderKey: async (executionKey, key, append, slot = null) => {
      for (;;) {
        const started = await wire.transact(startUnderKeyStatement(executionKey, key, append, slot))
        if (started !== null) return started
        const done = await findKey(key!)
        if (done !== null) return { type: 'replayed', executionId: done.resourceId }
      }
    },
    findLiveUnderKey: (row) => ask((tables) => findLiveUnderKey(tables, row)),
    insertInboxKeyed: (key, item) => {
      const made = { resourceId: item.executionId, requestId: item.requestId }
      return once(key, made, keys.keyedInboxStatement(key, made, item))
    },
    findKey,
    // Estimates decide nothing: the simulation has no statistics to estimate from, and none to fold.
    stepMedians: async () => new Map(),
    foldStatistics: async () => 0,
    settleSlots: (keys) => wire.send(settleStatement(keys)),
    unsettledKeys: (ageMs, limit) =>
      // biome-ignore lint/correctness/useYield: a read waits for nobody
      wire.send(function* unsettled(transaction, tables) {
        return unsettledKeys(tables, transaction.now - ageMs, limit)
      }),
    openLane: (node, lane) => new ModelLane(wire, node, lane),
  }
}

/** src/repository/lane.ts over the wire. */
class ModelLane implements LaneWriter {
  readonly #wire: Wire
  readonly #node: string
  readonly #lane: number
  #acknowledged: Acknowledged | null = null
  #mark = 0
  #isMarkUnsure = false
  #closed: (error: Error) => void = () => {}
  #isClosed = false

  constructor(wire: Wire, node: string, lane: number) {
    this.#wire = wire
    this.#node = node
    this.#lane = lane
  }

  async flush(appends: readonly Append[], resend: boolean): Promise<'committed' | 'fenced'> {
    const sorted = appends.toSorted((a, b) => (a.executionId < b.executionId ? -1 : 1))
    const outcome = await this.#send(flushStatement(this.#fence, sorted, resend))
    if (outcome === 'fenced') return outcome
    const { executionId, seq, at } = sorted.at(-1)!.events.at(-1)!
    this.#acknowledged = { executionId, seq, at }
    return outcome
  }

  async mark(): Promise<'committed' | 'fenced'> {
    this.#isMarkUnsure = true
    const outcome = await this.#send(markStatement(this.#fence))
    if (outcome === 'fenced') return outcome
    this.#mark += 1
    this.#isMarkUnsure = false
    this.#acknowledged = null
    return outcome
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#closed(connectionLost())
  }

  get #fence(): Fence {
    const [node, lane, mark] = [this.#node, this.#lane, this.#mark]
    return { node, lane, acknowledged: this.#acknowledged, mark, isMarkUnsure: this.#isMarkUnsure }
  }

  #send(statement: Statement<'committed' | 'fenced'>): Promise<'committed' | 'fenced'> {
    if (this.#isClosed) return Promise.reject(new Error('the lane is closed'))
    const closed = new Promise<never>((_, reject) => {
      this.#closed = reject
    })
    return Promise.race([this.#wire.send(statement), closed])
  }
}

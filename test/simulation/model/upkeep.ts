import { isFinished } from '../../../src/engine/core/state.ts'
import type { Retention } from '../../../src/repository/retention.ts'
import type { Upkeep } from '../../../src/repository/upkeep.ts'
import { nowStatement } from './nodes.ts'
import { forgetStatement } from './rate-limits.ts'
import { put, remove, type Statement, type Transaction } from './server.ts'
import type { StoredRow, Tables } from './tables.ts'
import type { Wire } from './wire.ts'

// src/repository/retention.ts, and what housekeeping asks of nodes.ts and snapshots.ts.

/** Retired executions that one purge looks at. */
const PURGE_BATCH = 200

/** A transaction that one node at a time may make; null when another is at it. */
const inTurn = <T>(statement: Statement<T>): Statement<T | null> => {
  const turn: Statement<T | null> = function* (transaction, tables) {
    if (!transaction.tryLock('advisory retention', 'exclusive')) return null
    return yield* statement(transaction, tables)
  }
  return Object.defineProperty(turn, 'name', { value: statement.name })
}

/** Nobody owns it, nothing waits for it, and no parent that lives may ask for it. */
function isDone({ executions, inbox }: Tables, { id, status, owner, parentExecutionId }: StoredRow): boolean {
  const parent = executions.get(parentExecutionId ?? '')
  if (!isFinished(status) || owner !== null || (parent !== undefined && !isFinished(parent.status))) return false
  return ![...inbox.values()].some(({ executionId }) => executionId === id)
}

const retireStatement = (due: Parameters<Upkeep['retireExecutions']>[0], limit: number): Statement<string[]> =>
  function* retireExecutions(transaction, tables) {
    const meant = due.flatMap(({ workflowId, before }) =>
      [...tables.executions.values()]
        .filter((row) => row.workflowId === workflowId && row.updatedAt < before && isDone(tables, row))
        .sort((a, b) => a.updatedAt - b.updatedAt),
    )
    const gone: string[] = []
    for (const { id } of meant) {
      if (gone.length < limit && transaction.tryLock(`execution ${id}`, 'exclusive')) gone.push(id)
    }
    for (const id of gone) retire(transaction, tables, id)
    return gone
  }

function retire(transaction: Transaction, { keys, executionKeys, approvals }: Tables, id: string): void {
  transaction.change(remove((all) => all.executions, id))
  transaction.change(put((all) => all.retired, id, true))
  for (const [name, { resourceId }] of keys) {
    if (resourceId === id) transaction.change(remove((all) => all.keys, name))
  }
  for (const approval of approvals.values()) {
    if (approval.executionId === id) transaction.change(remove((all) => all.approvals, approval.id))
  }
  for (const [name, holder] of executionKeys) {
    if (holder === id) transaction.change(remove((all) => all.executionKeys, name))
  }
}

const purgeStatement = (limit: number): Statement<{ readonly events: number; readonly isDone: boolean }> =>
  function* purgeRetired(transaction, { retired, events: all }) {
    const ids = [...retired.keys()].sort().slice(0, PURGE_BATCH)
    let events = 0
    for (const id of ids) {
      for (const seq of [...(all.get(id)?.keys() ?? [])].sort((a, b) => a - b)) {
        if (events === limit) break
        events += 1
        transaction.change(remove((tables) => tables.events.get(id)!, seq))
      }
    }
    if (ids.length === 0 || events === limit) return { events, isDone: ids.length === 0 }
    for (const id of ids) {
      transaction.change(remove((tables) => tables.snapshots, id))
      transaction.change(remove((tables) => tables.retired, id))
    }
    return { events, isDone: ids.length < PURGE_BATCH }
  }

const compactStatement = (
  { executionId, through, seen, pinned }: Parameters<Upkeep['compactEvents']>[0],
  after: number,
  limit: number,
): Statement<{ readonly events: number; readonly last: number }> =>
  function* compactEvents(transaction, { events, snapshots }) {
    const [own, images] = [events.get(executionId), snapshots.get(executionId)]
    const isProved = own?.get(seen.seq)?.at === seen.at && [through, ...pinned].every((seq) => images?.has(seq))
    if (!isProved) return { events: 0, last: 0 }
    const doomed = [...own!.keys()].filter((seq) => seq > after && seq <= through).sort((a, b) => a - b)
    const gone = doomed.slice(0, limit)
    for (const seq of gone) transaction.change(remove((tables) => tables.events.get(executionId)!, seq))
    return { events: gone.length, last: gone.at(-1) ?? 0 }
  }

/** Drops the snapshots before the newest one at or before `seq`, but for those at `pinned`. */
export const deleteSnapshotsStatement = (id: string, seq: number, pinned: readonly number[] = []): Statement<void> =>
  function* deleteSnapshotsBefore(transaction, { snapshots }) {
    const own = [...(snapshots.get(id)?.keys() ?? [])]
    const kept = Math.max(...own.filter((candidate) => candidate <= seq))
    for (const old of own.filter((candidate) => candidate < kept && !pinned.includes(candidate))) {
      transaction.change(remove((all) => all.snapshots.get(id)!, old))
    }
  }

/** What housekeeping works with, on the model. */
export function modelUpkeep(wire: Wire): Upkeep {
  const ask = <T>(of: (tables: Tables) => T): Promise<T> =>
    // biome-ignore lint/correctness/useYield: a read waits for nobody
    wire.send(function* reading(_, tables) {
      return of(tables)
    })
  return {
    databaseNow: () => wire.send(nowStatement),
    settleNode: (id, settledAt) =>
      wire.send(function* settleNode(transaction, tables) {
        yield { row: `node ${id}`, mode: 'update' }
        const node = tables.nodes.get(id)
        if (node === undefined) return
        const settled = { ...node, settledAt: Math.max(node.settledAt, settledAt) }
        transaction.change(put((all) => all.nodes, id, settled))
      }),
    settledHorizon: () =>
      ask(({ nodes }) => {
        const times = [...nodes.values()].map(({ settledAt }) => settledAt)
        return times.length === 0 ? Number.NEGATIVE_INFINITY : Math.min(...times)
      }),
    activeVersions: () =>
      ask(({ workflows }) =>
        [...workflows.values()].map(({ id: workflowId, activeVersion: version }) => ({ workflowId, version })),
      ),
    retentionOf: (versions) =>
      ask((tables) =>
        versions.flatMap(({ workflowId, version }): Retention[] => {
          const stored = tables.versions.get(`${workflowId}/${version}`)
          if (stored === undefined) return []
          const { retention } = JSON.parse(stored.definition) as { retention?: { days?: number | null } }
          return [{ workflowId, version, days: retention?.days }]
        }),
      ),
    retireExecutions: (due, limit) => wire.transact(inTurn(retireStatement(due, limit))),
    purgeRetired: (limit) => wire.transact(inTurn(purgeStatement(limit))),
    compactEvents: (compactable, after, limit) => wire.send(compactStatement(compactable, after, limit)),
    deleteSnapshotsBefore: (id, seq, pinned) => wire.send(deleteSnapshotsStatement(id, seq, pinned)),
    forgetRateLimits: (idleMs, limit) => wire.send(forgetStatement(idleMs, limit)),
  }
}

import type { NodeOptions } from '../../../src/repository/nodes.ts'
import { duplicate } from './flush.ts'
import { put, remove, type Statement } from './server.ts'
import type { NodeRow } from './tables.ts'

// src/repository/nodes.ts: leases by the database's clock, and nobody else's.

export const registerStatement = ({ id, lanes, leaseMs }: NodeOptions): Statement<void> =>
  function* register(transaction, tables) {
    yield { row: `node ${id}`, mode: 'exclusive' }
    if (tables.nodes.has(id)) throw duplicate('nodes_pkey')
    const { now } = transaction
    transaction.change(
      put((all) => all.nodes, id, { id, lanes, startedAt: now, settledAt: now, expiresAt: now + leaseMs }),
    )
    for (let lane = 0; lane < lanes; lane++) {
      transaction.change(put((all) => all.lanes, `${id}/${lane}`, 0))
    }
  }

type Beat = { readonly alive: true; readonly databaseNow: number } | { readonly alive: false }

export const heartbeatStatement = (id: string, leaseMs: number): Statement<Beat> =>
  function* heartbeat(transaction, tables) {
    yield { row: `node ${id}`, mode: 'update' }
    const node = tables.nodes.get(id)
    if (node === undefined || node.expiresAt <= transaction.now) return { alive: false }
    transaction.change(put((all) => all.nodes, id, { ...node, expiresAt: transaction.now + leaseMs }))
    return { alive: true, databaseNow: transaction.now }
  }

// biome-ignore lint/correctness/useYield: a read waits for nobody
export const nowStatement: Statement<number> = function* now(transaction) {
  return transaction.now
}

// biome-ignore lint/correctness/useYield: a read waits for nobody
export const anyExpiredStatement: Statement<boolean> = function* anyExpired(transaction, tables) {
  return [...tables.nodes.values()].some(isExpired(transaction.now))
}

export const isExpired =
  (now: number) =>
  (node: NodeRow): boolean =>
    node.expiresAt < now

/** DELETE FROM nodes WHERE …: locks the rows, asks again (somebody may have renewed a lease meanwhile), then their lanes. */
export const deleteNodesStatement = (isMeant: (node: NodeRow, now: number) => boolean): Statement<string[]> =>
  function* deleteNodes(transaction, tables) {
    const meant: NodeRow[] = []
    for (const { id } of [...tables.nodes.values()].filter((node) => isMeant(node, transaction.now))) {
      yield { row: `node ${id}`, mode: 'exclusive' }
      const node = tables.nodes.get(id)
      if (node !== undefined && isMeant(node, transaction.now)) meant.push(node)
    }
    for (const { id, lanes } of meant) {
      for (let lane = 0; lane < lanes; lane++) yield { row: `lane ${id}/${lane}`, mode: 'exclusive' }
    }
    for (const { id, lanes } of meant) {
      transaction.change(remove((all) => all.nodes, id))
      for (let lane = 0; lane < lanes; lane++) transaction.change(remove((all) => all.lanes, `${id}/${lane}`))
    }
    return meant.map((node) => node.id)
  }

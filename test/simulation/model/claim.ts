import { type Claimed, type ClaimLimits, PRIORITY_MS } from '../../../src/repository/claim.ts'
import { put, type Statement, type Transaction } from './server.ts'
import type { StoredRow } from './tables.ts'

interface Candidate {
  readonly row: StoredRow
  readonly since: number
}

const turnOf = ({ row, since }: Candidate): number => since - row.priority * PRIORITY_MS

const byUrgency = (a: Candidate, b: Candidate): number => turnOf(a) - turnOf(b) || a.since - b.since

const sinceOf = ({ wakeAt, createdAt, updatedAt }: StoredRow, now: number): number =>
  wakeAt === null ? createdAt : wakeAt <= now ? wakeAt : updatedAt

/** src/repository/claim.ts: four sources, each FOR UPDATE SKIP LOCKED, then the most urgent of them. */
export const claimStatement = (node: string, { limit, room, formats }: ClaimLimits): Statement<Claimed[]> =>
  function* claim(transaction, tables) {
    yield { row: `node ${node}`, mode: 'key_share' }
    const alive = tables.nodes.get(node)
    if (alive === undefined || alive.expiresAt <= transaction.now) return []
    const known = [...tables.executions.values()].filter((row) => formats.includes(row.format))
    const unowned = known.filter((row) => row.owner === null)
    const due = unowned.flatMap((row) =>
      row.wakeAt !== null && row.wakeAt <= transaction.now ? [{ row, since: row.wakeAt }] : [],
    )
    const orphans = known
      .filter((row) => row.owner !== null && !tables.nodes.has(row.owner))
      .map((row) => ({ row, since: sinceOf(row, transaction.now) }))
    const addressedIds = [...tables.inbox.keys()]
      .toSorted((a, b) => a - b)
      .map((id) => tables.inbox.get(id)!.executionId)
    const addressed = [...new Set(addressedIds)]
      .flatMap((id) => unowned.find((row) => row.id === id) ?? [])
      .map((row) => ({ row, since: sinceOf(row, transaction.now) }))
    const byDue = due.toSorted(byUrgency)
    const most = Math.min(limit, room)
    const starts = lockSome(
      transaction,
      byDue.filter(({ row }) => row.status === 'pending'),
      most,
    )
    const wakes = lockSome(
      transaction,
      byDue.filter(({ row }) => row.status !== 'pending'),
      most,
    )
    const locked = [
      ...lockSome(transaction, orphans.toSorted(byUrgency), limit),
      ...[...starts, ...wakes].sort(byUrgency).slice(0, most),
      ...lockSome(transaction, addressed, limit),
    ]
    const picked = [...new Map(locked.map((one) => [one.row.id, one])).values()].sort(byUrgency).slice(0, limit)
    for (const { row } of picked) {
      transaction.change(put((all) => all.executions, row.id, { ...row, owner: node }))
    }
    return picked.map(({ row }) => ({ executionId: row.id, from: row.owner }))
  }

function lockSome(transaction: Transaction, candidates: readonly Candidate[], limit: number): Candidate[] {
  const locked: Candidate[] = []
  for (const candidate of candidates) {
    if (locked.length >= limit) break
    if (transaction.tryLock(`execution ${candidate.row.id}`, 'update')) locked.push(candidate)
  }
  return locked
}

import type { Json } from '../../../src/definition/json.ts'
import { isFinished } from '../../../src/engine/core/state.ts'
import type { Append } from '../../../src/repository/append.ts'
import type { ApprovalFilter, ApprovalSummary, ApprovalView } from '../../../src/repository/approvals.ts'
import { decodeCursor, page } from '../../../src/repository/cursor.ts'
import { databaseError } from './errors.ts'
import { put, type Transaction } from './server.ts'
import type { StoredApproval, Tables } from './tables.ts'

// src/repository/approvals.ts: the two parts of a flush, then the reads.

const textOf = (data: Json): string | null => (data === null ? null : JSON.stringify(data))

export function* changeApprovals(transaction: Transaction, { approvals }: Tables, appends: readonly Append[]) {
  for (const row of appends.flatMap(({ approvals }) => approvals?.opened ?? [])) {
    yield { row: `approval ${row.id}`, mode: 'exclusive' } as const
    if (approvals.has(row.id)) {
      const constraint = 'approvals_pkey'
      throw databaseError('23505', `duplicate key value violates unique constraint "${constraint}"`, constraint)
    }
    transaction.change(put((all) => all.approvals, row.id, { ...row, data: textOf(row.data) }))
  }
  for (const closing of appends.flatMap(({ approvals }) => approvals?.closed ?? [])) {
    yield { row: `approval ${closing.id}`, mode: 'update' } as const
    const before = approvals.get(closing.id)
    if (before?.status !== 'open') continue
    transaction.change(put((all) => all.approvals, closing.id, { ...before, ...closing, data: textOf(closing.data) }))
  }
}

function viewOf({ executions }: Tables, row: StoredApproval): ApprovalView[] {
  const execution = executions.get(row.executionId)
  if (execution === undefined) return []
  const status = row.status === 'open' && isFinished(execution.status) ? 'cancelled' : row.status
  const data = row.data === null ? null : (JSON.parse(row.data) as Json)
  return [{ ...row, status, data, workflowVersion: execution.workflowVersion }]
}

export function findApproval(tables: Tables, id: string): ApprovalView | null {
  const row = tables.approvals.get(id)
  return row === undefined ? null : (viewOf(tables, row)[0] ?? null)
}

export function listApprovals(tables: Tables, filter: ApprovalFilter, limit: number, cursor?: string) {
  const after = decodeCursor(cursor)
  const { namespace = 'default', status, assignee, group, workflowId, executionId } = filter
  const rows = [...tables.approvals.values()]
    .flatMap((row) => viewOf(tables, row))
    .filter(
      (row) =>
        row.namespace === namespace &&
        (status === undefined || row.status === status) &&
        (assignee === undefined || row.assignees.includes(assignee)) &&
        (group === undefined || row.groups.includes(group)) &&
        (workflowId === undefined || row.workflowId === workflowId) &&
        (executionId === undefined || row.executionId === executionId) &&
        (after === null || row.requestedAt < after.order || (row.requestedAt === after.order && row.id < after.id)),
    )
    .sort((a, b) => b.requestedAt - a.requestedAt || (a.id < b.id ? 1 : -1))
    .slice(0, limit + 1)
  return page(rows, limit, ({ requestedAt: order, id }) => ({ order, id }), toSummary)
}

const toSummary = ({ data: _, ...summary }: ApprovalView): ApprovalSummary => summary

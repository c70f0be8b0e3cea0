import type { ApprovalChanges, ApprovalRow } from '../repository/approvals.ts'
import type { ExecutionRow } from '../repository/execution-row.ts'
import type { ApprovalChange } from './core/approvals.ts'

const none: ApprovalChanges = { opened: [], closed: [] }

/** What one append tells the list of approvals, with one change more: what it opens it may close again. */
export function changedBy(
  before: ApprovalChanges | null,
  change: ApprovalChange,
  execution: Pick<ExecutionRow, 'id' | 'namespace' | 'workflowId'>,
): ApprovalChanges {
  const { opened, closed } = before ?? none
  if (change.type === 'opened') return { opened: [...opened, rowOf(change, execution)], closed }
  const { approvalId: id, status, at: closedAt, decision } = change
  const { data = null, by = null, comment = null, requestId = null } = decision ?? {}
  const closing = { id, status, closedAt, by, comment, data, requestId }
  if (!opened.some((row) => row.id === id)) return { opened, closed: [...closed, closing] }
  return { opened: opened.map((row) => (row.id === id ? { ...row, ...closing } : row)), closed }
}

const rowOf = (
  { path, at: requestedAt, request }: Extract<ApprovalChange, { type: 'opened' }>,
  { id: executionId, namespace, workflowId }: Pick<ExecutionRow, 'id' | 'namespace' | 'workflowId'>,
): ApprovalRow => ({
  ...{ id: request.approvalId, namespace, workflowId, executionId, path, status: 'open' },
  ...{ title: request.title, description: request.description ?? null },
  ...{ assignees: request.assignees, groups: request.groups },
  ...{ requestedAt, dueAt: request.dueAt },
  ...{ closedAt: null, by: null, comment: null, data: null, requestId: null },
})

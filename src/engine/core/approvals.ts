import type { ApprovalDecision, ApprovalRequest } from './event.ts'
import type { ExecutionState, StepState, StepStatus } from './state.ts'
import type { Turn } from './turn.ts'

/*
 * An approval, as the list shows it:
 *
 *   open ──▶ approved | rejected   (somebody has decided, or its deadline has)
 *     ├────▶ expired               (nobody has in time, and its step failed)
 *     ├────▶ cancelled             (its step, or the execution, ended without a decision)
 *     └────▶ superseded            (a rollback went back behind it: it is asked anew, under another id)
 */
export const approvalStatuses = ['open', 'approved', 'rejected', 'expired', 'cancelled', 'superseded'] as const
export type ApprovalStatus = (typeof approvalStatuses)[number]

/** What has become of an approval. */
export interface ApprovalClosing {
  readonly approvalId: string
  readonly status: Exclude<ApprovalStatus, 'open'>
  /** ms since 1970. */
  readonly at: number
  /** What was decided, if anything was. */
  readonly decision?: Pick<ApprovalDecision, 'data' | 'by' | 'comment' | 'requestId'>
}

/** What the list of approvals is told. */
export type ApprovalChange =
  | { readonly type: 'opened'; readonly path: string; readonly at: number; readonly request: ApprovalRequest }
  | ({ readonly type: 'closed' } & ApprovalClosing)

/** The approvals that are open: the path of the step that asks, by their ids. */
export const openApprovals = ({ approvals }: ExecutionState): Readonly<Record<string, string>> => approvals ?? {}

/**
 * A step's status for whoever asks: an approval waits for as long as it can be decided, though the steps of its deadline run. In
 * the state it is running then, as every step is in which others are under way.
 */
export const shownStatus = (state: ExecutionState, { status, approval, path }: StepState): StepStatus =>
  status === 'running' && approval !== undefined && openApprovals(state)[approval] === path ? 'waiting' : status

export function openApproval({ state, at, commands }: Turn, { path }: StepState, request: ApprovalRequest): void {
  state.approvals ??= {}
  state.approvals[request.approvalId] = path
  commands.push({ type: 'list_approval', change: { type: 'opened', path, at, request } })
}

/** The step's approval can be decided no longer; a no-op when it could not before. */
export function closeApproval(
  turn: Turn,
  { approval: approvalId }: StepState,
  status: ApprovalClosing['status'],
  said?: ApprovalClosing['decision'],
): void {
  if (approvalId === undefined || openApprovals(turn.state)[approvalId] === undefined) return
  delete turn.state.approvals![approvalId]
  const decision = said && { data: said.data, by: said.by, comment: said.comment, requestId: said.requestId }
  const change = {
    type: 'closed',
    approvalId,
    status,
    at: turn.at,
    ...(decision !== undefined && { decision }),
  } as const
  turn.commands.push({ type: 'list_approval', change })
}

/** Folds a rollback: what was open before it can be decided no longer. */
export function supersede(turn: Turn, approvalIds: readonly string[]): void {
  delete turn.state.approvals
  for (const approvalId of approvalIds)
    turn.commands.push({
      type: 'list_approval',
      change: { type: 'closed', approvalId, status: 'superseded', at: turn.at },
    })
}

import type { SlotNews } from '../repository/concurrency-slots.ts'
import type { InboxItem } from '../repository/inbox.ts'
import { type ChildEnd, childFact } from './child-end.ts'
import { undoneBy } from './core/aftermath.ts'
import { openApprovals } from './core/approvals.ts'
import { findCheckpoint } from './core/checkpoint.ts'
import { type ControlAction, refusalOf } from './core/control.ts'
import type { ApprovalDecision, Fact, Refusal } from './core/event.ts'
import { type Checkpoint, type ExecutionState, isFinished } from './core/state.ts'

/** A rollback that can be met: it needs the state at the checkpoint, which only the database has. */
export interface RollbackRequest {
  readonly type: 'rollback'
  readonly requestId: string
  readonly checkpoint: Checkpoint
  readonly resume: boolean
  readonly reason: string | undefined
}

/** What the payload of a control request holds. */
export interface ControlPayload {
  readonly reason?: string
  readonly checkpointIndex?: number
  readonly resume?: boolean
  readonly compensate?: boolean
  readonly seq?: number
  /** The execution has an executionKey, and had not ended when this was asked for. */
  readonly wasLive?: boolean
}

/** The fact that answers an item of the inbox in the present state. */
export function factOf(
  item: InboxItem,
  state: ExecutionState,
  now: number,
): { readonly type: 'fact'; readonly fact: Fact } | RollbackRequest {
  const requestId = item.requestId ?? item.id
  if (item.kind === 'signal') {
    const signal = { id: requestId, name: item.name ?? '', payload: item.payload, at: now }
    return { type: 'fact', fact: { type: 'signal.received', data: { signal, requestId } } }
  }
  if (item.kind === 'slot') return { type: 'fact', fact: slotFact(item.payload as unknown as SlotNews) }
  if (item.kind === 'child_ended') return { type: 'fact', fact: childFact(item.payload as unknown as ChildEnd, state) }
  if (item.kind === 'approval') return decided(item, state, requestId)
  const payload = (item.payload ?? {}) as ControlPayload
  const refusal = refusalOf(state, item.kind) ?? overtaken(item.kind, payload, state)
  if (refusal !== null) return refused(refusal, requestId)
  if (item.kind === 'rollback') return rollbackOf(payload, state, requestId)
  const { reason } = payload
  return {
    type: 'fact',
    fact: { type: eventOfAction[item.kind], data: { requestId, ...(reason !== undefined && { reason }) } },
  }
}

/**
 * It was asked for while the execution was live, which has ended since: another may have its executionKey by now, and this one must
 * not live again beside it. Who asks again is told so.
 */
function overtaken(
  kind: ControlAction,
  { wasLive }: ControlPayload,
  { executionId, status }: ExecutionState,
): Refusal | null {
  if (wasLive !== true || !isFinished(status) || (kind !== 'retry' && kind !== 'rollback')) return null
  const since = `${status}, which it was not when this was asked for`
  return { action: kind, code: 'EXECUTION_STATUS_CONFLICT', parameters: [executionId, since, kind] }
}

/** What the line has decided. */
function slotFact({ path, ticket, holders, limit, outcome }: SlotNews): Fact {
  const where = path === '' ? {} : { path }
  if (holders === undefined) return { type: 'slot.granted', ...where, data: { ticket } }
  return {
    type: 'slot.refused',
    ...where,
    data: { ticket, holders, ...(limit !== undefined && { limit }), outcome: outcome ?? 'fail' },
  }
}

/** The first decision counts; an execution that has ended, or is quarantined, takes none. */
function decided({ name, payload }: InboxItem, state: ExecutionState, requestId: string) {
  const approvalId = name ?? ''
  const path = isFinished(state.status) ? undefined : openApprovals(state)[approvalId]
  if (path === undefined)
    return refused({ action: 'decide', code: 'APPROVAL_CLOSED', parameters: [approvalId, 'closed', ''] }, requestId)
  const said = payload as unknown as Omit<ApprovalDecision, 'approvalId' | 'requestId'>
  return { type: 'fact', fact: { type: 'approval.decided', path, data: { approvalId, ...said, requestId } } } as const
}

const eventOfAction = {
  pause: 'execution.pause_requested',
  resume: 'execution.resumed',
  cancel: 'execution.cancelled',
  retry: 'execution.retried',
} as const satisfies Record<Exclude<ControlAction, 'rollback'>, Fact['type']>

/** What a rollback goes back to, or why it cannot be made as things stand. */
export function rollbackTarget(payload: ControlPayload, state: ExecutionState): Checkpoint | Refusal {
  const { executionId } = state
  const index = payload.checkpointIndex ?? -1
  const checkpoint = findCheckpoint(state, index)
  const refuse = (code: string, parameters: Refusal['parameters']) => ({ action: 'rollback', code, parameters })
  if (checkpoint === 'never_existed') return refuse('CHECKPOINT_NOT_FOUND', [executionId, index])
  if (checkpoint === 'no_longer_kept') return refuse('CHECKPOINT_GONE', [index, executionId, oldestIndex(state)])
  if (state.compensatedFrom !== undefined && checkpoint.seq >= state.compensatedFrom)
    return refuse('EXECUTION_COMPENSATED', [executionId, state.compensatedFrom])
  if (payload.seq !== undefined && (payload.seq < state.changedSeq || payload.seq > state.seq)) {
    return refuse('SEQ_CONFLICT', [executionId, state.seq, payload.seq])
  }
  const undoes = payload.compensate === true && undoneBy(state, checkpoint.seq).length > 0
  if (undoes && state.aftermath?.phase === 'compensating')
    return refuse('EXECUTION_STATUS_CONFLICT', [executionId, 'being compensated', 'rollback'])
  return checkpoint
}

function rollbackOf(payload: ControlPayload, state: ExecutionState, requestId: string) {
  const checkpoint = rollbackTarget(payload, state)
  if ('code' in checkpoint) return refused(checkpoint, requestId)
  const resume = payload.resume === true
  if (payload.compensate !== true || undoneBy(state, checkpoint.seq).length === 0)
    return { type: 'rollback', requestId, checkpoint, resume, reason: payload.reason } as const
  const { reason } = payload
  const data = {
    checkpointIndex: checkpoint.index,
    toSeq: checkpoint.seq,
    resume,
    requestId,
    ...(reason !== undefined && { reason }),
  }
  return { type: 'fact', fact: { type: 'execution.compensating', data } } as const
}

function oldestIndex({ checkpoints }: ExecutionState): number {
  return Math.min(checkpoints.recent[0]?.index ?? Infinity, checkpoints.root[0]?.index ?? Infinity)
}

function refused(refusal: Refusal, requestId: string): { readonly type: 'fact'; readonly fact: Fact } {
  return { type: 'fact', fact: { type: 'control.refused', data: { ...refusal, requestId } } }
}

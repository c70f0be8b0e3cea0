import type { ExecutionRow } from '../repository/execution-row.ts'
import type { Fact } from './core/event.ts'
import type { ExecutionState } from './core/state.ts'
import type { RollbackRequest } from './inbox-fact.ts'
import type { Services } from './services.ts'

/**
 * The state at the checkpoint, folded anew from the journal, and the fact that makes it the present one. All that was
 * recorded must be committed. Signals that came later and that no step has taken are kept.
 */
export async function rolledBackState(
  request: RollbackRequest,
  present: ExecutionState,
  row: ExecutionRow,
  services: Services,
): Promise<{ state: ExecutionState; fact: Fact }> {
  const { checkpoint, requestId, resume, reason } = request
  const { state } = await services.history.load(row.id, checkpoint.seq)
  const before = new Set(state.mailbox.map((signal) => signal.id))
  const kept = present.mailbox.filter((signal) => !before.has(signal.id))
  const data = {
    requestId,
    checkpointIndex: checkpoint.index,
    toSeq: checkpoint.seq,
    generation: present.generation + 1,
    kept,
    resume,
  }
  // The journal's numbers go on; `at` stays the checkpoint's, so that transition knows how long ago it was.
  state.seq = present.seq
  return { state, fact: { type: 'execution.rolled_back', data: { ...data, ...(reason !== undefined && { reason }) } } }
}

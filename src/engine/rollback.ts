import { CairnError } from '../errors.ts'
import type { ExecutionRow } from '../repository/execution-row.ts'
import { ending } from './core/aftermath.ts'
import { openApprovals } from './core/approvals.ts'
import { findCheckpoint, keptCheckpoints } from './core/checkpoint.ts'
import { regroup } from './core/children.ts'
import type { Fact } from './core/event.ts'
import { regroupSlots } from './core/slots.ts'
import { type Checkpoint, type ExecutionState, isFinished } from './core/state.ts'
import { isHeld } from './core/turn.ts'
import type { ExecutionWriter } from './execution-writer.ts'
import type { RollbackRequest } from './inbox-fact.ts'
import type { Services } from './services.ts'

/** After how long (ms) a checkpoint that could not be read is read again. */
const AGAIN_MS = 500

/** `later`: the database did not answer; the request stays in the inbox and is tried again. */
export type RollbackOutcome =
  | { readonly type: 'ready'; readonly state: ExecutionState; readonly fact: Fact; readonly bytes: number }
  | { readonly type: 'unreadable'; readonly error: Error }
  | { readonly type: 'later' }

/**
 * The state at the checkpoint, folded anew from the journal once all that was recorded is written, and the fact that makes
 * it the present one. Signals that came later and that no step has taken are kept.
 */
export async function rolledBack(
  request: RollbackRequest,
  writer: ExecutionWriter,
  present: () => ExecutionState,
  row: ExecutionRow,
  { history, log, clock }: Services,
): Promise<RollbackOutcome> {
  const { checkpoint, requestId, resume, reason } = request
  try {
    await writer.written()
    const { plan, state, bytes } = await history.load(row.id, checkpoint.seq)
    const { mailbox, generation, seq } = present()
    const children = regroup(present(), state)
    const approvals = Object.keys(openApprovals(present()))
    const slots = regroupSlots(present(), state)
    const before = new Set(state.mailbox.map((signal) => signal.id))
    const data = {
      requestId,
      checkpointIndex: checkpoint.index,
      toSeq: checkpoint.seq,
      generation: generation + 1,
      kept: mailbox.filter((signal) => !before.has(signal.id)),
      resume,
      ...(children !== null && { children }),
      ...(approvals.length > 0 && { approvals }),
      ...(slots !== null && { slots }),
      ...(reason !== undefined && { reason }),
      ...(plan.checkpoints.compact && { keptCheckpoints: keptUpTo(checkpoint, present()) }),
    }
    // The journal's numbers go on; `at` stays the checkpoint's, so that transition knows how long ago it was.
    state.seq = seq
    return { type: 'ready', state, bytes, fact: { type: 'execution.rolled_back', data } }
  } catch (thrown) {
    if (thrown instanceof CairnError && thrown.status !== 503) return { type: 'unreadable', error: thrown }
    log.warn(
      { executionId: row.id, err: thrown },
      'the checkpoint cannot be read just now; the rollback is tried again',
    )
    await new Promise<void>((resolve) => void clock.after(AGAIN_MS, resolve))
    return { type: 'later' }
  }
}

const keptUpTo = ({ index: last }: Checkpoint, state: ExecutionState): number[] =>
  keptCheckpoints(state).flatMap(({ index }) => (index <= last ? [index] : []))

/** The rollback whose compensations are made, or null: while the execution is held it waits, `resume` asks again. */
export function rollbackDue(state: ExecutionState): RollbackRequest | null {
  const end = isFinished(state.status) || isHeld(state) ? null : ending(state)
  if (end?.type !== 'roll_back') return null
  const { checkpointIndex, requestId, resume, reason } = end.rollback
  const checkpoint = findCheckpoint(state, checkpointIndex)
  if (typeof checkpoint === 'string') throw new Error(`checkpoint ${checkpointIndex} ${checkpoint}`)
  return { type: 'rollback', requestId: requestId!, checkpoint, resume, reason }
}

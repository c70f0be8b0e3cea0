import { type ExecutionState, isFinished } from './core/state.ts'

/**
 * When the database should wake an execution that has nothing under way: a due time, null when only the inbox can wake it;
 * undefined when it is not worth parking, since something is due before `worthFrom` or it is on its way out anyway.
 */
export function parkingTime(
  state: ExecutionState,
  earliest: number | null,
  worthFrom: number,
): number | null | undefined {
  if (state.status !== 'running' || isFinished(state.status)) return undefined
  return earliest !== null && earliest <= worthFrom ? undefined : earliest
}

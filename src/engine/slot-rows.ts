import { PRIORITY_MS } from '../repository/claim.ts'
import type { SlotAsk, SlotKey, SlotRelease } from '../repository/concurrency-slots.ts'
import type { ExecutionRow } from '../repository/execution-row.ts'
import type { Clock } from './clock.ts'
import type { Command } from './core/command.ts'
import { slotsOf } from './core/slots.ts'
import type { ExecutionState } from './core/state.ts'

/** A place in line, in the append that asks for it. */
export const slotAsk = (
  { id: executionId, namespace, priority }: ExecutionRow,
  { path, ticket, scope, key, limit, onLimit }: Omit<Extract<Command, { type: 'ask_slot' }>, 'type'>,
  at: number,
): SlotAsk => {
  const turn = at - priority * PRIORITY_MS
  return { executionId, path, ticket, namespace, scope, key, limit, onLimit, turn, at }
}

export const slotRelease = (
  { id: executionId, namespace }: ExecutionRow,
  { path, ticket, scope, key }: Omit<Extract<Command, { type: 'release_slot' }>, 'type'>,
  at: number,
): SlotRelease => ({ executionId, path, ticket, namespace, scope, key, at })

/** Everything that an execution holds and waits for, known or not. */
export function slotsToFree(row: ExecutionRow, state: ExecutionState, clock: Pick<Clock, 'now'>): SlotRelease[] {
  const at = clock.now()
  return [allSlots(row, at), ...slotsOf(state).map((name) => slotRelease(row, name, at))]
}

export const allSlots = ({ id: executionId, namespace }: Pick<ExecutionRow, 'id' | 'namespace'>, at: number) =>
  ({ executionId, path: '', ticket: null, namespace, scope: '', key: '', at }) as const

/** The lines that an execution stands in. */
export const linesOf = ({ namespace }: ExecutionRow, state: ExecutionState): SlotKey[] =>
  slotsOf(state).map(({ scope, key }) => ({ namespace, scope, key }))

import type { Plan } from '../definition/plan.ts'
import type { Append } from '../repository/append.ts'
import type { SlotAsk } from '../repository/concurrency-slots.ts'
import type { ExecutionRow } from '../repository/execution-row.ts'
import type { Clock } from './clock.ts'
import { createState } from './core/state.ts'
import { encode } from './encode.ts'
import { queuedFact } from './queueing.ts'
import { scheduled } from './scheduled.ts'
import { slotAsk } from './slot-rows.ts'

/** A start that is stored only if its slot is free: events say that it was asked for and granted. */
export interface SlotAtStart {
  readonly append: Append & { readonly insert: ExecutionRow }
  readonly ask: SlotAsk
}

/**
 * What the start of an execution needs that would not wait for its slot (`onLimit: reject`). Null for all others: they stand in
 * line, those of a later time ask when they are due, and a key that cannot be evaluated fails the execution.
 */
export function slotAtStart(plan: Plan, row: ExecutionRow, clock: Pick<Clock, 'now'>): SlotAtStart | null {
  if (plan.slot?.onLimit !== 'reject' || row.wakeAt !== null) return null
  const { id: executionId, format, input } = row
  const state = createState({ executionId, format, input, variables: plan.variables })
  state.at = clock.now()
  const fact = queuedFact(plan, state, row, '')
  if (fact?.type !== 'execution.queued') return null
  const start = scheduled(row, clock)
  const { at } = start.events[0]!
  const ticket = 2
  const queued = encode(executionId, { seq: ticket, at, ...fact }, 0)
  const granted = encode(executionId, { seq: 3, at, type: 'slot.granted', data: { ticket } }, 0)
  const events = [...start.events, queued, granted]
  const bytes = start.bytes + queued.text.length + granted.text.length
  const insert = { ...start.insert, lastSeq: granted.seq }
  return { append: { ...start, events, insert, bytes }, ask: slotAsk(row, { path: '', ticket, ...fact.data }, at) }
}

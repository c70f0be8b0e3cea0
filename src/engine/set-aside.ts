import type { CairnError } from '../errors.ts'
import type { ExecutionRow } from '../repository/execution-row.ts'
import { endForParent } from './child-end.ts'
import type { Event, ExecutionError } from './core/event.ts'
import { type ExecutionState, isFinished } from './core/state.ts'
import type { AppendedEvent } from './draft.ts'
import { encode } from './encode.ts'
import { errorFact } from './error-fact.ts'
import type { Services } from './services.ts'
import { allSlots } from './slot-rows.ts'

/** Puts a state out of service; its event, which is never folded. */
export function quarantined(state: ExecutionState, error: ExecutionError, at: number): AppendedEvent {
  const event: Event = { seq: state.seq + 1, at, type: 'execution.quarantined', data: { error } }
  Object.assign(state, { seq: event.seq, status: 'failed', error, requested: null, completedAt: at })
  return encode(state.executionId, event, state.percentage)
}

/**
 * Quarantines an execution whose state cannot be read: its version is gone, or its journal does not fold. What waits in its
 * inbox is consumed, or it would be claimed again and again. The journal is kept; `retry` reads it anew.
 */
export async function setAside(row: ExecutionRow, cause: CairnError, services: Services): Promise<void> {
  const { store, journal, clock, log } = services
  const error = errorFact('InternalError', `its state cannot be read: ${cause.message}`)
  log.error({ executionId: row.id, errorId: error.errorId, err: cause }, 'execution quarantined')
  const [view, items] = await Promise.all([store.findExecutionView(row.id), store.inboxOf([row.id])])
  const at = clock.now()
  const seq = (view?.lastSeq ?? row.lastSeq) + 1
  const [last] = await store.eventsAfter(row.id, seq - 2, 1)
  const requestId = items[0]?.requestId
  const data = { error, ...(requestId !== undefined && { requestId }) }
  const event = encode(row.id, { seq, at, type: 'execution.quarantined', data }, view?.percentage ?? 0)
  const isOver = isFinished(row.status)
  const changed = isOver ? {} : ({ status: 'failed', error, completedAt: at } as const)
  const image = { ...row, requested: null, owner: null, wakeAt: null, ...changed }
  const status = isOver ? undefined : ({ from: row.status, to: 'failed', durationMs: null } as const)
  const told = isOver ? null : endForParent(row, { ...row, status: 'failed', error }, clock)
  await new Promise<void>((resolve, reject) => {
    journal.append(
      {
        executionId: row.id,
        events: [event],
        ...(last !== undefined && { basis: { seq: last.seq, at: last.at } }),
        row: { ...image, lastSeq: seq, updatedAt: at },
        inboxKeys: items.map(({ id, requestId }) => ({ id, requestId })),
        ...(told !== null && { sends: [told] }),
        // Nobody knows which it has: whoever looks for unsettled keys finds them.
        ...{ asks: [], releases: [allSlots(row, at)] },
        bytes: event.text.length,
        statistics: status ? [{ workflowId: row.workflowId, version: row.workflowVersion, status }] : [],
      },
      { committed: () => resolve(), rejected: (_, failure) => reject(failure), abandoned: reject },
    )
  })
}

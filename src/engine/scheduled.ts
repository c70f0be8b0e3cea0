import type { Append } from '../repository/append.ts'
import type { ExecutionRow } from '../repository/execution-row.ts'
import { alreadyDue, type Clock } from './clock.ts'
import type { Parent } from './core/event.ts'
import { encode } from './encode.ts'

/** A start that waits for a node to claim it: the row and its first event. `parent` started it as a sub-workflow. */
export function scheduled(
  row: ExecutionRow,
  clock: Pick<Clock, 'now'>,
  parent?: Parent,
): Append & { readonly insert: ExecutionRow } {
  const at = clock.now()
  const data = { startAt: row.wakeAt ?? at, ...(parent !== undefined && { parent }) }
  const event = encode(row.id, { seq: 1, at, type: 'execution.scheduled', data }, 0)
  return {
    executionId: row.id,
    events: [event],
    insert: { ...row, wakeAt: row.wakeAt ?? alreadyDue(clock), lastSeq: 1 },
    inboxKeys: [],
    bytes: event.text.length,
    statistics: [{ workflowId: row.workflowId, version: row.workflowVersion, status: { from: null, to: 'pending' } }],
  }
}

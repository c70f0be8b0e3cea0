import type { Append } from '../repository/append.ts'
import type { ExecutionRow } from '../repository/execution-row.ts'
import type { ExecutionError, JournalEvent } from './core/event.ts'
import type { Log } from './log.ts'

/** What an operator reads of executions: their ends as info, every other committed event as debug, with the ids to find it by. */
export function logCommitted(log: Log, row: ExecutionRow, { events }: Append): void {
  const isDebug = log.isLevelEnabled?.('debug') ?? true
  for (const event of events) {
    if (ends.has(event.type)) log.info(factsOf(row, event), event.type.replace('.', ' '))
    else if (isDebug) log.debug(factsOf(row, event), event.type.replace('.', ' '))
  }
}

const ends: ReadonlySet<string> = new Set(['execution.completed', 'execution.failed', 'execution.cancelled'])

function factsOf(row: ExecutionRow, { seq, path, attempt, data }: JournalEvent): object {
  const { error } = data as { error?: ExecutionError }
  return {
    executionId: row.id,
    workflowId: row.workflowId,
    seq,
    ...(path !== null && { path }),
    ...(attempt !== null && { attempt }),
    ...(row.correlationId !== null && { correlationId: row.correlationId }),
    ...(row.traceparent !== null && { traceId: row.traceparent.split('-')[1] }),
    ...(error !== undefined && { errorId: error.errorId, errorType: error.type }),
  }
}

import type { ExecutionRow } from '../repository/execution-row.ts'
import type { Clock } from './clock.ts'

/** What whoever starts an execution says of it. */
type Given = Pick<
  ExecutionRow,
  | 'namespace'
  | 'workflowId'
  | 'workflowVersion'
  | 'format'
  | 'triggeredBy'
  | 'correlationId'
  | 'traceparent'
  | 'priority'
  | 'input'
> &
  Partial<Pick<ExecutionRow, 'executionKey' | 'tags' | 'wakeAt' | 'parentExecutionId'>>

/** The row of an execution that has not begun: a new id, made now, everything else as given or not there yet. */
export function pendingRow(clock: Pick<Clock, 'now' | 'newId'>, given: Given): ExecutionRow {
  const now = clock.now()
  return {
    id: clock.newId(),
    status: 'pending',
    requested: null,
    executionKey: null,
    tags: [],
    output: null,
    error: null,
    owner: null,
    wakeAt: null,
    parentExecutionId: null,
    lastSeq: 0,
    createdAt: now,
    startedAt: null,
    completedAt: null,
    updatedAt: now,
    ...given,
  }
}

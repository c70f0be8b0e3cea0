import type { Json } from '../definition/json.ts'
import type { ExecutionError } from '../engine/core/event.ts'
import type { ExecutionStatus } from '../engine/core/state.ts'
import { type ArrayColumn, textArray } from './array-columns.ts'
import type { WorkflowExecutionsTable } from './tables.ts'

/** An execution as its row has it. All times are ms since 1970. The row changes with the status only: see ExecutionView. */
export interface ExecutionRow {
  readonly id: string
  readonly namespace: string
  readonly workflowId: string
  readonly workflowVersion: number
  readonly format: number
  readonly status: ExecutionStatus
  readonly requested: 'pause' | 'cancel' | null
  readonly triggeredBy: string | null
  readonly correlationId: string | null
  readonly traceparent: string | null
  /** The business key that it was started under; see execution-keys.ts. */
  readonly executionKey: string | null
  readonly tags: readonly string[]
  /** Higher goes first. */
  readonly priority: number
  readonly input: Json
  readonly output: Json
  readonly error: ExecutionError | null
  /** The node that runs it. */
  readonly owner: string | null
  /** When somebody must claim it; null: only its inbox wakes it. */
  readonly wakeAt: number | null
  readonly parentExecutionId: string | null
  /** The journal's last seq when the row was written. */
  readonly lastSeq: number
  readonly createdAt: number
  readonly startedAt: number | null
  readonly completedAt: number | null
  readonly updatedAt: number
}

/** What changes in the life of an execution: the whole of it is written whenever any of it has changed. */
export type ExecutionImage = Pick<
  ExecutionRow,
  | 'status'
  | 'requested'
  | 'output'
  | 'error'
  | 'owner'
  | 'wakeAt'
  | 'startedAt'
  | 'completedAt'
  | 'lastSeq'
  | 'updatedAt'
>

const jsonOrNull = (value: unknown): string | null => (value == null ? null : JSON.stringify(value))

/** How an image becomes columns. */
export const imageColumns: readonly ArrayColumn<ExecutionImage>[] = [
  { name: 'status', type: 'word', of: (row) => row.status },
  { name: 'requested', type: 'word', of: (row) => row.requested },
  { name: 'output', type: 'json', of: (row) => jsonOrNull(row.output) },
  { name: 'error', type: 'json', of: (row) => jsonOrNull(row.error) },
  { name: 'owner', type: 'uuid', of: (row) => row.owner },
  { name: 'wake_at', type: 'bigint', of: (row) => row.wakeAt },
  { name: 'started_at', type: 'bigint', of: (row) => row.startedAt },
  { name: 'completed_at', type: 'bigint', of: (row) => row.completedAt },
  { name: 'last_seq', type: 'bigint', of: (row) => row.lastSeq },
  { name: 'updated_at', type: 'bigint', of: (row) => row.updatedAt },
]

/** How a new execution becomes a row; one with an executionKey has a statement of its own. */
export const executionColumns: readonly ArrayColumn<ExecutionRow>[] = [
  { name: 'id', type: 'uuid', of: (row) => row.id },
  { name: 'namespace', type: 'text', of: (row) => row.namespace },
  { name: 'workflow_id', type: 'uuid', of: (row) => row.workflowId },
  { name: 'workflow_version', type: 'integer', of: (row) => row.workflowVersion },
  { name: 'format', type: 'integer', of: (row) => row.format },
  { name: 'priority', type: 'integer', of: (row) => row.priority },
  { name: 'created_at', type: 'bigint', of: (row) => row.createdAt },
  { name: 'parent_execution_id', type: 'uuid', of: (row) => row.parentExecutionId },
  { name: 'triggered_by', type: 'text', of: (row) => row.triggeredBy },
  { name: 'correlation_id', type: 'text', of: (row) => row.correlationId },
  { name: 'traceparent', type: 'text', of: (row) => row.traceparent },
  { name: 'tags', type: 'text[]', of: (row) => textArray(row.tags) },
  { name: 'input', type: 'json', of: (row) => JSON.stringify(row.input ?? null) },
  ...imageColumns,
]

/** The row as pg gives it: json parsed, bigint as number. */
export type StoredExecution = Omit<WorkflowExecutionsTable, 'input' | 'output' | 'error'> & {
  input: unknown
  output: unknown
  error: unknown
}

export const toExecution = (row: StoredExecution): ExecutionRow => ({
  id: row.id,
  namespace: row.namespace,
  workflowId: row.workflow_id,
  workflowVersion: row.workflow_version,
  format: row.format,
  status: row.status as ExecutionStatus,
  requested: row.requested,
  triggeredBy: row.triggered_by,
  correlationId: row.correlation_id,
  traceparent: row.traceparent,
  executionKey: row.execution_key,
  tags: row.tags,
  priority: row.priority,
  input: row.input as Json,
  output: row.output as Json,
  error: row.error as ExecutionError | null,
  owner: row.owner,
  wakeAt: row.wake_at,
  parentExecutionId: row.parent_execution_id,
  lastSeq: row.last_seq,
  createdAt: row.created_at,
  startedAt: row.started_at,
  completedAt: row.completed_at,
  updatedAt: row.updated_at,
})

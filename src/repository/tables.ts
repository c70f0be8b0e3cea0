import type { ColumnType, Generated } from 'kysely'

/** A json column: text goes in, a parsed value comes out. */
type JsonColumn<Read = unknown> = ColumnType<Read, string, string>
type NullableJsonColumn<Read = unknown> = ColumnType<Read | null, string | null, string | null>

export interface WorkflowsTable {
  id: string
  namespace: string
  name: string
  description: string | null
  active_version: number
  newest_version: number
  status: 'active' | 'archived'
  tags: string[]
  created_at: number
  updated_at: number
}

export interface WorkflowVersionsTable {
  workflow_id: string
  version: number
  definition: JsonColumn
  deprecated_at: number | null
  created_at: number
}

export interface WorkflowExecutionsTable {
  id: string
  namespace: string
  workflow_id: string
  workflow_version: number
  format: number
  priority: number
  status: string
  requested: 'pause' | 'cancel' | null
  owner: string | null
  wake_at: number | null
  last_seq: number
  created_at: number
  started_at: number | null
  completed_at: number | null
  updated_at: number
  parent_execution_id: string | null
  triggered_by: string | null
  correlation_id: string | null
  traceparent: string | null
  execution_key: string | null
  tags: string[]
  input: JsonColumn
  output: NullableJsonColumn
  error: NullableJsonColumn
}

export interface ExecutionEventsTable {
  execution_id: string
  seq: number
  at: number
  attempt: number | null
  percentage: number
  type: string
  path: string | null
  data: JsonColumn
}

export interface ExecutionSnapshotsTable {
  execution_id: string
  seq: number
  created_at: number
  state: JsonColumn
}

export interface ExecutionInboxTable {
  id: Generated<number>
  execution_id: string
  request_id: string
  created_at: number
  kind: string
  name: string | null
  payload: NullableJsonColumn
}

export interface IdempotencyKeysTable {
  namespace: string
  route: string
  key: string
  request_hash: string
  resource_id: string
  request_id: string | null
  created_at: number
}

export interface ExecutionStatisticsTable {
  id: Generated<number>
  workflow_id: string
  version: number
  hour: Generated<number>
  folded: Generated<boolean>
  counts: JsonColumn
}

export interface FreshStatisticsTable {
  workflow_id: string
  version: number
  hour: Generated<number>
  /** JSON. */
  counts: string
}

export interface ExecutionTagsTable {
  tag: string
  execution_id: string
}

export interface NodesTable {
  id: string
  host: string
  started_at: Generated<Date>
  expires_at: Date
  settled_at: Generated<Date>
}

export interface NodeLanesTable {
  node_id: string
  lane: number
  mark: Generated<number>
}

export interface ExecutionKeysTable {
  workflow_id: string
  key: string
  execution_id: string
}

export interface ApprovalsTable {
  id: string
  namespace: string
  workflow_id: string
  execution_id: string
  path: string
  status: string
  title: string
  description: string | null
  assignees: string[]
  groups: string[]
  requested_at: number
  due_at: number | null
  closed_at: number | null
  decided_by: string | null
  comment: string | null
  request_id: string | null
  data: NullableJsonColumn
}

export interface RetiredExecutionsTable {
  execution_id: string
  retired_at: Generated<Date>
}

/** The schema that migrations/ lead to, as Kysely sees it. */
export interface Tables {
  workflows: WorkflowsTable
  workflow_versions: WorkflowVersionsTable
  workflow_executions: WorkflowExecutionsTable
  execution_events: ExecutionEventsTable
  execution_snapshots: ExecutionSnapshotsTable
  execution_inbox: ExecutionInboxTable
  idempotency_keys: IdempotencyKeysTable
  execution_statistics: ExecutionStatisticsTable
  fresh_statistics: FreshStatisticsTable
  nodes: NodesTable
  node_lanes: NodeLanesTable
  retired_executions: RetiredExecutionsTable
  execution_keys: ExecutionKeysTable
  execution_tags: ExecutionTagsTable
  approvals: ApprovalsTable
}

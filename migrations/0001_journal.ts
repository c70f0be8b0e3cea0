import { type Kysely, sql } from 'kysely'

/**
 * The first schema. Three rules hold in every table:
 * - Payloads are `json`, never `jsonb`: jsonb reorders keys, so a recovered execution would see other data than the one that
 *   died, and it refuses \u0000.
 * - Times that executions live by are bigint milliseconds since 1970, as the core computes with them: 8 bytes like a
 *   timestamptz, but no conversion, no time zone and no rounding on the way. Leases alone are timestamptz: they are the
 *   database's own clock and never leave it.
 * - No foreign keys on executions, events and inbox: they would lock and look up a parent for every journal row.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of [...workflows, ...executions, ...journal, ...inbox, ...keys, ...statistics, ...nodes]) {
    await sql.raw(statement).execute(db)
  }
}

const workflows = [
  `CREATE TABLE workflows (
    id uuid PRIMARY KEY,
    namespace text NOT NULL DEFAULT 'default',
    name text NOT NULL,
    description text,
    active_version integer NOT NULL,
    newest_version integer NOT NULL,
    status text NOT NULL CHECK (status IN ('active', 'archived')),
    tags text[] NOT NULL DEFAULT '{}',
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
  )`,
  // WORKFLOW_NAME_TAKEN; an archived workflow gives its name back. Also serves the list's name filter.
  `CREATE UNIQUE INDEX workflows_name ON workflows (namespace, name) WHERE status = 'active'`,
  // The list, newest first.
  'CREATE INDEX workflows_newest ON workflows (namespace, created_at, id)',
  `CREATE TABLE workflow_versions (
    workflow_id uuid NOT NULL REFERENCES workflows,
    version integer NOT NULL,
    definition json NOT NULL,
    deprecated_at bigint,
    created_at bigint NOT NULL,
    PRIMARY KEY (workflow_id, version)
  )`,
]

const executions = [
  // An execution that nobody owns must have something that wakes it, unless it is paused, finished or waits for its inbox.
  `CREATE TABLE workflow_executions (
    id uuid PRIMARY KEY,
    namespace text NOT NULL DEFAULT 'default',
    workflow_id uuid NOT NULL,
    workflow_version integer NOT NULL,
    format integer NOT NULL,
    priority integer NOT NULL DEFAULT 0,
    status text NOT NULL
      CHECK (status IN ('pending', 'running', 'waiting', 'paused', 'completed', 'failed', 'cancelled')),
    requested text CHECK (requested IN ('pause', 'cancel')),
    owner uuid,
    wake_at bigint,
    last_seq bigint NOT NULL,
    created_at bigint NOT NULL,
    started_at bigint,
    completed_at bigint,
    updated_at bigint NOT NULL,
    parent_execution_id uuid,
    triggered_by text,
    correlation_id text,
    traceparent text,
    tags text[] NOT NULL DEFAULT '{}',
    input json NOT NULL,
    output json,
    error json,
    CONSTRAINT workflow_executions_wakes
      CHECK (owner IS NOT NULL OR wake_at IS NOT NULL OR status NOT IN ('pending', 'running'))
  ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02)`,
  // Claims: due starts, by priority and then age. Holds only starts that wait for a node.
  `CREATE INDEX workflow_executions_starts ON workflow_executions (priority DESC, wake_at)
    WHERE owner IS NULL AND wake_at IS NOT NULL AND status = 'pending'`,
  // Claims: everything else that is due. Holds only parked and released executions.
  `CREATE INDEX workflow_executions_wakes ON workflow_executions (priority DESC, wake_at)
    WHERE owner IS NULL AND wake_at IS NOT NULL AND status <> 'pending'`,
  // Takeover (owners that are gone), loadOwned, and the owner's inbox. Holds only executions in some node's memory.
  'CREATE INDEX workflow_executions_owner ON workflow_executions (owner) WHERE owner IS NOT NULL',
  // The list, newest first, with its createdAfter and createdBefore.
  'CREATE INDEX workflow_executions_newest ON workflow_executions (created_at, id)',
  // The list of one workflow.
  'CREATE INDEX workflow_executions_workflow ON workflow_executions (workflow_id, created_at, id)',
  // What changed in a workflow since the last poll, for its subscribers.
  'CREATE INDEX workflow_executions_changed ON workflow_executions (workflow_id, updated_at)',
  // The list by status. Most executions end as completed: those the list finds at once by walking workflow_executions_newest.
  `CREATE INDEX workflow_executions_status ON workflow_executions (status, created_at, id) WHERE status <> 'completed'`,
  // The list filters triggeredBy, correlationId and tag; rows without them cost nothing.
  `CREATE INDEX workflow_executions_triggered_by ON workflow_executions (triggered_by, created_at, id)
    WHERE triggered_by IS NOT NULL`,
  `CREATE INDEX workflow_executions_correlation ON workflow_executions (correlation_id)
    WHERE correlation_id IS NOT NULL`,
  `CREATE INDEX workflow_executions_tags ON workflow_executions USING gin (tags) WHERE tags <> '{}'`,
]

const journal = [
  // The primary key is the proof that nobody else wrote an execution's history. Fixed-width columns first: no padding.
  `CREATE TABLE execution_events (
    execution_id uuid NOT NULL,
    seq bigint NOT NULL,
    at bigint NOT NULL,
    attempt integer,
    percentage smallint NOT NULL,
    type text NOT NULL,
    path text,
    data json NOT NULL,
    PRIMARY KEY (execution_id, seq)
  ) WITH (autovacuum_analyze_scale_factor = 0.02)`,
  // Which parts of a history count: read before every fold, and nearly always empty.
  `CREATE INDEX execution_events_rollbacks ON execution_events (execution_id, seq)
    WHERE type = 'execution.rolled_back'`,
  `CREATE TABLE execution_snapshots (
    execution_id uuid NOT NULL,
    seq bigint NOT NULL,
    created_at bigint NOT NULL,
    state json NOT NULL,
    PRIMARY KEY (execution_id, seq)
  )`,
]

const inbox = [
  // Ordered by identity, not by UUID: two nodes' clocks would reorder what they send. Rows live for milliseconds.
  `CREATE TABLE execution_inbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    execution_id uuid NOT NULL,
    request_id uuid NOT NULL,
    created_at bigint NOT NULL,
    kind text NOT NULL,
    name text,
    payload json
  ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)`,
  // An execution's rows in their order, and the count of its untaken signals.
  'CREATE INDEX execution_inbox_execution ON execution_inbox (execution_id, id)',
]

const keys = [
  `CREATE TABLE idempotency_keys (
    namespace text NOT NULL DEFAULT 'default',
    route text NOT NULL,
    key text NOT NULL,
    request_hash text NOT NULL,
    resource_id uuid NOT NULL,
    request_id uuid,
    created_at bigint NOT NULL,
    PRIMARY KEY (namespace, route, key)
  )`,
]

const statistics = [
  // Append-only: one row per (flush, workflow, version), folded into one per (hour, workflow, version). A counter row per
  // workflow would make every flush wait for every other.
  `CREATE TABLE execution_statistics (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workflow_id uuid NOT NULL,
    version integer NOT NULL,
    hour bigint NOT NULL DEFAULT floor(extract(epoch FROM now()) / 3600)::bigint * 3600000,
    folded boolean NOT NULL DEFAULT false,
    counts json NOT NULL
  ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000)`,
  // What fold has still to do.
  'CREATE INDEX execution_statistics_unfolded ON execution_statistics (id) WHERE NOT folded',
  // One workflow's rows, and the bucket that a fold adds to.
  'CREATE INDEX execution_statistics_bucket ON execution_statistics (workflow_id, version, hour)',
]

const nodes = [
  `CREATE TABLE nodes (
    id uuid PRIMARY KEY,
    host text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL
  ) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 100)`,
  // A flush locks its lane's row FOR KEY SHARE and never changes it; deleting the node waits for that lock.
  `CREATE TABLE node_lanes (
    node_id uuid NOT NULL REFERENCES nodes ON DELETE CASCADE,
    lane integer NOT NULL,
    PRIMARY KEY (node_id, lane)
  )`,
]

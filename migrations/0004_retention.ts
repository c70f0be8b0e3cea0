import { type Kysely, sql } from 'kysely'

/** Retention, compaction, and what makes them safe for the fences of the lanes: see docs/adr/0017. Only adds. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
}

const statements = [
  // What an idle lane's fence rests on instead of an event that retention might take away. Nodes of earlier releases leave it 0.
  'ALTER TABLE node_lanes ADD COLUMN mark bigint NOT NULL DEFAULT 0',
  // Nothing that this node still leans on in the journal is older. A node of an earlier release never moves it on: nothing
  // newer than its start is removed until it is gone.
  'ALTER TABLE nodes ADD COLUMN settled_at timestamptz NOT NULL DEFAULT clock_timestamp()',
  // Finished executions of one workflow, the longest untouched first: what retention takes. Without it each look for them would
  // pass by all that sleep.
  `CREATE INDEX workflow_executions_finished ON workflow_executions (workflow_id, updated_at)
    WHERE status IN ('completed', 'failed', 'cancelled')`,
  // Keys go with their execution; only keyed requests pay for it.
  'CREATE INDEX idempotency_keys_resource ON idempotency_keys (resource_id)',
  // Executions whose row is gone and whose journal still goes, in batches: what remains to be done after a crash.
  `CREATE TABLE retired_executions (
    execution_id uuid PRIMARY KEY,
    retired_at timestamptz NOT NULL DEFAULT clock_timestamp()
  ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)`,
]

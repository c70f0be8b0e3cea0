import { type Kysely, sql } from 'kysely'

/** Business keys of executions: see docs/adr/0022. Only adds. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
}

const statements = [
  // Shown and filtered by. Null for executions without one, whose statements do not name the column.
  'ALTER TABLE workflow_executions ADD COLUMN execution_key text',
  `CREATE INDEX workflow_executions_key ON workflow_executions (execution_key, created_at, id)
    WHERE execution_key IS NOT NULL`,
  // Which execution holds a key: the last one started under it. The row decides between starts at the same time. A unique
  // index over live executions would not do: a retry makes a failed one live again, in a flush that must not be refused.
  `CREATE TABLE execution_keys (
    workflow_id uuid NOT NULL,
    key text NOT NULL,
    execution_id uuid NOT NULL,
    PRIMARY KEY (workflow_id, key)
  )`,
  // Keys go with their execution.
  'CREATE INDEX execution_keys_execution ON execution_keys (execution_id)',
]

import { type Kysely, sql } from 'kysely'

/** The list of an execution's sub-workflows: see docs/adr/0024. Only adds; rows without a parent cost nothing. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql
    .raw(`CREATE INDEX workflow_executions_parent ON workflow_executions (parent_execution_id, created_at, id)
    WHERE parent_execution_id IS NOT NULL`)
    .execute(db)
}

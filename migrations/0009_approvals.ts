import { type Kysely, sql } from 'kysely'

/** What people are asked to decide: see docs/adr/0030. Only adds; executions without approvals write nothing here. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
}

const statements = [
  // Times are ms since 1970, as in the journal, whose projection this is.
  `CREATE TABLE approvals (
    id uuid PRIMARY KEY,
    namespace text NOT NULL DEFAULT 'default',
    workflow_id uuid NOT NULL,
    execution_id uuid NOT NULL,
    path text NOT NULL,
    status text NOT NULL
      CHECK (status IN ('open', 'approved', 'rejected', 'expired', 'cancelled', 'superseded')),
    title text NOT NULL,
    description text,
    assignees text[] NOT NULL DEFAULT '{}',
    groups text[] NOT NULL DEFAULT '{}',
    requested_at bigint NOT NULL,
    due_at bigint,
    closed_at bigint,
    decided_by text,
    comment text,
    request_id uuid,
    data json
  ) WITH (fillfactor = 70)`,
  // The list, newest first.
  'CREATE INDEX approvals_newest ON approvals (requested_at, id)',
  // The list of what is to be decided; most approvals are over.
  `CREATE INDEX approvals_open ON approvals (requested_at, id) WHERE status = 'open'`,
  // What is to be decided by whom.
  `CREATE INDEX approvals_assignees ON approvals USING gin (assignees) WHERE status = 'open' AND assignees <> '{}'`,
  `CREATE INDEX approvals_groups ON approvals USING gin (groups) WHERE status = 'open' AND groups <> '{}'`,
  // An execution's, also when it is removed.
  'CREATE INDEX approvals_execution ON approvals (execution_id)',
]

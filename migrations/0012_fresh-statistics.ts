import { type Kysely, sql } from 'kysely'

/** Counts that are not folded yet get a table of their own: see docs/adr/0042. Only adds. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
}

const statements = [
  // One row per (flush, workflow, version), for the seconds until it is folded into execution_statistics. No key and no index: a
  // flush pays for each, and whoever reads this reads all of it. Nodes of earlier releases write unfolded rows there still. JSON as
  // text: of a table that has no key logical replication compares whole rows, and json has no equality.
  `CREATE TABLE fresh_statistics (
    workflow_id uuid NOT NULL,
    version integer NOT NULL,
    hour bigint NOT NULL DEFAULT floor(extract(epoch FROM now()) / 3600)::bigint * 3600000,
    counts text NOT NULL
  ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000)`,
  // Without one, DELETE is refused in a database that is published (CREATE PUBLICATION … FOR ALL TABLES).
  'ALTER TABLE fresh_statistics REPLICA IDENTITY FULL',
  // A few rows are left there, and changed every ten seconds: the threshold was for rows by the thousand.
  'ALTER TABLE execution_statistics SET (autovacuum_vacuum_threshold = 100)',
]

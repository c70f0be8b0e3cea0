import { type Kysely, sql } from 'kysely'

/** Keyed rate limits: see docs/adr/0037. Only adds; nodes of earlier releases run nothing that asks for a turn. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
}

const statements = [
  // A row a key, written by each call that asks. Times are µs since 1970 by this database's clock alone. `calls` in `period_ms`
  // and `burst` are the newest asker's; `asked`, `rank` and `granted` are what was asked last, and what of it was granted.
  `CREATE TABLE rate_limits (
    namespace text NOT NULL,
    scope text NOT NULL,
    key text NOT NULL,
    calls integer NOT NULL,
    period_ms bigint NOT NULL,
    burst integer NOT NULL,
    asked integer NOT NULL,
    rank smallint NOT NULL,
    tat bigint NOT NULL,
    line_until bigint NOT NULL,
    late_until bigint NOT NULL,
    granted integer NOT NULL,
    asked_at bigint NOT NULL,
    granted_at bigint NOT NULL,
    PRIMARY KEY (namespace, scope, key)
  ) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 100)`,
]

import { type Kysely, sql } from 'kysely'

/** Circuits that all nodes share: see docs/adr/0023. Only adds; nodes of earlier releases call whatever they like. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
}

const statements = [
  // Times are ms since 1970 by this database's clock alone. opened_at null: closed.
  `CREATE TABLE circuit_breakers (
    key text PRIMARY KEY,
    mode text NOT NULL DEFAULT 'auto' CHECK (mode IN ('auto', 'open', 'closed')),
    reason text,
    opened_at bigint,
    open_until bigint,
    open_ms bigint,
    trips integer NOT NULL DEFAULT 0,
    error json,
    probe_id uuid,
    probe_until bigint,
    seen_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    CONSTRAINT circuit_breakers_opens CHECK (opened_at IS NULL OR (open_until IS NOT NULL AND open_ms IS NOT NULL))
  ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 100)`,
  // What every node polls: hardly ever anything.
  `CREATE INDEX circuit_breakers_guarded ON circuit_breakers (key) WHERE mode <> 'auto' OR opened_at IS NOT NULL`,
]

import { type Kysely, sql } from 'kysely'

/** Keyed concurrency: see docs/adr/0029. Only adds; nodes of earlier releases run nothing that asks for a slot. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
}

const statements = [
  // Who holds and who waits. `ticket` is the seq of the event that asked: an execution never uses one twice. path '': the
  // execution itself. Times are ms since 1970; `turn` is when it asked, a minute earlier for each step of priority.
  `CREATE TABLE concurrency_slots (
    execution_id uuid NOT NULL,
    path text NOT NULL,
    ticket bigint NOT NULL,
    namespace text NOT NULL,
    scope text NOT NULL,
    key text NOT NULL,
    slot_limit integer NOT NULL,
    on_limit text NOT NULL,
    state text NOT NULL DEFAULT 'asked' CHECK (state IN ('asked', 'waiting', 'held', 'released')),
    is_leaving boolean NOT NULL DEFAULT false,
    turn bigint NOT NULL,
    place bigint GENERATED ALWAYS AS IDENTITY,
    changed_at bigint NOT NULL,
    PRIMARY KEY (execution_id, ticket, path)
  ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000)`,
  // The line of a key, and how many hold it.
  'CREATE INDEX concurrency_slots_line ON concurrency_slots (namespace, scope, key, state, turn, place)',
  // Whose limit counts: the newest asker's.
  'CREATE INDEX concurrency_slots_newest ON concurrency_slots (namespace, scope, key, place)',
  // What is still to be settled: hardly ever anything.
  `CREATE INDEX concurrency_slots_unsettled ON concurrency_slots (changed_at) WHERE state IN ('asked', 'released')`,
  // Who would not wait: gone as soon as its key is settled.
  `CREATE INDEX concurrency_slots_impatient ON concurrency_slots (namespace, scope, key)
    WHERE state = 'waiting' AND on_limit <> 'queue'`,
]

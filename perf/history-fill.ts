import type pg from 'pg'

/** How much history there is to be. */
export interface Sizes {
  readonly executions: number
  /** Of each execution, the first and the last included. */
  readonly events: number
}

export const WORKFLOWS = 20
const DAYS = 100

/** UUIDv7 of a time (ms) and a number, as the service would have made it. */
const uuidv7 = (ms: string, number: string): string =>
  `(lpad(to_hex(${ms}), 12, '0') || '7' || substr(md5((${number})::text), 1, 3) || '8' || substr(md5((${number})::text), 4, 15))::uuid`

export const workflowId = (number: number): string => `00000000-0000-7000-8000-${String(number).padStart(12, '0')}`

/**
 * Fills the tables as if executions had been started evenly over the last hundred days: 96 % completed, 2 % failed, the rest
 * cancelled, asleep or paused, old and young. Every tenth has tags, an idempotency key and a correlation id, every hundredth a
 * snapshot. Set-based, a tenth at a time; ends with ANALYZE, as autovacuum would.
 */
export async function fill(
  client: pg.Client,
  { executions, events }: Sizes,
  log: (line: string) => void,
): Promise<void> {
  const now = Date.now()
  const step = (DAYS * 86_400_000) / executions
  await client.query(workflows, [WORKFLOWS, now - DAYS * 86_400_000, Math.max(1, events - 2)])
  const slice = Math.ceil(executions / 10)
  for (let from = 0; from < executions; from += slice) {
    const to = Math.min(executions, from + slice) - 1
    const startedAt = performance.now()
    await client.query('CREATE TEMPORARY TABLE given (id uuid, i bigint, at bigint)')
    const at = `(${now - DAYS * 86_400_000} + (i * ${step})::bigint)`
    await client.query(
      `INSERT INTO given SELECT ${uuidv7(at, 'i')}, i, ${at} FROM generate_series(${from}::bigint, ${to}::bigint) AS series(i)`,
    )
    await client.query(rows, [WORKFLOWS, events])
    await client.query(journals, [events])
    await client.query(snapshots)
    await client.query(keys)
    await client.query('DROP TABLE given')
    log(
      `${to + 1} executions, ${(to + 1) * events} events: ${Math.round(performance.now() - startedAt)} ms for this tenth`,
    )
  }
  await client.query(statistics, [WORKFLOWS, now])
  await client.query('ANALYZE')
}

const workflows = `
WITH made AS (
  INSERT INTO workflows (id, name, active_version, newest_version, status, created_at, updated_at)
  SELECT ('00000000-0000-7000-8000-' || lpad(w::text, 12, '0'))::uuid, 'history ' || w, 1, 1, 'active', $2::bigint, $2::bigint
  FROM generate_series(0, $1::integer - 1) AS series(w) RETURNING id, name
)
INSERT INTO workflow_versions (workflow_id, version, definition, created_at)
SELECT id, 1, json_build_object('name', name, 'steps', (
  SELECT json_agg(json_build_object('id', 'a' || s, 'type', 'action', 'config', json_build_object('type', 'echo')) ORDER BY s)
  FROM generate_series(1, $3::integer) AS steps(s))), $2::bigint FROM made`

const rows = `
INSERT INTO workflow_executions (id, workflow_id, workflow_version, format, status, wake_at, last_seq, created_at, started_at,
  completed_at, updated_at, triggered_by, correlation_id, tags, input, output)
SELECT id, ('00000000-0000-7000-8000-' || lpad((i % $1::integer)::text, 12, '0'))::uuid, 1, 1, status,
  CASE status WHEN 'waiting' THEN 4000000000000 END, $2::integer, at, at,
  CASE WHEN status IN ('completed', 'failed', 'cancelled') THEN at + 900 END, at + 900,
  CASE WHEN i % 10 = 0 THEN 'user-' || i % 1000 END, CASE WHEN i % 10 = 1 THEN 'correlation-' || i END,
  CASE WHEN i % 10 = 2 THEN ARRAY['tag-' || i % 500] ELSE '{}' END, '{"order": 1}', '{"done": true}'
FROM (
  SELECT *, CASE WHEN i % 100 < 96 THEN 'completed' WHEN i % 100 < 98 THEN 'failed' WHEN i % 200 = 98 THEN 'cancelled'
    WHEN i % 400 = 198 THEN 'paused' ELSE 'waiting' END AS status
  FROM given
) AS classified`

const journals = `
INSERT INTO execution_events (execution_id, seq, at, attempt, percentage, type, path, data)
SELECT id, seq, at + seq * (900 / $1::integer), CASE WHEN seq BETWEEN 2 AND $1::integer - 1 THEN 1 END, (seq - 1) * 100 / $1::integer,
  CASE seq WHEN 1 THEN 'execution.started' WHEN $1::integer THEN 'execution.completed' ELSE 'step.completed' END,
  CASE WHEN seq BETWEEN 2 AND $1::integer - 1 THEN 'a' || seq - 1 END,
  CASE WHEN seq BETWEEN 2 AND $1::integer - 1 THEN json_build_object('output', repeat('x', 100), 'durationMs', 5) ELSE '{}' END
FROM given CROSS JOIN generate_series(1, $1::integer) AS series(seq) ORDER BY id, seq`

const snapshots = `
INSERT INTO execution_snapshots (execution_id, seq, created_at, state)
SELECT id, 2, at, json_build_object('steps', json_build_array(), 'filler', repeat('x', 2000)) FROM given WHERE i % 100 = 50`

const keys = `
INSERT INTO idempotency_keys (route, key, request_hash, resource_id, created_at)
SELECT 'POST executions', 'key-' || i, 'hash', id, at FROM given WHERE i % 10 = 3`

/** What a hundred days are folded into: the hours that are over, and the present one (docs/adr/0044). */
const statistics = `
INSERT INTO execution_statistics (workflow_id, version, hour, folded, counts)
SELECT ('00000000-0000-7000-8000-' || lpad(w::text, 12, '0'))::uuid, 1, hour * 3600000::bigint, true,
  '{"present":{"completed":48000},"ended":{"completed":48000,"failed":0,"cancelled":0},"durations":{"count":48000,"sum":43200000,"buckets":{"79":48000}},"steps":{"a":{"executions":384000,"failures":0,"retries":0,"durations":{"count":384000,"sum":1920000,"buckets":{"19":384000}}}}}'
FROM generate_series(0, $1::integer - 1) AS workflows(w), unnest(ARRAY[0, $2::bigint / 3600000]) AS hours(hour)`

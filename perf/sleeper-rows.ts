import type pg from 'pg'

/** An execution of it fails once and then sleeps until its retry: `sleepMs` later, or when the rows below say. */
export const sleeperDefinition = (sleepMs: number) => ({
  name: 'sleeper',
  steps: [
    {
      id: 'sleep',
      name: 'Sleep',
      type: 'action',
      config: { type: 'echo', value: 'awake', fail: { untilAttempt: 2, retryable: true } },
      retryPolicy: {
        maxAttempts: 2,
        initialIntervalMs: sleepMs,
        maxIntervalMs: sleepMs,
        jitter: 0,
        maxElapsedMs: 10 * sleepMs,
      },
    },
  ],
})

export interface Sleepers {
  readonly workflowId: string
  readonly count: number
  /** The first is due then (ms since 1970), the last `overMs` later, the others evenly between. */
  readonly dueFrom: number
  readonly overMs: number
}

/** A UUIDv7 made of a time in ms and the row's number. */
const id = `overlay(overlay(overlay(md5(random()::text || number) PLACING lpad(to_hex(at), 12, '0') FROM 1 FOR 12)
  PLACING '7' FROM 13 FOR 1) PLACING 'b' FROM 17 FOR 1)::uuid`

const statement = `
WITH sleepers AS MATERIALIZED (
  SELECT ${id} AS id, at, due FROM (
    SELECT number, $3::bigint - 3600000 + number / 100 AS at, $3::bigint + (number * $4::float8 / $2)::bigint AS due
    FROM generate_series(0, $2::integer - 1) AS number
  ) AS numbered
), executions AS (
  INSERT INTO workflow_executions (id, workflow_id, workflow_version, format, status, wake_at, last_seq, created_at, started_at,
    updated_at, triggered_by, input)
  SELECT id, $1::uuid, 1, 1, 'waiting', due, 3, at, at, at + 2, 'perf', 'null' FROM sleepers
)
INSERT INTO execution_events (execution_id, seq, at, attempt, percentage, type, path, data)
SELECT id, seq, at + seq - 1, CASE seq WHEN 2 THEN 1 END, 0,
  CASE seq WHEN 1 THEN 'execution.started' WHEN 2 THEN 'step.failed' ELSE 'execution.parked' END,
  CASE seq WHEN 2 THEN 'sleep' END,
  CASE seq WHEN 1 THEN '{}' WHEN 3 THEN format('{"wakeAt":%s}', due) ELSE format(
    '{"error":{"type":"EchoError","message":"echo was told to fail","retryable":true,"errorId":"%s","stepPath":"sleep","attempt":1},"retryAt":%s,"durationMs":0}',
    id, due) END::json
FROM sleepers CROSS JOIN generate_series(1, 3) AS seq ORDER BY id, seq`

/** What the engine would have written for executions that have been put to sleep, a test holds it to that. */
export async function insertSleepers(client: pg.ClientBase, { workflowId, count, dueFrom, overMs }: Sleepers) {
  await client.query(statement, [workflowId, count, dueFrom, overMs])
}

import type { Database } from './connection.ts'
import { type ExecutionRow, type StoredExecution, toExecution } from './execution-row.ts'
import { type Portion, portionOf, portionSql } from './portion.ts'

export interface ClaimLimits {
  /** Executions at most in this batch. */
  readonly limit: number
  /**
   * How many of them may be due starts and wakes: 0 on a full node, which leaves them to others or for later. It still takes
   * over what nobody runs, and answers what reaches executions from outside.
   */
  readonly room: number
  /** The formats that this release can fold. */
  readonly formats: readonly number[]
}

/** What a step of priority is worth, ms: so long is somebody passed over for it, and no longer. Nobody waits for ever. */
export const PRIORITY_MS = 60_000

/** `turn`: who is smaller goes first. Two that wait keep their order, so within a priority an index has it. */
const due = 'e.wake_at <= (extract(epoch FROM now()) * 1000)::bigint'
// What its inbox wakes before its time has waited since its row last changed.
const since = `CASE WHEN e.wake_at IS NULL THEN e.created_at WHEN ${due} THEN e.wake_at ELSE e.updated_at END`
const columns = `e.id, e.owner AS former, ${since} AS since, ${since} - e.priority::bigint * ${PRIORITY_MS} AS turn`

/**
 * The due executions of one partial index, by priority and by how long they have been due. Walking from one priority to
 * the next (a loose index scan) reads no row that is not due, however many sleep.
 */
const dueBy = (name: string, isStart: string, limit: string): string => `
${name}_priorities(priority) AS (
  (SELECT e.priority FROM workflow_executions e WHERE ${unowned(isStart)} ORDER BY e.priority DESC LIMIT 1)
  UNION ALL
  SELECT (SELECT e.priority FROM workflow_executions e WHERE ${unowned(isStart)} AND e.priority < p.priority
          ORDER BY e.priority DESC LIMIT 1)
  FROM ${name}_priorities p WHERE p.priority IS NOT NULL
), ${name} AS (
  SELECT x.* FROM ${name}_priorities p CROSS JOIN LATERAL (
    SELECT ${columns} FROM workflow_executions e
    WHERE ${unowned(isStart)} AND e.priority = p.priority AND ${due} AND e.format = ANY ($4::integer[])
    ORDER BY e.wake_at LIMIT ${limit} FOR UPDATE SKIP LOCKED
  ) x
  ORDER BY x.turn, x.since LIMIT ${limit}
)`
const unowned = (isStart: string): string =>
  `e.owner IS NULL AND e.wake_at IS NOT NULL AND e.status ${isStart} 'pending'`

/**
 * The one predicate of what may be claimed, as four disjoint sources so that each reads an index of live rows only:
 * the owner is not in nodes; or there is no owner and it is due (starts, and everything else), or its inbox holds something.
 * The inbox looks its executions up one by one: joined, the planner would read the whole table as long as it knows nothing of it.
 * The node's own row is locked against deletion meanwhile: a dead node claims nothing. Parameters: the node, how many in all, how
 * many of them starts and wakes, the formats. Exported for the test of its plan.
 */
export const claimStatement = `
WITH RECURSIVE alive AS MATERIALIZED (
  SELECT FROM nodes WHERE id = $1::uuid AND expires_at > clock_timestamp() FOR KEY SHARE
), owners(owner) AS (
  (SELECT e.owner FROM workflow_executions e WHERE e.owner IS NOT NULL ORDER BY e.owner LIMIT 1)
  UNION ALL
  SELECT (SELECT e.owner FROM workflow_executions e WHERE e.owner > o.owner ORDER BY e.owner LIMIT 1)
  FROM owners o WHERE o.owner IS NOT NULL
), gone AS MATERIALIZED (
  SELECT owner FROM owners o WHERE owner IS NOT NULL AND NOT EXISTS (SELECT FROM nodes n WHERE n.id = o.owner)
), orphans AS (
  SELECT x.* FROM gone CROSS JOIN LATERAL (
    SELECT ${columns} FROM workflow_executions e
    WHERE e.owner = gone.owner AND e.format = ANY ($4::integer[])
    ORDER BY e.priority DESC, e.created_at LIMIT $2 FOR UPDATE SKIP LOCKED
  ) x
),${dueBy('starts', '=', '$3')},${dueBy('wakes', '<>', '$3')}, due AS (
  SELECT * FROM (TABLE starts UNION ALL TABLE wakes) AS both_kinds ORDER BY turn, since LIMIT $3
), addressed AS (
  SELECT x.* FROM execution_inbox i CROSS JOIN LATERAL (
    SELECT ${columns} FROM workflow_executions e
    WHERE e.id = i.execution_id AND e.owner IS NULL AND e.format = ANY ($4::integer[])
    LIMIT 1 FOR UPDATE SKIP LOCKED
  ) x
  ORDER BY i.id LIMIT $2
), picked AS (
  SELECT DISTINCT turn, since, id, former FROM (
    TABLE orphans UNION ALL TABLE due UNION ALL TABLE addressed
  ) AS claimable
  ORDER BY turn, since LIMIT $2
)
UPDATE workflow_executions AS e SET owner = $1::uuid FROM picked, alive WHERE e.id = picked.id
RETURNING e.id, picked.former, picked.turn, picked.since`

/** An execution that is ours now, and the dead node that it was taken over from; null when nobody had it. */
export interface Claimed {
  readonly executionId: string
  readonly from: string | null
}

/**
 * Makes this node the owner of executions that nobody runs, by priority and age, and changes nothing else of them. What
 * other nodes are claiming at this moment is passed over. A full batch: claim again at once. Answers ids only, since a batch
 * may hold more than should enter memory at once: ownedRows() reads them. Only committed claims answer; after a lost answer
 * findOwned() tells.
 *
 * Never a named statement, though planning is most of its 3 ms: a plan made while the tables were empty took 0.9 s a claim
 * when they held 500,000 rows, until autovacuum analysed them.
 */
export async function claim(
  { pool }: Database,
  node: string,
  { limit, room, formats }: ClaimLimits,
): Promise<Claimed[]> {
  const { rows } = await pool.query<{ id: string; former: string | null; turn: number; since: number }>(
    claimStatement,
    [node, limit, Math.min(limit, room), formats],
  )
  rows.sort((a, b) => a.turn - b.turn || a.since - b.since)
  return rows.map(({ id, former }) => ({ executionId: id, from: former }))
}

/** The ids of all that the table says this node owns. */
export async function findOwned({ db }: Database, node: string): Promise<string[]> {
  const rows = await db.selectFrom('workflow_executions').select('id').where('owner', '=', node).execute()
  return rows.map((row) => row.id)
}

const ownedRowsStatement = portionSql(
  `SELECT e.*, w.place, pg_column_size(e.input) + coalesce(pg_column_size(e.output), 0) AS size
   FROM unnest($1::uuid[]) WITH ORDINALITY AS w(id, place) JOIN workflow_executions e ON e.id = w.id
   WHERE e.owner = $2::uuid`,
  { order: 'place', bytes: '$3' },
)

/** The rows of these executions as far as this node owns them, in the order given, at most `bytes` of payloads (or one). */
export async function ownedRows(
  { pool }: Database,
  node: string,
  executionIds: readonly string[],
  bytes: number,
): Promise<Portion<ExecutionRow>> {
  const { rows } = await pool.query<StoredExecution & { total: number }>(ownedRowsStatement, [
    executionIds,
    node,
    bytes,
  ])
  return portionOf(rows, bytes, toExecution)
}

import { sql } from 'kysely'
import type { Database } from './connection.ts'
import { type ExecutionRow, type StoredExecution, toExecution } from './execution-row.ts'

export interface ClaimLimits {
  /** Executions at most in this batch. */
  readonly limit: number
  /** How many of them may be starts that no node has taken up yet: 0 on a full node, which still takes over and wakes. */
  readonly fresh: number
  /** The formats that this release can fold. */
  readonly formats: readonly number[]
}

const columns = 'e.id, e.priority, e.owner AS former, coalesce(e.wake_at, e.created_at) AS since'
const due = 'e.wake_at <= (extract(epoch FROM now()) * 1000)::bigint'

/**
 * The due executions of one partial index, by priority, then by how long they have been due. Walking from one priority to
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
  ORDER BY x.priority DESC, x.since LIMIT ${limit}
)`
const unowned = (isStart: string): string =>
  `e.owner IS NULL AND e.wake_at IS NOT NULL AND e.status ${isStart} 'pending'`

/**
 * The one predicate of what may be claimed, as four disjoint sources so that each reads an index of live rows only:
 * the owner is not in nodes; or there is no owner and it is due (starts, and everything else), or its inbox holds something.
 * The node's own row is locked against deletion meanwhile: a dead node claims nothing.
 */
const claimStatement = `
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
),${dueBy('starts', '=', '$3')},${dueBy('wakes', '<>', '$2')}, addressed AS (
  SELECT ${columns} FROM execution_inbox i JOIN workflow_executions e ON e.id = i.execution_id
  WHERE e.owner IS NULL AND e.format = ANY ($4::integer[])
  ORDER BY i.id LIMIT $2 FOR UPDATE OF e SKIP LOCKED
), picked AS (
  SELECT DISTINCT priority, since, id, former FROM (
    TABLE orphans UNION ALL TABLE starts UNION ALL TABLE wakes UNION ALL TABLE addressed
  ) AS claimable
  ORDER BY priority DESC, since LIMIT $2
)
UPDATE workflow_executions AS e SET owner = $1::uuid FROM picked, alive WHERE e.id = picked.id RETURNING e.*, picked.former`

/**
 * Makes this node the owner of executions that nobody runs, by priority, then age, and changes nothing else of them. What
 * other nodes are claiming at this moment is passed over. A full batch: claim again at once. Only committed claims answer;
 * after a lost answer loadOwned() tells.
 *
 * Never a named statement, though planning is most of its 3 ms: a plan made while the tables were empty took 0.9 s a claim
 * when they held 500,000 rows, until autovacuum analysed them.
 */
export async function claim(
  { pool }: Database,
  node: string,
  { limit, fresh, formats }: ClaimLimits,
): Promise<Claimed[]> {
  const parameters = [node, limit, Math.min(limit, fresh), formats]
  const { rows } = await pool.query<StoredExecution & { former: string | null }>(claimStatement, parameters)
  const claimed = rows.map(({ former, ...row }) => ({ execution: toExecution(row), from: former }))
  return claimed.sort(({ execution: a }, { execution: b }) => b.priority - a.priority || a.createdAt - b.createdAt)
}

/** An execution that is ours now, and the dead node that it was taken over from. */
export interface Claimed {
  readonly execution: ExecutionRow
  readonly from: string | null
}

/** What the table says this node owns, but for the executions that it knows of. */
export async function loadOwned({ db }: Database, node: string, known: readonly string[]): Promise<ExecutionRow[]> {
  const rows = await db
    .selectFrom('workflow_executions')
    .selectAll()
    .where('owner', '=', node)
    // A join, which is hashed: a list of 10,000 would be gone through for each of 10,000 rows.
    .where(
      sql<boolean>`NOT EXISTS (SELECT FROM unnest(${known}::uuid[]) AS known(id) WHERE known.id = workflow_executions.id)`,
    )
    .execute()
  return rows.map(toExecution)
}

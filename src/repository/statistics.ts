import type { ExecutionStatus } from '../engine/core/state.ts'
import type { Database } from './connection.ts'
import { mean, quantile } from './histogram.ts'
import { type Counts, emptyCounts, mergeCounts, type StepTotals } from './tally.ts'
import { begin } from './transaction.ts'

export type { StatisticsDelta, StepCount } from './tally.ts'

/** The statistics of a workflow, or of all. Totals are by present status; durations and the rate count every end. */
export interface Statistics {
  readonly totalExecutions: number
  readonly completedExecutions: number
  readonly failedExecutions: number
  readonly cancelledExecutions: number
  /** Not finished: pending, running, waiting, paused. */
  readonly runningExecutions: number
  /** 0..1 of the finished; null while there is none. Durations are ms and null while nothing was measured. */
  readonly successRate: number | null
  readonly averageExecutionTimeMs: number | null
  readonly p50Ms: number | null
  readonly p95Ms: number | null
  readonly p99Ms: number | null
  /** By id. */
  readonly steps: readonly StepStatistics[]
}

export interface StepStatistics {
  readonly id: string
  readonly executions: number
  readonly failures: number
  readonly retries: number
  readonly averageMs: number | null
  readonly p95Ms: number | null
}

interface Row {
  workflow_id: string
  version: number
  hour: number
  counts: Counts
}

/** Rows that one call of foldStatistics() takes. */
export const foldBatch = 5_000

/** 0 stands for all hours that are over: nobody asks for one of them, and whoever reads reads every row. */
const bucketOf = (hour: string): string => `CASE WHEN ${hour} < this.hour THEN 0 ELSE ${hour} END`

/**
 * What a fold takes, to be merged by bucket: rows of flushes, rows of hours that are over, and the buckets that they go into.
 * `early`: what nodes of earlier releases count stands unfolded in execution_statistics itself.
 */
const takeStatement = `
WITH this AS MATERIALIZED (
  SELECT floor(extract(epoch FROM now()) / 3600)::bigint * 3600000 AS hour
), fresh AS (
  DELETE FROM fresh_statistics
  WHERE ctid = ANY (ARRAY(SELECT ctid FROM fresh_statistics LIMIT $1 FOR UPDATE SKIP LOCKED))
  RETURNING workflow_id, version, hour, counts::json
), early AS MATERIALIZED (
  SELECT id, workflow_id, version, hour FROM execution_statistics WHERE NOT folded
  ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
), past AS MATERIALIZED (
  SELECT id, workflow_id, version, hour FROM execution_statistics
  WHERE folded AND hour > 0 AND hour < (SELECT hour FROM this) LIMIT $1 FOR UPDATE SKIP LOCKED
), wanted AS MATERIALIZED (
  SELECT DISTINCT workflow_id, version, ${bucketOf('taken.hour')} AS hour FROM this, (
    SELECT workflow_id, version, hour FROM fresh
    UNION ALL SELECT workflow_id, version, hour FROM early
    UNION ALL SELECT workflow_id, version, hour FROM past
  ) AS taken
), buckets AS MATERIALIZED (
  SELECT b.id FROM execution_statistics b JOIN wanted USING (workflow_id, version, hour)
  WHERE b.folded FOR UPDATE OF b SKIP LOCKED
), gone AS (
  DELETE FROM execution_statistics
  WHERE id IN (SELECT id FROM early UNION ALL SELECT id FROM past UNION ALL SELECT id FROM buckets)
  RETURNING workflow_id, version, hour, folded, counts
)
SELECT workflow_id, version, ${bucketOf('given.hour')} AS hour, given.hour AS "fromHour", folded, counts FROM this, (
  SELECT workflow_id, version, hour, false AS folded, counts FROM fresh
  UNION ALL SELECT workflow_id, version, hour, folded, counts FROM gone
) AS given`

/**
 * Folds rows of flushes into one row per workflow and version for this hour, and one for all hours before, and returns how many it
 * took; call again at once while it is `foldBatch`. Any node may, several at once: each takes rows that no other has. Folding is
 * deleting and inserting in one transaction, so a reader always sees each count once. Two nodes may leave two rows of a bucket;
 * they add up as well.
 */
export async function foldStatistics({ pool }: Database): Promise<number> {
  const client = await pool.connect()
  try {
    await begin(client)
    const { rows } = await client.query<Row & { folded: boolean; fromHour: number }>(takeStatement, [foldBatch])
    const buckets = merged(rows, (row) => `${row.workflow_id}/${row.version}/${row.hour}`)
    await client.query(
      `INSERT INTO execution_statistics (workflow_id, version, hour, folded, counts)
       SELECT workflow_id, version, hour, true, counts::json
       FROM unnest($1::uuid[], $2::integer[], $3::bigint[], $4::text[]) AS given(workflow_id, version, hour, counts)`,
      [
        buckets.map((row) => row.workflow_id),
        buckets.map((row) => row.version),
        buckets.map((row) => row.hour),
        buckets.map((row) => JSON.stringify(row.counts)),
      ],
    )
    await client.query('COMMIT')
    client.release()
    const past = rows.filter((row) => row.folded && row.fromHour !== row.hour).length
    return past === foldBatch ? past : rows.filter((row) => !row.folded).length
  } catch (error) {
    client.release(error as Error)
    throw error
  }
}

/** The statistics of one workflow (all its versions), or of everything. Reads counts only, never a journal. */
export async function readStatistics(database: Database, workflowId?: string): Promise<Statistics> {
  const { present, ended, durations, steps } = await readCounts(database, workflowId)
  const of = (status: ExecutionStatus): number => present[status] ?? 0
  const ends = ended.completed + ended.failed + ended.cancelled
  return {
    totalExecutions: Object.values(present).reduce((sum, count) => sum + count, 0),
    completedExecutions: of('completed'),
    failedExecutions: of('failed'),
    cancelledExecutions: of('cancelled'),
    runningExecutions: of('pending') + of('running') + of('waiting') + of('paused'),
    successRate: ends === 0 ? null : ended.completed / ends,
    averageExecutionTimeMs: whole(mean(durations)),
    p50Ms: whole(quantile(durations, 0.5)),
    p95Ms: whole(quantile(durations, 0.95)),
    p99Ms: whole(quantile(durations, 0.99)),
    steps: Object.keys(steps)
      .toSorted()
      .map((id) => stepStatistics(id, steps[id]!)),
  }
}

function stepStatistics(id: string, step: StepTotals): StepStatistics {
  return {
    id,
    executions: step.executions,
    failures: step.failures,
    retries: step.retries,
    averageMs: whole(mean(step.durations)),
    p95Ms: whole(quantile(step.durations, 0.95)),
  }
}

/** The median duration (ms) of each step that has ever completed: what estimates go by. */
export async function stepMedians(database: Database, workflowId: string): Promise<ReadonlyMap<string, number>> {
  const { steps } = await readCounts(database, workflowId)
  const medians = new Map<string, number>()
  for (const [id, { durations }] of Object.entries(steps)) {
    const median = quantile(durations, 0.5)
    if (median !== null) medians.set(id, median)
  }
  return medians
}

async function readCounts({ pool }: Database, workflowId: string | undefined): Promise<Counts> {
  const whose = workflowId === undefined ? '' : 'WHERE workflow_id = $1'
  const { rows } = await pool.query<Row>(
    `SELECT workflow_id, version, hour, counts FROM execution_statistics ${whose}
     UNION ALL SELECT workflow_id, version, hour, counts::json FROM fresh_statistics ${whose}`,
    workflowId === undefined ? [] : [workflowId],
  )
  return merged(rows, () => '')[0]?.counts ?? emptyCounts()
}

/** One row for each key, its counts the sum of the rows that have it. */
function merged(rows: readonly Row[], keyOf: (row: Row) => string): Row[] {
  const sums = new Map<string, Row>()
  for (const row of rows) {
    const key = keyOf(row)
    const sum = sums.get(key) ?? { ...row, counts: emptyCounts() }
    sums.set(key, sum)
    mergeCounts(sum.counts, row.counts)
  }
  return [...sums.values()]
}

/** The API's durations are integers of milliseconds; the histogram is no more precise anyway. */
const whole = (ms: number | null): number | null => (ms === null ? null : Math.round(ms))

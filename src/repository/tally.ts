import type { ExecutionStatus } from '../engine/core/state.ts'
import type { ArrayColumn } from './array-columns.ts'
import { emptyHistogram, type Histogram, mergeHistogram, record } from './histogram.ts'

/** What one append has to count; an append without anything to count carries none. */
export interface StatisticsDelta {
  readonly workflowId: string
  readonly version: number
  /** A status that changed: the one left (null: the execution began) and the one reached. */
  readonly status?: {
    readonly from: ExecutionStatus | null
    readonly to: ExecutionStatus
    /** From startedAt to the end; only with a `to` that is an end. Null when it never started. */
    readonly durationMs?: number | null
  }
  /** Attempts that ended. */
  readonly steps?: readonly StepCount[]
}

export interface StepCount {
  readonly stepId: string
  /** `retried` is a failed attempt with another to come; `failed` is for good. */
  readonly outcome: 'completed' | 'failed' | 'retried'
  /** Of a completed attempt; others do not count into averages and estimates. */
  readonly durationMs?: number
}

/** What a row holds, whether of one flush (fresh_statistics) or of an hour (execution_statistics). Merging is adding. */
export interface Counts {
  /** Executions by present status, as differences: a change of status is -1 and +1. */
  present: Partial<Record<ExecutionStatus, number>>
  /** Every end, also of executions that were retried afterwards. */
  ended: { completed: number; failed: number; cancelled: number }
  durations: Histogram
  steps: Record<string, StepTotals>
}

export interface StepTotals {
  executions: number
  failures: number
  retries: number
  durations: Histogram
}

export interface StatisticsRow {
  readonly workflowId: string
  readonly version: number
  readonly counts: Counts
}

/** The table of fresh rows: see docs/adr/0042. */
export const statisticsTable = 'fresh_statistics'

export const statisticsColumns: readonly ArrayColumn<StatisticsRow>[] = [
  { name: 'workflow_id', type: 'uuid', of: (row) => row.workflowId },
  { name: 'version', type: 'integer', of: (row) => row.version },
  // As text: the column is text, and whoever folds it parses it.
  { name: 'counts', type: 'word', of: (row) => JSON.stringify(row.counts) },
]

/** Adds up what a flush has to count: one row per workflow and version. */
export function tally(deltas: Iterable<StatisticsDelta>): StatisticsRow[] {
  const rows = new Map<string, StatisticsRow>()
  let last: StatisticsRow | undefined
  for (const delta of deltas) {
    const { workflowId, version } = delta
    // Neighbours are mostly of one workflow: a key is a text that is made and hashed.
    if (last?.workflowId !== workflowId || last.version !== version) {
      const key: string = `${workflowId}/${version}`
      last = rows.get(key) ?? { workflowId, version, counts: emptyCounts() }
      rows.set(key, last)
    }
    add(last.counts, delta)
  }
  return [...rows.values()]
}

export const emptyCounts = (): Counts => ({
  present: {},
  ended: { completed: 0, failed: 0, cancelled: 0 },
  durations: emptyHistogram(),
  // Step ids are users' words: without a prototype `constructor` is a name like any other.
  steps: Object.create(null),
})

export function mergeCounts(into: Counts, from: Counts): void {
  for (const [status, count] of Object.entries(from.present)) {
    into.present[status as ExecutionStatus] = (into.present[status as ExecutionStatus] ?? 0) + count
  }
  into.ended.completed += from.ended.completed
  into.ended.failed += from.ended.failed
  into.ended.cancelled += from.ended.cancelled
  mergeHistogram(into.durations, from.durations)
  for (const [id, step] of Object.entries(from.steps)) {
    const totals = stepTotals(into, id)
    totals.executions += step.executions
    totals.failures += step.failures
    totals.retries += step.retries
    mergeHistogram(totals.durations, step.durations)
  }
}

function add(counts: Counts, { status, steps = [] }: StatisticsDelta): void {
  if (status !== undefined) {
    const { from, to, durationMs } = status
    if (from !== null) counts.present[from] = (counts.present[from] ?? 0) - 1
    counts.present[to] = (counts.present[to] ?? 0) + 1
    if (to === 'completed' || to === 'failed' || to === 'cancelled') counts.ended[to] += 1
    if (durationMs != null) record(counts.durations, durationMs)
  }
  for (const { stepId, outcome, durationMs } of steps) {
    const totals = stepTotals(counts, stepId)
    if (outcome === 'retried') totals.retries += 1
    else totals.executions += 1
    if (outcome === 'failed') totals.failures += 1
    if (outcome === 'completed' && durationMs !== undefined) record(totals.durations, durationMs)
  }
}

function stepTotals(counts: Counts, id: string): StepTotals {
  counts.steps[id] ??= { executions: 0, failures: 0, retries: 0, durations: emptyHistogram() }
  return counts.steps[id]
}

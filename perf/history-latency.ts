import type pg from 'pg'
import { WORKFLOWS, workflowId } from './history-fill.ts'
import { exactly } from './samples.ts'
import { Clients, startService } from './service.ts'

/** How long a request took over a history, ms. */
export interface Latency {
  readonly what: string
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

const DAY_MS = 86_400_000
const WARM_UP = 5
/** What is slow is asked for less often. */
const ENOUGH_MS = 15_000
const AT_LEAST = 30

/**
 * Asks a service of its own, one request at a time and nothing else going on, for what people look at: lists, executions, their
 * progress, statistics. Each request is about another execution or workflow than the one before.
 */
export async function latencies(databaseUrl: string, database: pg.Client, requests: number): Promise<Latency[]> {
  const { rows } = await database.query(
    `SELECT id, triggered_by, correlation_id FROM workflow_executions WHERE right(id::text, 2) = '7a' AND status = 'completed' LIMIT $1`,
    [requests],
  )
  const one = (i: number): string => `/api/workflows/executions/${rows[i % rows.length].id}`
  const workflow = (i: number): string => workflowId(i % WORKFLOWS)
  const list = (query: string): string => `/api/workflows/executions?${query}`
  const daysAgo = (days: number): string => new Date(Date.now() - days * DAY_MS).toISOString()
  const asked: Readonly<Record<string, (i: number) => string>> = {
    'list: newest': () => list(''),
    'list: before a day': (i) => list(`createdBefore=${daysAgo(1 + (i % 90))}`),
    'list: of a workflow': (i) => list(`workflowId=${workflow(i)}`),
    'list: failed': () => list('status=failed'),
    'list: failed of a workflow': (i) => list(`status=failed&workflowId=${workflow(i)}`),
    'list: running (none)': () => list('status=running'),
    'list: triggeredBy': (i) => list(`triggeredBy=user-${(i * 10) % 1_000}`),
    'list: correlationId': (i) => list(`correlationId=correlation-${i * 10 + 1}`),
    'list: tag': (i) => list(`tag=tag-${(i * 10 + 2) % 500}`),
    execution: one,
    progress: (i) => `${one(i)}/progress`,
    steps: (i) => `${one(i)}/steps`,
    checkpoints: (i) => `${one(i)}/checkpoints`,
    events: (i) => `${one(i)}/events`,
    'statistics: a workflow': (i) => `/api/workflows/${workflow(i)}/statistics`,
    'statistics: all': () => '/api/workflows/statistics',
  }
  const service = await startService(databaseUrl)
  const clients = new Clients(service.url, 1)
  try {
    const measured: Latency[] = []
    for (const [what, path] of Object.entries(asked)) {
      for (let i = 0; i < WARM_UP; i++) await clients.text(path(requests + i))
      const durations: number[] = []
      const until = performance.now() + ENOUGH_MS
      for (let i = 0; i < requests && (performance.now() < until || i < AT_LEAST); i++) {
        const startedAt = performance.now()
        await clients.text(path(i))
        durations.push(performance.now() - startedAt)
      }
      measured.push({ what, ...exactly(durations) })
    }
    return measured
  } finally {
    await clients.close()
    await service.stop()
  }
}

/**
 * How much more several nodes do on one PostgreSQL: 1, 2 and 4 service processes take up the same executions of ten steps, which
 * become due at one moment. `node perf/nodes.ts`; `--executions` 10000, `--quick`, `--json`.
 */
import { parseArgs } from 'node:util'
import { connect, withDatabase } from './database.ts'
import { echoSteps } from './engine-program.ts'
import { Clients, type Service, startService, times } from './service.ts'
import { STEPS } from './workload.ts'

const { values } = parseArgs({
  options: {
    executions: { type: 'string', default: '10000' },
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})
const executions = values.quick ? 2_000 : Number(values.executions)
const CONNECTIONS = 32
/** How long before they are due all are stored, at first; 400 a second is slow. */
const AHEAD_MS = 5_000 + executions * 2.5

interface Shared {
  readonly nodes: number
  readonly stepsPerSecond: number
  /** From the due time to the end of the last one. */
  readonly tookMs: number
  /** Executions that each node ran. */
  readonly shares: readonly number[]
}

const measured: Shared[] = []
for (const nodes of [1, 2, 4]) {
  let one: Shared | null = null
  for (let aheadMs = AHEAD_MS; one === null; aheadMs *= 2)
    one = await withDatabase('nodes', (url) => measure(url, nodes, aheadMs))
  measured.push(one)
}
if (values.json) console.log(JSON.stringify({ program: 'nodes', figures: measured }))
else console.table(measured.map(({ shares, ...rest }) => ({ ...rest, shares: shares.join(' ') })))

/** null: the machine is slower than that, and they were not stored in time. */
async function measure(databaseUrl: string, nodes: number, aheadMs: number): Promise<Shared | null> {
  const services: Service[] = []
  for (let i = 0; i < nodes; i++) services.push(await startService(databaseUrl))
  const clients = new Clients(services[0]!.url, CONNECTIONS)
  const database = await connect(databaseUrl)
  try {
    const workflowId = await clients.createWorkflow({ name: 'echoes', steps: echoSteps(STEPS) })
    const dueAt = Date.now() + aheadMs
    const startAt = new Date(dueAt).toISOString()
    await times(executions, CONNECTIONS, () => clients.start(workflowId, { startAt }))
    if (Date.now() > dueAt) return null
    const tookMs = (await lastEnd(database)) - dueAt
    return {
      nodes,
      stepsPerSecond: Math.round((executions * STEPS * 1000) / tookMs),
      tookMs: Math.round(tookMs),
      shares: await Promise.all(services.map(endedBy)),
    }
  } finally {
    await database.end()
    await clients.close()
    await Promise.all(services.map((service) => service.stop()))
  }
}

type Database = Awaited<ReturnType<typeof connect>>

/** When the last one ended, ms since 1970. */
async function lastEnd(database: Database): Promise<number> {
  for (;;) {
    const { rows } = await database.query(
      "SELECT count(*)::int AS n, max(completed_at)::float8 AS last FROM workflow_executions WHERE status = 'completed'",
    )
    if (rows[0].n === executions) return rows[0].last
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

/** What a node's metrics say that it has ended. */
async function endedBy({ url }: Service): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text()
  return Number(/^cairn_executions_ended_total\{[^}]*completed[^}]*\} (\d+)/m.exec(text)?.[1] ?? 0)
}

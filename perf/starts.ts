/**
 * Starts over HTTP: `POST /api/workflows/executions` from many connections, each answered when the start is durable, while the
 * executions run behind them. Service, clients and PostgreSQL share the machine. `node perf/starts.ts`; `--connections` 64,
 * `--steps` 1 and 10, `--seconds` 10, `--quick`, `--json`.
 */
import { parseArgs } from 'node:util'
import { connect, withDatabase } from './database.ts'
import { echoSteps } from './engine-program.ts'
import { spread } from './samples.ts'
import { Clients, startService } from './service.ts'

const { values } = parseArgs({
  options: {
    connections: { type: 'string', default: '64' },
    steps: { type: 'string', multiple: true, default: ['1', '10'] },
    seconds: { type: 'string', default: '10' },
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})
const connections = Number(values.connections)
const seconds = values.quick ? 3 : Number(values.seconds)
const WARM_UP_MS = 2_000

interface Starts {
  readonly steps: number
  readonly startsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /** Executions that ended within the same time. */
  readonly endsPerSecond: number
  readonly rssMiB: number | null
}

const measured: Starts[] = []
for (const steps of values.steps) {
  measured.push(await withDatabase('starts', (url) => measure(url, Number(steps))))
}
if (values.json) console.log(JSON.stringify({ program: 'starts', figures: measured }))
else console.table(measured)

async function measure(databaseUrl: string, steps: number): Promise<Starts> {
  const service = await startService(databaseUrl)
  const clients = new Clients(service.url, connections)
  const database = await connect(databaseUrl)
  const ended = async (): Promise<number> => {
    const { rows } = await database.query(
      "SELECT count(*)::int AS n FROM workflow_executions WHERE status = 'completed'",
    )
    return rows[0].n
  }
  try {
    const workflowId = await clients.createWorkflow({ name: 'echoes', steps: echoSteps(steps) })
    await startFor(WARM_UP_MS, clients, workflowId)
    const before = await ended()
    const startedAt = performance.now()
    const durations = await startFor(seconds * 1000, clients, workflowId)
    const took = (performance.now() - startedAt) / 1000
    const after = await ended()
    return {
      steps,
      startsPerSecond: Math.round(durations.length / took),
      ...spread(durations),
      endsPerSecond: Math.round((after - before) / took),
      rssMiB: await service.rssMiB(),
    }
  } finally {
    await database.end()
    await clients.close()
    await service.stop()
  }
}

/** Every connection starts one after another; how long each answer took, ms. */
async function startFor(ms: number, clients: Clients, workflowId: string): Promise<number[]> {
  const until = performance.now() + ms
  const durations: number[] = []
  const client = async (): Promise<void> => {
    for (let now = performance.now(); now < until; now = performance.now()) {
      await clients.start(workflowId)
      durations.push(performance.now() - now)
    }
  }
  await Promise.all(Array.from({ length: connections }, client))
  return durations
}

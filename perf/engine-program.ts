import { WorkflowEngine } from '../src/engine/engine.ts'
import { noObserver, type Observer } from '../src/engine/observer.ts'
import { connect, walBytes, withDatabase } from './database.ts'
import { type Figures, type Load, measure, OUTPUT_BYTES, type Program, STEPS } from './workload.ts'

/** Writer connections; the limit program uses two as well. */
const LANES = 2

const definition = {
  name: 'ten-echoes',
  steps: Array.from({ length: STEPS }, (_, i) => ({
    id: `step-${i + 1}`,
    name: `Step ${i + 1}`,
    type: 'action',
    config: { type: 'echo', value: 'x'.repeat(OUTPUT_BYTES) },
  })),
}

/** Measures the real engine under one load in a fresh database. */
export const measureEngine = (load: Load): Promise<Figures> =>
  withDatabase('engine', async (url) => {
    const program = await openEngine(url, Number(process.env.PERF_LANES ?? LANES))
    try {
      return await measure(program, load)
    } finally {
      await program.close()
    }
  })

async function openEngine(databaseUrl: string, lanes: number): Promise<Program> {
  const ends = new Ends()
  const engine = new WorkflowEngine({ databaseUrl, lanes, observer: ends })
  await engine.start()
  const { id } = await engine.createWorkflow(definition)
  const client = await connect(databaseUrl)
  return {
    async run(executions) {
      const ended = ends.expect(executions)
      await Promise.all(Array.from({ length: executions }, () => engine.startExecution(id, 'perf', {})))
      await ended
    },
    walBytes: () => walBytes(client),
    async close() {
      await client.end()
      await engine.stop()
    },
  }
}

/** Counts the ends that were committed, as the metrics do. */
class Ends implements Observer {
  #missing = 0
  #resolve = () => {}

  readonly flushed = noObserver.flushed
  readonly attemptStarted = noObserver.attemptStarted
  readonly attemptEnded = noObserver.attemptEnded

  expect(executions: number): Promise<void> {
    this.#missing = executions
    return new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  committed(_row: unknown, { events }: Parameters<Observer['committed']>[1]): void {
    const last = events.at(-1)!
    if (last.type === 'execution.completed') this.#missing--
    else if (last.type === 'execution.failed') throw new Error(`An execution failed: ${JSON.stringify(last.data)}`)
    if (this.#missing === 0) this.#resolve()
  }
}

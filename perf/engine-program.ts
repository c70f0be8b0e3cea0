import { randomBytes } from 'node:crypto'
import type { Json } from '../src/definition/json.ts'
import { WorkflowEngine } from '../src/engine/engine.ts'
import { noObserver, type Observer } from '../src/engine/observer.ts'
import { connect, walBytes, withDatabase } from './database.ts'
import { type Figures, type Load, measure, OUTPUT_BYTES, type Program, STEPS } from './workload.ts'

/** Writer connections; the limit program uses two as well. */
const LANES = 2

/** An `echo` step whose output is `value`, or what the template says. */
export const echoStep = (id: string, value: string): object => ({
  id,
  name: id,
  type: 'action',
  config: { type: 'echo', value },
})

/** So many of them, one after the other. */
export const echoSteps = (count: number, value = 'x'.repeat(OUTPUT_BYTES)): object[] =>
  Array.from({ length: count }, (_, i) => echoStep(`step-${i + 1}`, value))

/** A text of so many bytes that PostgreSQL cannot make shorter: hexadecimal digits it would, by a tenth. */
export const incompressible = (bytes: number): string => randomBytes(bytes).toString('base64').slice(0, bytes)

/** Measures the real engine under one load in a fresh database. */
export const measureEngine = (load: Load): Promise<Figures> =>
  withDatabase('engine', async (url) => {
    const program = await openEngine(url, echoSteps(STEPS))
    try {
      return await measure(program, load)
    } finally {
      await program.close()
    }
  })

/** A program that is an engine in this process, with a workflow of these steps. */
export interface EngineProgram extends Program {
  readonly engine: WorkflowEngine
  readonly workflowId: string
  /** How long it took to check, compile and store the definition, ms. */
  readonly createMs: number
}

/** Runs executions of a workflow with these steps, each with this input. */
export async function openEngine(
  databaseUrl: string,
  steps: readonly object[],
  input: Json = {},
): Promise<EngineProgram> {
  const ends = new Ends()
  const lanes = Number(process.env.PERF_LANES ?? LANES)
  const engine = new WorkflowEngine({ databaseUrl, lanes, observer: ends })
  await engine.start()
  const startedAt = performance.now()
  const { id: workflowId } = await engine.createWorkflow({ name: 'echoes', steps })
  const createMs = performance.now() - startedAt
  const client = await connect(databaseUrl)
  return {
    engine,
    workflowId,
    createMs,
    async run(executions) {
      const ended = ends.expect(executions)
      await Promise.all(Array.from({ length: executions }, () => engine.startExecution(workflowId, undefined, input)))
      await ended
    },
    runOne: async () => ends.of(await engine.startExecution(workflowId, undefined, input)),
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
  /** Single ones: who waits for an end, and ends that came before anybody waited. */
  readonly #awaited = new Map<string, () => void>()
  readonly #early = new Set<string>()

  readonly flushed = noObserver.flushed
  readonly attemptStarted = noObserver.attemptStarted
  readonly attemptEnded = noObserver.attemptEnded

  expect(executions: number): Promise<void> {
    this.#missing = executions
    return new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  /** The end of one that was started. */
  of(id: string): Promise<void> {
    if (this.#early.delete(id)) return Promise.resolve()
    return new Promise((resolve) => this.#awaited.set(id, resolve))
  }

  committed({ id }: { readonly id: string }, { events }: Parameters<Observer['committed']>[1]): void {
    const last = events.at(-1)!
    if (last.type === 'execution.completed') this.#ended(id)
    else if (last.type === 'execution.failed') throw new Error(`An execution failed: ${JSON.stringify(last.data)}`)
  }

  #ended(id: string): void {
    if (this.#missing > 0) {
      this.#missing--
      if (this.#missing === 0) this.#resolve()
    } else if (!this.#awaited.has(id)) this.#early.add(id)
    else {
      this.#awaited.get(id)!()
      this.#awaited.delete(id)
    }
  }
}

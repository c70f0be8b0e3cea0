import type { Json } from '../src/definition/json.ts'
import { WorkflowEngine } from '../src/engine/engine.ts'
import { noObserver } from '../src/engine/observer.ts'

/** For an action's template: how long each attempt stays under way. */
export const DELAY = '{{input.delayMs}}'

/**
 * Bytes of heap that so many executions hold together while all their attempts are under way, `width` of each, measured after
 * garbage collections (`gc` must be exposed). The steps take their delay from `DELAY`; what an execution that ends leaves behind,
 * such as the plan, is not in it.
 */
export async function heldBytes(
  databaseUrl: string,
  steps: readonly object[],
  { executions, width }: { readonly executions: number; readonly width: number },
): Promise<number> {
  const under = new Attempts()
  const engine = new WorkflowEngine({
    ...{ databaseUrl, maxAttempts: 1_000_000, drainMs: 0 },
    observer: { ...noObserver, attemptStarted: () => under.begin() },
  })
  await engine.start()
  try {
    const { id } = await engine.createWorkflow({ name: 'held', output: 'done', steps })
    const start = (delayMs: number): Promise<string> => engine.startExecution(id, 'perf', { delayMs } satisfies Json)
    await engine.waitForEnd(await start(0), 60_000)
    const before = await usedBytes()
    const all = under.reach(executions * width)
    await Promise.all(Array.from({ length: executions }, () => start(3_600_000)))
    await all
    return (await usedBytes()) - before
  } finally {
    await engine.stop()
  }
}

class Attempts {
  #missing = Number.POSITIVE_INFINITY
  #resolve = (): void => {}

  reach(attempts: number): Promise<void> {
    this.#missing = attempts
    return new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  begin(): null {
    this.#missing -= 1
    if (this.#missing === 0) this.#resolve()
    return null
  }
}

async function usedBytes(): Promise<number> {
  const { gc } = globalThis as { gc?: () => void }
  if (gc === undefined) throw new Error('the garbage collector is not exposed')
  // What the last turn still holds goes first.
  await new Promise((resolve) => setTimeout(resolve, 200))
  gc()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

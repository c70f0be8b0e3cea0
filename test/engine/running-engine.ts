import type { Test } from 'tap'
import { Type } from 'typebox'
import type { Json } from '../../src/definition/json.ts'
import { type ActionContext, type ActionResult, defineAction } from '../../src/engine/actions/action.ts'
import type { JournalEvent } from '../../src/engine/core/event.ts'
import { WorkflowEngine } from '../../src/engine/engine.ts'
import type { EngineOptions } from '../../src/engine/engine-options.ts'
import { createTestDatabase } from '../harness/database.ts'

/** What the action `call` does in this test, by the `name` in its config. */
export type Calls = Record<string, (context: ActionContext) => Promise<ActionResult | Json> | ActionResult | Json>

/** `call` runs one of the test's own functions; what is not an ActionResult is its output. */
const callAction = (calls: Calls) =>
  defineAction({
    type: 'call',
    configSchema: Type.Object({ name: Type.String() }),
    async perform({ name }, context) {
      const result = await calls[name]!(context)
      return typeof result === 'object' && result !== null && 'output' in result
        ? (result as ActionResult)
        : { output: result }
    },
  })

/** A started engine on a database of the test's own, stopped at its end. */
export async function startEngine(
  t: Test,
  calls: Calls = {},
  options: EngineOptions = {},
  seams: ConstructorParameters<typeof WorkflowEngine>[1] = {},
): Promise<WorkflowEngine> {
  const databaseUrl = options.databaseUrl ?? (await createTestDatabase(t)).url
  const engine = new WorkflowEngine({ parkAfterMs: 20, ...options, databaseUrl, actions: [callAction(calls)] }, seams)
  t.teardown(() => engine.stop())
  await engine.start()
  return engine
}

export const call = (id: string, rest: object = {}): object => ({
  id,
  name: id,
  type: 'action',
  config: { type: 'call', name: id },
  ...rest,
})
export const echo = (id: string, config: object = {}, rest: object = {}): object => ({
  id,
  name: id,
  type: 'action',
  config: { type: 'echo', ...config },
  ...rest,
})

let made = 0

/** Starts an execution of these steps. */
export async function run(
  engine: WorkflowEngine,
  steps: readonly object[],
  options: { input?: Json; definition?: object } = {},
): Promise<string> {
  const workflow = await engine.createWorkflow({ name: `test ${++made}`, steps, ...options.definition })
  return engine.startExecution(workflow.id, 'test', options.input ?? null)
}

/** The execution once it has ended. */
export const ended = (engine: WorkflowEngine, executionId: string) => engine.waitForEnd(executionId, 60_000)

export const journalOf = (engine: WorkflowEngine, executionId: string): Promise<JournalEvent[]> =>
  engine.store.eventsAfter(executionId, 0, 10_000)

export const typesOf = async (engine: WorkflowEngine, executionId: string): Promise<string[]> =>
  (await journalOf(engine, executionId)).map((event) =>
    event.path === null ? event.type : `${event.type} ${event.path}`,
  )

/** Resolves with the first event of that type (and path), whether it was before or is to come. */
export function seen(engine: WorkflowEngine, executionId: string, type: string, path?: string): Promise<JournalEvent> {
  return new Promise((resolve) => {
    const unsubscribe = engine.subscribe(
      executionId,
      (message) => {
        if (message.type !== 'event' || message.event.type !== type) return
        if (path !== undefined && message.event.path !== path) return
        unsubscribe()
        resolve(message.event)
      },
      { after: 0 },
    )
  })
}

/** A promise with its key: for attempts that wait until the test lets them go on. */
export function latch<T = void>(): { promise: Promise<T>; open(value: T): void } {
  const { promise, resolve } = Promise.withResolvers<T>()
  return { promise, open: resolve }
}

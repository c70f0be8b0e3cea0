import { Type } from 'typebox'
import { defineAction } from '../src/engine/actions/action.ts'
import { WorkflowEngine } from '../src/engine/engine.ts'
import { noObserver, type Observer } from '../src/engine/observer.ts'

export const definition = {
  name: 'held',
  steps: [
    { id: 'before', name: 'Before', type: 'action', config: { type: 'echo', value: 'x'.repeat(100) } },
    { id: 'hold', name: 'Hold', type: 'action', config: { type: 'hold' } },
  ],
}

/** A node whose `hold` either stays under way for ever or ends at once. */
export function holdingNode(
  databaseUrl: string,
  leaseMs: number,
  onHold: 'stay' | 'end',
  observer: Partial<Observer>,
): WorkflowEngine {
  const hold = defineAction({
    type: 'hold',
    configSchema: Type.Object({}),
    perform: (_, { signal }) =>
      onHold === 'end'
        ? Promise.resolve({ output: null })
        : new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  })
  return new WorkflowEngine({
    databaseUrl,
    leaseMs,
    actions: [hold],
    maxAttempts: 1_000_000,
    observer: { ...noObserver, ...observer },
  })
}

/** The process that is killed: holds `COUNT` executions, says so, and stays. */
if (import.meta.main) {
  const { DATABASE_URL, COUNT, LEASE_MS } = process.env as Record<string, string>
  const count = Number(COUNT)
  let held = 0
  const engine = holdingNode(DATABASE_URL!, Number(LEASE_MS), 'stay', {
    attemptStarted({ path }) {
      if (path === 'hold') held += 1
      if (held === count) process.send?.('holding')
      return null
    },
  })
  process.on('disconnect', () => process.exit(1))
  await engine.start()
  const { id } = await engine.createWorkflow(definition)
  // Not all at once: a start that finds nothing in the caches asks the database, through a pool of ten connections.
  for (let started = 0; started < count; started += 100) {
    await Promise.all(
      Array.from({ length: Math.min(100, count - started) }, () => engine.startExecution(id, 'perf', null)),
    )
  }
}

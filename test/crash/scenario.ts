import { Type } from 'typebox'
import { ActionError, defineAction } from '../../src/engine/actions/action.ts'
import type { JournalEvent } from '../../src/engine/core/event.ts'
import { WorkflowEngine } from '../../src/engine/engine.ts'
import type { Observer } from '../../src/engine/observer.ts'
import { noObserver } from '../../src/engine/observer.ts'

/** Tells the ledger before it answers: what the ledger has not heard of was not performed. */
const ledgerAction = (ledgerUrl: string) =>
  defineAction({
    type: 'ledger',
    configSchema: Type.Object({ value: Type.Optional(Type.Unknown()), failures: Type.Optional(Type.Integer()) }),
    async perform({ value, failures = 0 }, { path, idempotencyKey, attempt, signal }) {
      const response = await fetch(ledgerUrl, {
        method: 'POST',
        signal,
        body: JSON.stringify({ path, key: idempotencyKey, attempt }),
      })
      const { performed } = (await response.json()) as { performed: number }
      if (performed <= failures) throw new ActionError('ConnectionError', 'not yet', { retryable: true })
      return { output: (value ?? path) as string }
    },
  })

export function scenarioEngine(options: {
  databaseUrl: string
  ledgerUrl: string
  observer?: Partial<Observer>
}): WorkflowEngine {
  const { databaseUrl, ledgerUrl, observer } = options
  return new WorkflowEngine({
    databaseUrl,
    leaseMs: 1_000,
    parkAfterMs: 20,
    actions: [ledgerAction(ledgerUrl)],
    observer: { ...noObserver, ...observer },
  })
}

const step = (id: string, config: object = {}, rest: object = {}): object => ({
  id,
  name: id,
  type: 'action',
  config: { type: 'ledger', ...config },
  ...rest,
})

/** Every kind of event that an execution can have happens in it; see `drive`. */
export const definition = {
  name: 'everything',
  timeoutMs: 60_000,
  steps: [
    step('one'),
    step('two', {}, { when: 'data == "one"' }),
    step('never', {}, { when: 'false' }),
    step('once', {}, { delivery: 'at_most_once' }),
    step('again', { failures: 1 }, { retryPolicy: { maxAttempts: 4, initialIntervalMs: 500, jitter: 0 } }),
    {
      id: 'fan',
      name: 'fan',
      type: 'parallel',
      config: { steps: [step('left', { value: 1 }), step('right', { value: 2 }, { dependencies: ['left'] })] },
    },
    {
      id: 'which',
      name: 'which',
      type: 'condition',
      config: { condition: 'data.left == 1', then: [step('yes')], else: [step('no')] },
    },
    step('broken', { failures: 1 }),
    step('last', { value: { sum: '{{ steps.fan.output.left + steps.fan.output.right }}' } }),
  ],
}

/**
 * Takes an execution through a pause, a signal, a retry and a rollback, going by its history only, so that another process
 * can go on with it where the one before was killed. Resolves when it has been completed for the second time.
 */
export function drive(engine: WorkflowEngine, executionId: string): Promise<JournalEvent[]> {
  const history: JournalEvent[] = []
  const asked = new Set<string>()
  let known = 0
  return new Promise((resolve, reject) => {
    const ask = (name: string, request: () => Promise<unknown>): void => {
      if (asked.has(name)) return
      asked.add(name)
      // A conflict means that the process before had asked already.
      request().catch((error) => (error.code === 'EXECUTION_STATUS_CONFLICT' ? undefined : reject(error)))
    }
    const unsubscribe = engine.subscribe(
      executionId,
      (message) => {
        if (message.type === 'snapshot') known = message.seq
        if (message.type !== 'event') return
        history.push(message.event)
        // What a process before this one has asked for must not be asked again.
        if (message.event.seq < known) return
        const has = (type: string): boolean => history.some((event) => event.type === type)
        const isLast = (type: string): boolean => message.event.type === type
        if (history.some((event) => event.type === 'step.completed') && !has('execution.pause_requested')) {
          ask('pause', () => engine.pauseExecution(executionId))
        }
        const lastHeld = history.findLast(({ type }) => type === 'execution.paused' || type === 'execution.resumed')
        if (lastHeld?.type === 'execution.paused')
          ask(`resume ${lastHeld.seq}`, () => engine.resumeExecution(executionId))
        if (has('execution.resumed') && !has('signal.received')) {
          ask('signal', () => engine.signal(executionId, 'hello', { n: 1 }))
        }
        if (isLast('execution.failed')) ask(`retry ${message.event.seq}`, () => engine.retryExecution(executionId))
        if (has('execution.completed') && !has('execution.rolled_back')) {
          ask('rollback', () => engine.rollbackToCheckpoint(executionId, 1, { resume: true }))
        }
        if (isLast('execution.completed') && has('execution.rolled_back')) {
          unsubscribe()
          resolve(history)
        }
      },
      { after: 0 },
    )
  })
}

import { Type } from 'typebox'
import { compile } from '../../src/definition/compile.ts'
import type { Plan } from '../../src/definition/plan.ts'
import { type Action, ActionError, defineAction } from '../../src/engine/actions/action.ts'
import { ActionRegistry, builtInActions } from '../../src/engine/actions/registry.ts'
import type { JournalEvent } from '../../src/engine/core/event.ts'
import { WorkflowEngine } from '../../src/engine/engine.ts'
import type { Seams } from '../../src/engine/node-process.ts'
import type { Observer } from '../../src/engine/observer.ts'
import { noObserver } from '../../src/engine/observer.ts'

/** Tells the ledger before it answers: what the ledger has not heard of was not performed. */
export const ledgerAction = (ledgerUrl: string): Action =>
  defineAction({
    type: 'ledger',
    configSchema: Type.Object({
      value: Type.Optional(Type.Unknown()),
      // How often it fails before it goes well.
      failures: Type.Optional(Type.Integer()),
      // Length of a text that is its output, in place of `value`.
      size: Type.Optional(Type.Integer()),
    }),
    async perform({ value, failures = 0, size }, { path, idempotencyKey, attempt, signal, mayPerform }) {
      mayPerform()
      const response = await fetch(ledgerUrl, {
        method: 'POST',
        signal,
        body: JSON.stringify({ path, key: idempotencyKey, attempt }),
      })
      const { performed } = (await response.json()) as { performed: number }
      if (performed <= failures) throw new ActionError('ConnectionError', 'not yet', { retryable: true })
      return { output: size === undefined ? ((value ?? path) as string) : 'x'.repeat(size) }
    },
  })

/** Asks, and ends its process when it is answered: an action that exits, or takes all the memory there is. */
const fatalAction = defineAction({
  type: 'fatal',
  configSchema: Type.Object({ url: Type.String(), how: Type.Enum(['exit', 'kill']) }),
  async perform({ url, how }) {
    await fetch(url, { method: 'POST' })
    if (how === 'exit') process.exit(7)
    process.kill(process.pid, 'SIGKILL')
    return { output: null }
  },
})

export function scenarioEngine(options: {
  databaseUrl: string
  ledgerUrl: string
  leaseMs?: number | undefined
  maxRunning?: number
  observer?: Partial<Observer>
  seams?: Partial<Seams>
}): WorkflowEngine {
  const { databaseUrl, ledgerUrl, leaseMs = 60_000, maxRunning = 10_000, observer, seams } = options
  const settings = {
    databaseUrl,
    leaseMs,
    maxRunning,
    parkAfterMs: 20,
    // The tests' own servers, for http_request.
    targets: { http: { allowPrivateNetwork: true } },
    actions: [ledgerAction(ledgerUrl), fatalAction],
    observer: { ...noObserver, ...observer },
  }
  return new WorkflowEngine(settings, seams)
}

/** A step that tells the ledger. */
export const step = (id: string, config: object = {}, rest: object = {}): object => ({
  id,
  name: id,
  type: 'action',
  config: { type: 'ledger', ...config },
  ...rest,
})

/** Every kind of event that an execution can have happens in it; see `drive`. */
export const definition = {
  name: 'everything',
  timeoutMs: 3_600_000,
  steps: [
    step('one'),
    step('two', {}, { when: 'data == "one"' }),
    step('never', {}, { when: 'false' }),
    // Enough for a snapshot: what the first iterations have brought is not in the state any more.
    {
      id: 'loop',
      name: 'loop',
      type: 'while',
      config: { condition: 'index < 4', steps: [step('big', { size: 70_000 })], maxIterations: 4 },
    },
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

/** What the definition is compiled to. */
export function planOf(definition: object): Plan {
  const actions = [...builtInActions().actions, ledgerAction(''), fatalAction]
  const result = compile(definition, new ActionRegistry(actions).shapes())
  if ('faults' in result) throw new Error(JSON.stringify(result.faults))
  return result.plan
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
    // Under a key of the history's own: a process that asks again what one before it has asked changes nothing.
    const ask = (name: string, request: (options: { idempotencyKey: string }) => Promise<unknown>): void => {
      if (asked.has(name)) return
      asked.add(name)
      request({ idempotencyKey: name }).catch((error) =>
        error.code === 'EXECUTION_STATUS_CONFLICT' ? undefined : reject(error),
      )
    }
    const unsubscribe = engine.subscribe(
      executionId,
      (message) => {
        if (message.type === 'snapshot') known = message.seq
        if (message.type !== 'event') return
        history.push(message.event)
        if (message.event.seq < known) return
        const has = (type: string): boolean => history.some((event) => event.type === type)
        const isLast = (type: string): boolean => message.event.type === type
        // A refusal changes nothing.
        const last = history.findLast(({ type }) => type !== 'control.refused')
        const isOver = last?.type === 'execution.failed' || last?.type === 'execution.completed'
        // It is refused when the execution has just ended, and forgotten when it fails before it takes effect.
        const setbacks = history.filter(({ type }) => type === 'control.refused' || type === 'execution.failed').length
        const asking = history.findLast(
          ({ type }) => type === 'execution.pause_requested' || type === 'execution.failed',
        )
        if (
          has('step.completed') &&
          !has('execution.paused') &&
          !isOver &&
          asking?.type !== 'execution.pause_requested'
        )
          ask(`pause ${setbacks}`, (options) => engine.pauseExecution(executionId, options))
        const lastHeld = history.findLast(({ type }) => type === 'execution.paused' || type === 'execution.resumed')
        if (lastHeld?.type === 'execution.paused')
          ask(`resume ${lastHeld.seq}`, (options) => engine.resumeExecution(executionId, options))
        if (has('execution.resumed') && !has('signal.received')) {
          ask('signal', (options) => engine.signal(executionId, 'hello', { n: 1 }, options))
        }
        if (last?.type === 'execution.failed')
          ask(`retry ${last.seq}`, (options) => engine.retryExecution(executionId, options))
        if (has('execution.completed') && !has('execution.rolled_back')) {
          ask('rollback', (options) => engine.rollback(executionId, { checkpointIndex: 1, resume: true, ...options }))
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

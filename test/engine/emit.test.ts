import t from 'tap'
import type { Json } from '../../src/definition/json.ts'
import type { WorkflowEngine } from '../../src/engine/engine.ts'
import { until } from '../harness/condition.ts'
import { createTestDatabase } from '../harness/database.ts'
import { echo, ended, journalOf, run, seen, startEngine } from './running-engine.ts'

const emit = (to: object, config: object = {}): object => ({
  id: 'tell',
  type: 'emit',
  config: { signal: 'news', to, ...config },
})
const waiting = [{ id: 'w', type: 'wait_for_signal', config: { signal: 'news' } }]

/** A workflow of that name that waits for the signal. */
const listeners = async (engine: WorkflowEngine, name: string): Promise<string> =>
  (await engine.createWorkflow({ name, steps: waiting })).id

const start = async (engine: WorkflowEngine, workflowId: string, rest: object = {}): Promise<string> =>
  (await engine.requestStart({ workflowId, ...rest })).execution.id

const outcome = async (engine: WorkflowEngine, executionId: string) => {
  const { status, output, error } = await ended(engine, executionId)
  return status === 'completed' ? output : error
}

/** What the step that emits came to. */
const told = async (engine: WorkflowEngine, executionId: string): Promise<Json> =>
  (await seen(engine, executionId, 'step.completed', 'tell')).data

t.test('an execution gets a signal by its id, and the sender goes on with the data that it had', async (t) => {
  const engine = await startEngine(t)
  const id = await start(engine, await listeners(engine, 'listener'))
  const step = emit({ executionId: '{{ input }}' }, { payload: { from: '{{ execution.id }}' } })
  const sender = await run(engine, [echo('x', { value: 'kept' }), step], { input: id })
  t.same(await told(engine, sender), { output: { delivered: 1 } })
  t.equal(await outcome(engine, sender), 'kept')
  t.same(await outcome(engine, id), { from: sender })
  const others = await Promise.all([1, 2].map(() => run(engine, waiting)))
  const many = await run(engine, [emit({ executionId: '{{ input }}' })], { input: [...others, others[0]!] })
  t.same(await told(engine, many), { output: { delivered: 2 } }, 'each once, however often it is named')
  for (const other of others) t.same(await outcome(engine, other), [...others, others[0]!], 'data, without a payload')
})

t.test('a signal kept before the wait, to itself too', async (t) => {
  const engine = await startEngine(t)
  const id = await run(engine, [emit({ executionId: '{{ execution.id }}' }, { payload: 7 }), ...waiting])
  t.equal(await outcome(engine, id), 7)
})

t.test('what goes by correlation reaches the live executions that everything named holds, on any node', async (t) => {
  const { url: databaseUrl } = await createTestDatabase(t)
  const engine = await startEngine(t, {}, { databaseUrl })
  const other = await startEngine(t, {}, { databaseUrl })
  const [one, two] = [await listeners(engine, 'one'), await listeners(engine, 'two')]
  const [a, b] = [await start(engine, one, { correlationId: 'c' }), await start(other, two, { correlationId: 'c' })]
  const stranger = await start(other, one, { correlationId: 'd', executionKey: 'k' })
  const gone = await start(engine, one, { correlationId: 'c' })
  await engine.cancelExecution(gone)
  const sender = await engine.createWorkflow({
    name: 'sender',
    steps: [emit({ correlationId: '{{ execution.correlationId }}', workflow: '{{ input }}' }, { payload: 'one' })],
  })
  const narrow = await start(engine, sender.id, { correlationId: 'c', input: 'one' })
  t.same(await told(engine, narrow), { output: { delivered: 1 } })
  t.equal(await outcome(engine, a), 'one')
  const all = await run(engine, [emit({ correlationId: 'c' }, { payload: 'all' })])
  t.same(await told(engine, all), { output: { delivered: 1 } }, 'the others have ended')
  t.equal(await outcome(engine, b), 'all')
  const keyed = await run(engine, [emit({ executionKey: 'k', workflow: 'one' }, { payload: 'key' })])
  t.same(await told(engine, keyed), { output: { delivered: 1 } })
  t.equal(await outcome(engine, stranger), 'key')
})

t.test('what a receiver would never take is a fault of the sender, and nobody gets it', async (t) => {
  const engine = await startEngine(t)
  const choosy = [{ id: 'wait', type: 'wait_for_signal', config: { signal: 'news', schema: { type: 'integer' } } }]
  const [plain, other] = [await run(engine, waiting), await run(engine, choosy)]
  const both = emit({ executionId: [plain, other] }, { payload: '{{ input }}' })
  t.match(await outcome(engine, await run(engine, [both], { input: 'x' })), {
    type: 'ValidationError',
    message: `no step of execution ${other} takes it: payload must be an integer`,
  })
  await ended(engine, await run(engine, [both], { input: 7 }))
  t.equal(await outcome(engine, plain), 7, 'the first was sent to neither')
  t.equal(await outcome(engine, other), 7)
})

t.test('nobody there: it goes on with 0, or fails as NoReceiver', async (t) => {
  const engine = await startEngine(t)
  const nobody = { correlationId: 'nobody' }
  const quiet = await run(engine, [emit(nobody)])
  t.same(await told(engine, quiet), { output: { delivered: 0 } })
  t.match(await outcome(engine, await run(engine, [emit(nobody, { onNobody: 'fail' })])), {
    type: 'NoReceiver',
    stepPath: 'tell',
  })
})

t.test('an address or a name that comes to nothing is a fault, and widens nothing', async (t) => {
  const engine = await startEngine(t)
  const listener = await start(engine, await listeners(engine, 'listener'), { correlationId: 'c', executionKey: 'k' })
  const fail = async (step: object, type: string): Promise<void> =>
    void t.match(await outcome(engine, await run(engine, [step], { input: {} })), { type, stepPath: 'tell' })
  await fail(emit({ correlationId: 'c', executionKey: '{{ input.key }}' }), 'ValidationError')
  await fail(emit({ correlationId: '{{ input.key }}' }), 'ValidationError')
  await fail(emit({ executionId: 'no id' }), 'ValidationError')
  await fail(emit({ executionId: ['{{ execution.id }}', '{{ input }}'] }), 'ValidationError')
  await fail(emit({ correlationId: 'c' }, { signal: '{{ input.name }}' }), 'ValidationError')
  await fail(emit({ correlationId: 'c' }, { signal: '{{ nothing }}' }), 'ExpressionError')
  const types = (await journalOf(engine, listener)).map(({ type }) => type)
  t.notOk(types.includes('signal.received'))
})

t.test('limits are named errors, and nobody gets anything', async (t) => {
  const engine = await startEngine(t, {}, { maxPayloadBytes: 100_000 })
  const workflowId = await listeners(engine, 'listener')
  const ids = await Promise.all(Array.from({ length: 101 }, () => start(engine, workflowId, { correlationId: 'many' })))
  t.match(await outcome(engine, await run(engine, [emit({ correlationId: 'many' })])), { type: 'TooManyReceivers' })
  const named = await run(engine, [emit({ executionId: '{{ input }}' })], { input: ids })
  t.match(await outcome(engine, named), { type: 'TooManyReceivers' })
  const large = "{{ 'x'.repeat(100000) }}"
  const steps = [emit({ executionId: ids[0]! }, { payload: large })]
  t.match(await outcome(engine, await run(engine, steps)), { type: 'PayloadTooLarge' })
  const [full] = ids as [string]
  await engine.pauseExecution(full)
  const at = Date.now()
  for (let count = 0; count < 1000; count++) {
    const requestId = crypto.randomUUID()
    await engine.store.insertInbox({ executionId: full, kind: 'signal', name: 'other', payload: null, requestId, at })
  }
  t.match(await outcome(engine, await run(engine, [emit({ executionId: [ids[1]!, full] })])), {
    type: 'SignalsFull',
    message: new RegExp(full),
  })
  t.notOk((await journalOf(engine, ids[1]!)).some(({ type }) => type === 'signal.received'))
})

t.test('a paused execution emits when it is resumed', async (t) => {
  const engine = await startEngine(t)
  const listener = await start(engine, await listeners(engine, 'listener'))
  const id = await run(engine, [...waiting, emit({ executionId: listener })])
  await seen(engine, id, 'step.decided', 'w')
  await engine.pauseExecution(id)
  await engine.signal(id, 'news', 1)
  await until('it has the signal', async () =>
    (await journalOf(engine, id)).some(({ type }) => type === 'signal.received'),
  )
  await engine.resumeExecution(id)
  t.same(await told(engine, id), { output: { delivered: 1 } })
  t.equal(await outcome(engine, listener), 1)
})

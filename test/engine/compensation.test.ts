/** Compensations and onFailure as they show from outside, and across nodes. */
import t from 'tap'
import { createTestDatabase } from '../harness/database.ts'
import { call, echo, ended, journalOf, latch, run, seen, startEngine, typesOf } from './running-engine.ts'

const booking = (id: string) =>
  echo(id, { value: `${id} done` }, { compensate: { type: 'echo', value: 'undone: {{ completed.output }}' } })
const broken = echo('ship', { fail: { type: 'NoCarrier', message: 'nobody delivers there' } })

t.test('what was completed is taken back, visibly, and then the execution is failed', async (t) => {
  const onFailure = [echo('tell', { value: '{{ error.type }} at {{ error.stepPath }}' })]
  const engine = await startEngine(t)
  const id = await run(engine, [booking('hotel'), booking('flight'), broken], { definition: { onFailure } })
  const execution = await ended(engine, id)
  t.match(execution, { status: 'failed', error: { type: 'NoCarrier', stepPath: 'ship' } })
  t.strictSame(await typesOf(engine, id), [
    'execution.started',
    'step.completed hotel',
    'step.completed flight',
    'step.failed ship',
    'step.completed flight[compensate].compensate-flight',
    'step.completed hotel[compensate].compensate-hotel',
    'step.completed [onFailure].tell',
    'execution.failed',
  ])
  const outputs = (await journalOf(engine, id)).map(({ data }) => (data as { output?: unknown }).output)
  t.strictSame(outputs.slice(4, 7), ['undone: flight done', 'undone: hotel done', 'NoCarrier at ship'])
  const { steps, totalSteps } = await engine.getProgress(id)
  t.equal(totalSteps, 3)
  t.match(steps.slice(3), [
    { id: 'compensate-flight', name: 'Compensate flight', status: 'completed' },
    { id: 'compensate-hotel', path: 'hotel[compensate].compensate-hotel', status: 'completed' },
    { id: 'tell', path: '[onFailure].tell', status: 'completed' },
  ])
})

t.test('what was compensated is gone on from no more', async (t) => {
  const engine = await startEngine(t)
  const id = await run(engine, [echo('look'), booking('hotel'), broken])
  await ended(engine, id)
  await t.rejects(engine.control(id, 'retry'), { code: 'EXECUTION_COMPENSATED', status: 409 })
  await t.rejects(engine.rollbackToCheckpoint(id, 1), { code: 'EXECUTION_COMPENSATED' })
  await engine.rollbackToCheckpoint(id, 0, { resume: true })
  t.match(await ended(engine, id), { status: 'failed', error: { type: 'NoCarrier' } })
  const types = await typesOf(engine, id)
  t.equal(types.filter((type) => type === 'step.completed hotel').length, 2, 'from before it all begins anew')
  t.equal(types.filter((type) => type.includes('compensate-hotel')).length, 2)
})

t.test('another node goes on with the compensations where the first one left them', async (t) => {
  const { url: databaseUrl } = await createTestDatabase(t)
  const held = latch()
  const definition = { onFailure: [call('tell')] }
  const undo = { compensate: { type: 'call', name: 'undo' } }
  const calls = { book: () => 'booked', tell: () => 'told', ship: () => Promise.reject(new Error('no')) }
  const first = await startEngine(
    t,
    { ...calls, undo: () => held.promise.then(() => 'late') },
    { databaseUrl, drainMs: 1 },
  )
  const id = await run(first, [call('book', undo), call('ship')], { definition })
  await seen(first, id, 'step.failed', 'ship')
  await first.stop()
  const second = await startEngine(t, { ...calls, undo: () => 'undone' }, { databaseUrl })
  t.match(await ended(second, id), { status: 'failed', error: { stepPath: 'ship' } })
  held.open()
  t.match(
    (await journalOf(second, id)).filter(({ type }) => type === 'step.completed').map(({ path, data }) => [path, data]),
    [
      ['book', { output: 'booked' }],
      ['book[compensate].compensate-book', { output: 'undone' }],
      ['[onFailure].tell', { output: 'told' }],
    ],
  )
})

t.test('an execution that takes too long runs onFailure too', async (t) => {
  const engine = await startEngine(t)
  const definition = { onFailure: [echo('tell', { value: '{{ error.type }}' })], timeoutMs: 50 }
  const id = await run(engine, [{ id: 'go', type: 'wait_for_signal', config: { signal: 'go' } }], { definition })
  t.match(await ended(engine, id), { status: 'failed', error: { type: 'TimeoutError', stepPath: 'go' } })
  t.strictSame((await typesOf(engine, id)).slice(-3), [
    'execution.failing',
    'step.completed [onFailure].tell',
    'execution.failed',
  ])
})

t.test('a rollback with compensate takes back what came after the checkpoint, and goes on from there', async (t) => {
  const engine = await startEngine(t)
  const id = await run(engine, [booking('hotel'), booking('flight'), booking('car')])
  await ended(engine, id)
  const { effective } = await engine.rollback(id, { checkpointIndex: 0, compensate: true, resume: true })
  t.equal(effective, true)
  t.match(await ended(engine, id), { status: 'completed', output: 'car done' })
  const steps = (await typesOf(engine, id)).slice(5)
  t.strictSame(steps, [
    'execution.compensating',
    'step.completed car[compensate].compensate-car',
    'step.completed flight[compensate].compensate-flight',
    'execution.rolled_back',
    'step.completed flight',
    'step.completed car',
    'execution.completed',
  ])
  t.equal((await engine.getProgress(id)).steps.length, 3, 'what was undone is history')
})

t.test('a rollback is planned at any node, also of an execution that another one has', async (t) => {
  const { url: databaseUrl } = await createTestDatabase(t)
  const held = latch()
  const first = await startEngine(t, { hold: () => held.promise.then(() => null) }, { databaseUrl })
  const second = await startEngine(t, { hold: () => held.promise.then(() => null) }, { databaseUrl })
  const id = await run(first, [echo('look'), booking('hotel'), call('hold')])
  await seen(first, id, 'step.completed', 'hotel')
  const plan = await second.planRollback(id, { checkpointIndex: 0, compensate: true })
  t.match(plan, {
    compensated: [{ path: 'hotel', compensation: 'hotel[compensate]' }],
    performedAgain: [
      { path: 'hotel', status: 'completed' },
      { path: 'hold', status: 'running' },
    ],
    kept: [{ path: 'look' }],
  })
  held.open()
  t.match(await ended(first, id), { status: 'completed' })
})

t.test('a rollback whose compensation fails ends the execution; then it can go back without', async (t) => {
  let fails = true
  const undo = () => (fails ? Promise.reject(new Error('closed')) : 'undone')
  const engine = await startEngine(t, { book: () => 'booked', undo })
  const step = call('book', { compensate: { type: 'call', name: 'undo' } })
  const id = await run(engine, [echo('look'), step])
  await ended(engine, id)
  const { execution } = await engine.rollback(id, { checkpointIndex: 0, compensate: true })
  t.match(execution, {
    status: 'failed',
    error: { type: 'CompensationFailed', message: /compensation of book failed/ },
  })
  await t.rejects(engine.rollback(id, { checkpointIndex: 1 }), { code: 'EXECUTION_COMPENSATED' })
  fails = false
  await engine.rollback(id, { checkpointIndex: 0, compensate: true, resume: true })
  t.match(await ended(engine, id), { status: 'completed' })
})

t.test('a compensation may be another workflow; a child that is live is cancelled before it begins', async (t) => {
  const engine = await startEngine(t, { ship: ({ path }) => Promise.reject(new Error(`no carrier at ${path}`)) })
  await engine.createWorkflow({ name: 'refund', steps: [echo('back', { value: 'refunded {{ input }}' })] })
  const never = { id: 'w', type: 'wait_for_signal', config: { signal: 'never' } }
  await engine.createWorkflow({ name: 'delivery', steps: [never] })
  const child = (id: string, workflow: string, config: object = {}): object => ({
    id,
    type: 'sub_workflow',
    config: { workflow, ...config },
  })
  const back = child('take-back', 'refund', { input: '{{ data }}' })
  const pay = echo('pay', { value: 30 }, { compensate: [back] })
  const go = { id: 'go', type: 'wait_for_signal', config: { signal: 'go' } }
  const shipping = { id: 'shipping', type: 'sequential', config: { steps: [go, call('ship')] } }
  const both = { id: 'both', type: 'parallel', config: { steps: [child('deliver', 'delivery'), shipping] } }
  const id = await run(engine, [pay, both])
  const startedBy = async (path: string): Promise<string> =>
    ((await seen(engine, id, 'child.started', path)).data as { executionId: string }).executionId
  const delivery = await startedBy('both.deliver')
  await engine.signal(id, 'go', null)
  t.match(await ended(engine, id), { status: 'failed', error: { stepPath: 'both.shipping.ship' } })
  t.equal((await ended(engine, delivery)).status, 'cancelled')
  const refund = await startedBy('pay[compensate].take-back')
  t.match(await ended(engine, refund), { status: 'completed', output: 'refunded 30', parentExecutionId: id })
  const outcome = (await journalOf(engine, id)).find(
    ({ type, path }) => type === 'step.completed' && path === 'pay[compensate].take-back',
  )
  t.match(outcome?.data, { output: 'refunded 30' })
})

t.test('a rollback that compensates takes back what a child came after, and the child is started anew', async (t) => {
  const engine = await startEngine(t)
  await engine.createWorkflow({ name: 'double', steps: [echo('times', { value: '{{ input * 2 }}' })] })
  const double = { id: 'double', type: 'sub_workflow', config: { workflow: 'double' } }
  const id = await run(engine, [echo('first', { value: 21 }), double, booking('hotel')])
  t.match(await ended(engine, id), { status: 'completed' })
  await engine.rollbackToCheckpoint(id, 0, { compensate: true, resume: true })
  t.match(await ended(engine, id), { status: 'completed', output: 'hotel done' })
  const types = await typesOf(engine, id)
  t.equal(types.filter((type) => type === 'child.started double').length, 2)
  t.equal(types.filter((type) => type === 'step.completed hotel[compensate].compensate-hotel').length, 1)
})

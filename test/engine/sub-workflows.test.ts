import t from 'tap'
import type { Json } from '../../src/definition/json.ts'
import type { WorkflowEngine } from '../../src/engine/engine.ts'
import { until } from '../harness/condition.ts'
import { call, echo, ended, journalOf, latch, run, seen, startEngine, typesOf } from './running-engine.ts'

const sub = (id: string, workflow: string, config: object = {}, rest: object = {}): object => ({
  id,
  type: 'sub_workflow',
  config: { workflow, ...config },
  ...rest,
})

const define = async (engine: WorkflowEngine, name: string, steps: readonly object[], rest: object = {}) =>
  (await engine.createWorkflow({ name, steps, ...rest })).id

/** The child that a step has started, once that is on record. */
const childOf = async (engine: WorkflowEngine, executionId: string, path = 'child'): Promise<string> =>
  ((await seen(engine, executionId, 'child.started', path)).data as { executionId: string }).executionId

const statusOf = async (engine: WorkflowEngine, executionId: string) => (await engine.getExecution(executionId)).status

const becomes = (engine: WorkflowEngine, executionId: string, status: string): Promise<unknown> =>
  until(`${executionId} is ${status}`, async () => (await statusOf(engine, executionId)) === status)

t.test('a child is an execution of its own, whose output the step is completed with', async (t) => {
  const engine = await startEngine(t)
  const childWorkflow = await define(engine, 'double', [echo('times', { value: '{{ input.n * 2 }}' })])
  const steps = [sub('child', 'double', { input: { n: '{{ input }}' } }), echo('after', { value: '{{ data + 1 }}' })]
  const id = await run(engine, steps, { input: 21 })
  t.match(await ended(engine, id), { status: 'completed', output: 43 })
  const childId = await childOf(engine, id)
  t.match(await engine.getExecution(childId), {
    workflowId: childWorkflow,
    workflowVersion: 1,
    parentExecutionId: id,
    status: 'completed',
    input: { n: 21 },
    output: 42,
    triggeredBy: 'test',
  })
  const events = await journalOf(engine, id)
  t.match(events.find(({ type }) => type === 'child.started')!.data, { workflowId: childWorkflow, workflowVersion: 1 })
  t.equal(events.filter(({ type, path }) => type === 'step.completed' && path === 'child').length, 1)
  t.match((await journalOf(engine, childId))[0], {
    type: 'execution.scheduled',
    data: { parent: { executionId: id, path: 'child', depth: 1, isAwaited: true } },
  })
})

t.test(
  'a parent that waits is parked, and its child runs on; a child that fails fails the step with its error',
  async (t) => {
    const go = latch<Json>()
    const engine = await startEngine(t, { slow: () => go.promise })
    await define(engine, 'slow one', [call('slow')])
    await define(engine, 'bad one', [
      { id: 'no', type: 'fail', config: { error: 'CardDeclined', message: 'no money' } },
    ])
    const id = await run(engine, [sub('child', 'slow one')])
    await becomes(engine, id, 'waiting')
    t.equal((await engine.getExecution(id)).owner, null)
    go.open('done')
    t.match(await ended(engine, id), { status: 'completed', output: 'done' })

    const failing = await run(engine, [sub('child', 'bad one')])
    const failed = await ended(engine, failing)
    const childId = await childOf(engine, failing)
    t.match(failed, {
      status: 'failed',
      error: { type: 'CardDeclined', message: 'no money', stepPath: 'child', details: { executionId: childId } },
    })
    await t.rejects(engine.retryExecution(childId), { code: 'CHILD_RESULT_TAKEN' })
  },
)

t.test('pause, resume and cancel of a parent reach its child', async (t) => {
  const engine = await startEngine(t)
  await define(engine, 'waits', [{ id: 'w', type: 'wait_for_signal', config: { signal: 'go' } }])
  await define(engine, 'between', [sub('child', 'waits')])
  const id = await run(engine, [sub('child', 'between')])
  const between = await childOf(engine, id)
  const lowest = await childOf(engine, between)
  await engine.pauseExecution(id)
  await becomes(engine, lowest, 'paused')
  await engine.signal(lowest, 'go', 7)
  await engine.resumeExecution(id)
  t.match(await ended(engine, id), { status: 'completed', output: 7 })

  const other = await run(engine, [sub('child', 'between')])
  const [middle] = [await childOf(engine, other)]
  const deep = await childOf(engine, middle)
  await engine.cancelExecution(other)
  t.equal((await ended(engine, middle)).status, 'cancelled')
  t.equal((await ended(engine, deep)).status, 'cancelled')
})

t.test('a child that is cancelled by itself fails the step', async (t) => {
  const engine = await startEngine(t)
  await define(engine, 'waits', [{ id: 'w', type: 'wait_for_signal', config: { signal: 'go' } }])
  const id = await run(engine, [sub('child', 'waits')])
  const childId = await childOf(engine, id)
  await engine.cancelExecution(childId)
  t.match(await ended(engine, id), { error: { type: 'SubWorkflowCancelled', details: { executionId: childId } } })
})

t.test(
  'what nobody waits for goes on, is cancelled, or keeps its parent from completing, as the policy says',
  async (t) => {
    const engine = await startEngine(t)
    await define(engine, 'waits', [{ id: 'w', type: 'wait_for_signal', config: { signal: 'go' } }])
    const start = (parentClosePolicy?: string) =>
      run(engine, [sub('child', 'waits', { mode: 'fire_and_forget', ...(parentClosePolicy && { parentClosePolicy }) })])
    const abandoning = await start()
    const abandoned = await childOf(engine, abandoning)
    t.match(await ended(engine, abandoning), { status: 'completed', output: { executionId: abandoned } })
    await engine.signal(abandoned, 'go', 1)
    t.match(await ended(engine, abandoned), { status: 'completed' })

    const cancelling = await start('cancel')
    t.equal((await ended(engine, cancelling)).status, 'completed')
    t.equal((await ended(engine, await childOf(engine, cancelling))).status, 'cancelled')

    const waiting = await start('wait')
    const awaited = await childOf(engine, waiting)
    await seen(engine, waiting, 'step.completed', 'child')
    await becomes(engine, waiting, 'waiting')
    await engine.signal(awaited, 'go', 1)
    t.match(await ended(engine, waiting), { status: 'completed', output: { executionId: awaited } })
    t.ok((await typesOf(engine, waiting)).includes('child.ended'))
  },
)

t.test('a timeout of the step cancels its child, unless it is abandoned', async (t) => {
  const engine = await startEngine(t)
  await define(engine, 'waits', [{ id: 'w', type: 'wait_for_signal', config: { signal: 'go' } }])
  // Long enough for a child to be started on any machine.
  const timeoutMs = 1_000
  const id = await run(engine, [sub('child', 'waits', {}, { timeoutMs })])
  const other = await run(engine, [sub('child', 'waits', { parentClosePolicy: 'abandon' }, { timeoutMs })])
  t.match(await ended(engine, id), { error: { type: 'TimeoutError', stepPath: 'child' } })
  t.equal((await ended(engine, await childOf(engine, id))).status, 'cancelled')
  t.equal((await ended(engine, other)).status, 'failed')
  const abandoned = await childOf(engine, other)
  await engine.signal(abandoned, 'go', 1)
  t.equal((await ended(engine, abandoned)).status, 'completed')
})

t.test('a rollback cancels the child that is superseded and starts another; so does a retry', async (t) => {
  const engine = await startEngine(t)
  await define(engine, 'waits', [{ id: 'w', type: 'wait_for_signal', config: { signal: 'go' } }])
  const id = await run(engine, [echo('first'), sub('child', 'waits')])
  const first = await childOf(engine, id)
  await engine.rollbackToCheckpoint(id, 0, { resume: true })
  t.equal((await ended(engine, first)).status, 'cancelled')
  const started = async () =>
    (await journalOf(engine, id))
      .filter(({ type }) => type === 'child.started')
      .map(({ data }) => (data as { executionId: string }).executionId)
  await until('another child', async () => (await started()).length === 2)
  const [, second] = await started()
  await engine.cancelExecution(second!)
  t.equal((await ended(engine, id)).status, 'failed')
  await engine.retryExecution(id)
  await until('a third child', async () => (await started()).length === 3)
  await engine.signal((await started())[2]!, 'go', 'at last')
  t.match(await ended(engine, id), { status: 'completed', output: 'at last' })
})

t.test('a recursion without an end stops at the deepest level, and one with an end comes back', async (t) => {
  const engine = await startEngine(t)
  const endless = await define(engine, 'endless', [sub('child', 'endless')])
  const error = (await ended(engine, await engine.startExecution(endless))).error
  t.match(error, { type: 'SubWorkflowDepthExceeded', stepPath: 'child' })
  const sum = await define(engine, 'sum', [
    { id: 'more', type: 'condition', config: { condition: 'input > 0', onFalse: 'skip_rest' } },
    sub('child', 'sum', { input: '{{ input - 1 }}' }),
    echo('add', { value: '{{ input + data }}' }),
  ])
  t.match(await ended(engine, await engine.startExecution(sum, 'test', 4)), { status: 'completed', output: 10 })
})

t.test('a definition whose sub-workflow is not there is refused, with the place', async (t) => {
  const engine = await startEngine(t)
  const definition = { name: 'parent', steps: [echo('x'), sub('child', 'nobody')] }
  const fault = {
    pointer: '/steps/1/config/workflow',
    message: 'there is no active workflow named "nobody"; create it first',
  }
  await t.rejects(engine.createWorkflow(definition), { code: 'DEFINITION_INVALID', faults: [fault] })
  t.same(await engine.validateDefinition(definition), [fault])
  await define(engine, 'somebody', [echo('x')])
  const versioned = { name: 'parent', steps: [sub('child', 'somebody', { version: 2 })] }
  t.match(await engine.validateDefinition(versioned), [{ pointer: '/steps/0/config/version' }])
  t.same(await engine.validateDefinition({ name: 'parent', steps: [sub('child', 'parent')] }), [])
  const twice = { name: 'parent', steps: [sub('one', 'nobody'), sub('two', 'nobody')] }
  t.match(
    (await engine.validateDefinition(twice)).map(({ pointer }) => pointer),
    ['/steps/0/config/workflow', '/steps/1/config/workflow'],
    'each step that names it has its fault',
  )
  const manifold = {
    name: 'parent',
    steps: [sub('one', 'nobody'), { ...echo('two'), when: '1 +' }, sub('three', 'nob\u0000dy'), sub('one', 'nobody')],
  }
  t.strictSame(
    (await engine.validateDefinition(manifold)).map(({ pointer }) => pointer),
    [
      '/steps/0/config/workflow',
      '/steps/1/when',
      '/steps/2/config/workflow',
      '/steps/3/id',
      '/steps/3/config/workflow',
    ],
    'beside whatever else is wrong, in the order of the document',
  )
})

t.test('what cannot start fails the step by name: gone, or not what its inputSchema asks for', async (t) => {
  const engine = await startEngine(t)
  const gone = await define(engine, 'soon gone', [echo('x')])
  await define(engine, 'strict', [echo('x')], { inputSchema: { type: 'object', required: ['n'] } })
  const id = await run(engine, [call('hold'), sub('child', 'strict')].slice(1), { input: {} })
  t.match((await ended(engine, id)).error, { type: 'ValidationError', details: { faults: [{ pointer: '/n' }] } })
  const parent = await define(engine, 'of one that goes', [sub('child', 'soon gone')])
  await engine.archiveWorkflow(gone)
  t.match((await ended(engine, await engine.startExecution(parent))).error, { type: 'SubWorkflowUnavailable' })
})

t.test('progress counts the children, and theirs, and lists them', async (t) => {
  const go = latch<Json>()
  const engine = await startEngine(t, { slow: () => go.promise })
  await define(engine, 'lowest', [echo('first'), call('slow')])
  await define(engine, 'middle', [sub('child', 'lowest'), echo('after')])
  const beside = sub('beside', 'lowest', { mode: 'fire_and_forget' })
  const id = await run(engine, [echo('first'), beside, sub('child', 'middle'), echo('last')])
  const middle = await childOf(engine, id)
  const lowest = await childOf(engine, middle)
  await seen(engine, lowest, 'step.completed', 'first')
  const forgotten = await childOf(engine, id, 'beside')
  await seen(engine, forgotten, 'step.completed', 'first')
  const own = { executionId: lowest, path: 'child', percentage: 50, estimatedRemainingMs: null }
  t.match(await engine.getProgress(middle), { percentage: 25, children: [own] })
  const { percentage, children } = await engine.getProgress(id)
  t.equal(percentage, 56, 'two of four steps, and a quarter of the third')
  t.match(children, [
    { executionId: forgotten, path: 'beside', percentage: 50 },
    { executionId: middle, path: 'child', percentage: 25 },
  ])
  t.equal(
    (await engine.store.findExecutionView(id))?.percentage,
    50,
    'lists and streams have what its own journal says',
  )
  go.open(1)
  await ended(engine, id)
  t.match(await engine.getProgress(id), { percentage: 100, children: [] })
})

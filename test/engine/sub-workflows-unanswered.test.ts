import t from 'tap'
import { openStorage } from '../../src/engine/storage.ts'
import { createTestDatabase } from '../harness/database.ts'
import { echo, journalOf, startEngine } from './running-engine.ts'

const lost = () => Object.assign(new Error('the answer was lost'), { code: 'ECONNRESET' })

/** Every flush is committed and its answer lost; the same rows, sent again, are answered. */
const unanswered: typeof openStorage = async (settings) => {
  const storage = await openStorage(settings)
  const { openLane } = storage.store
  storage.store.openLane = (node, lane) => {
    const opened = openLane(node, lane)
    const flush = opened.flush.bind(opened)
    opened.flush = async (appends, resend) => {
      const outcome = await flush(appends, resend)
      if (!resend) throw lost()
      return outcome
    }
    return opened
  }
  return storage
}

t.test(
  'each child exists once and its end is taken once on two nodes, though no flush is answered at first',
  async (t) => {
    const { url: databaseUrl } = await createTestDatabase(t)
    const seams = { openStorage: unanswered }
    const engine = await startEngine(t, {}, { databaseUrl, maxRunning: 2 }, seams)
    await startEngine(t, {}, { databaseUrl, maxRunning: 2 }, seams)
    const { id: workflowId } = await engine.createWorkflow({
      name: 'sum',
      steps: [
        { id: 'more', type: 'condition', config: { condition: 'input > 0', onFalse: 'skip_rest' } },
        { id: 'rest', type: 'sub_workflow', config: { workflow: 'sum', input: '{{ input - 1 }}' } },
        echo('add', { value: '{{ input + data }}' }),
      ],
    })
    const id = await engine.startExecution(workflowId, 'test', 5)
    t.match(await engine.waitForEnd(id, 60_000), { status: 'completed', output: 15 })
    const { items } = await engine.store.listExecutions({}, 100)
    t.equal(items.length, 6, 'the first and its five descendants')
    for (const execution of items) {
      const events = await journalOf(engine, execution.id)
      const started = events.filter(({ type }) => type === 'child.started')
      const ended = events.filter(({ type, path }) => type === 'step.completed' && path === 'rest')
      const children = items.filter(({ parentExecutionId }) => parentExecutionId === execution.id)
      t.equal(started.length, children.length)
      t.equal(ended.length, children.length)
      t.same(
        started.map(({ data }) => (data as { executionId: string }).executionId),
        children.map((child) => child.id),
      )
      t.same(await engine.store.inboxOf([execution.id]), [])
    }
  },
)

t.test('a signal that is emitted arrives once, though no flush is answered at first', async (t) => {
  const { url: databaseUrl } = await createTestDatabase(t)
  const engine = await startEngine(t, {}, { databaseUrl, maxRunning: 2 }, { openStorage: unanswered })
  await startEngine(t, {}, { databaseUrl, maxRunning: 2 }, { openStorage: unanswered })
  const listener = await engine.createWorkflow({
    name: 'listener',
    steps: [{ id: 'w', type: 'wait_for_signal', config: { signal: 'enough' } }],
  })
  const ids = await Promise.all(
    [1, 2, 3].map(() => engine.startExecution(listener.id, 'test', null, { correlationId: 'c' })),
  )
  const sender = await engine.createWorkflow({
    name: 'sender',
    steps: ['one', 'two', 'enough'].map((signal) => ({
      id: signal,
      type: 'emit',
      config: { signal, to: { correlationId: 'c', workflow: 'listener' } },
    })),
  })
  const id = await engine.startExecution(sender.id, 'test')
  t.match(await engine.waitForEnd(id, 60_000), { status: 'completed' })
  for (const listening of ids) {
    t.match(await engine.waitForEnd(listening, 60_000), { status: 'completed' })
    const received = (await journalOf(engine, listening)).filter(({ type }) => type === 'signal.received')
    t.same(
      received.map(({ data }) => (data as { signal: { name: string } }).signal.name),
      ['one', 'two', 'enough'],
    )
    t.same(await engine.store.inboxOf([listening]), [])
  }
})

/** Packets are neither delivered nor refused: no connection breaks, and nothing is answered. */
import t from 'tap'
import { buildApp } from '../../src/app.ts'
import { isUnavailable } from '../../src/repository/classify.ts'
import { call, ended, journalOf, latch, run, seen, startEngine } from '../engine/running-engine.ts'
import { until } from '../harness/condition.ts'
import { createTestDatabase } from '../harness/database.ts'
import { stayAlive } from './load.ts'
import { startProxy } from './proxy.ts'

t.test(
  'a node behind a stalled network stops; another takes over; afterwards it commits nothing of before',
  async (t) => {
    t.setTimeout(240_000)
    stayAlive(t)
    const { url } = await createTestDatabase(t)
    const proxy = await startProxy(t, url)
    const gate = latch()
    const reached = latch()
    const performed: string[] = []
    const options = { leaseMs: 8_000, prepare: false }
    const cutOff = await startEngine(
      t,
      {
        hold: async () => {
          performed.push('cut off')
          reached.open()
          await gate.promise
          return 'cut off'
        },
        after: () => performed.push('after, cut off'),
      },
      { ...options, databaseUrl: proxy.url },
    )
    const id = await run(cutOff, [call('hold'), call('after')])
    await reached.promise
    const elsewhere = { hold: () => 'elsewhere', after: ({ data }: { data: unknown }) => String(data) }
    const other = await startEngine(t, elsewhere, { ...options, databaseUrl: url })
    proxy.stall()
    const stalledAt = performance.now()
    gate.open()
    const { workflowId } = await other.getExecution(id)
    const refused = cutOff.requestStart({ workflowId }).then(
      () => null,
      (error) => error,
    )
    await until('the node that is cut off says so', async () => (await cutOff.readiness()).length > 0)
    await seen(other, id, 'execution.recovered')
    t.comment(
      `taken over ${Math.round(performance.now() - stalledAt)} ms after the stall began, with a lease of 8,000 ms`,
    )
    t.match(await ended(other, id), { status: 'completed', output: 'elsewhere' })
    const error = await refused
    t.ok(isUnavailable(error) || error.status === 503, 'a start is answered in the end, with 503')
    const journal = await journalOf(other, id)
    proxy.flow()
    await until('the node is ready again', async () => (await cutOff.readiness()).length === 0)
    t.same(await journalOf(other, id), journal, 'the late node has committed nothing')
    t.same(performed, ['cut off'], 'and has performed nothing after the commit that was never answered')
  },
)

t.test('an engine behind a stalled network stops in bounded time', async (t) => {
  stayAlive(t)
  const { url } = await createTestDatabase(t)
  const proxy = await startProxy(t, url)
  const engine = await startEngine(t, {}, { databaseUrl: proxy.url, prepare: false, leaseMs: 3_000, drainMs: 10 })
  proxy.stall()
  await engine.stop()
  t.pass('it has stopped')
})

t.test('every request to a node behind a stalled network is answered in bounded time: 503, try again', async (t) => {
  stayAlive(t)
  const { url } = await createTestDatabase(t)
  const proxy = await startProxy(t, url)
  // Its lease outlives the test: without one it would refuse starts at once.
  const engine = await startEngine(t, {}, { databaseUrl: proxy.url, prepare: false, leaseMs: 120_000, drainMs: 10 })
  const app = buildApp({ engine })
  t.teardown(() => app.close())
  const { id: workflowId } = await engine.createWorkflow({
    name: 'stalled',
    steps: [{ id: 'a', type: 'set', config: { variables: { a: 1 } } }],
  })
  const executions = '/api/workflows/executions'
  const execution = `${executions}/${await engine.startExecution(workflowId)}`
  // Of those in the pool some wait for an answer, and of the requests some for one of them.
  await Promise.all(Array.from({ length: 10 }, () => app.inject('/api/workflows')))
  proxy.stall()
  const requests = [
    ...['', '/steps', '/events', '/events/stream', '/checkpoints', '/checkpoints/0'].map(
      (path) => ['GET', execution + path] as const,
    ),
    ...['', '/statistics', `/${workflowId}`, `/${workflowId}/versions`].map(
      (path) => ['GET', `/api/workflows${path}`] as const,
    ),
    ['POST', executions, { workflowId }],
    ['POST', executions, { workflowId, executionKey: 'one' }],
    ['POST', `${execution}/signals/go`, {}],
    ['PATCH', execution, { action: 'retry' }],
    ['POST', `${execution}/rollback`, { checkpointIndex: 0 }],
    ['POST', '/api/workflows', { name: 'other', steps: [{ id: 'a', type: 'set', config: { variables: { a: 1 } } }] }],
  ] as const
  const stalledAt = performance.now()
  await Promise.all(
    requests.map(async ([method, path, payload]) => {
      const answer = await app.inject({ method, url: path, ...(payload && { payload }) })
      const afterMs = Math.round(performance.now() - stalledAt)
      t.match([answer.statusCode, answer.headers['retry-after']], [503, '1'], `${method} ${path} after ${afterMs} ms`)
    }),
  )
  const lastMs = performance.now() - stalledAt
  t.ok(lastMs < 25_000, `before any statement is given up: after ${Math.round(lastMs)} ms`)
})

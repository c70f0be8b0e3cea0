/** What a node that drains does with each kind of execution, and what it still does for its clients. */
import t, { type Test } from 'tap'
import type { ActionContext } from '../../src/engine/actions/action.ts'
import type { WorkflowEngine } from '../../src/engine/engine.ts'
import type { EngineOptions } from '../../src/engine/engine-options.ts'
import {
  type Calls,
  call,
  echo,
  ended,
  journalOf,
  latch,
  run,
  seen,
  startEngine,
  typesOf,
} from '../engine/running-engine.ts'
import { until } from '../harness/condition.ts'
import { createTestDatabase } from '../harness/database.ts'

/** Longer than any test: what comes within it is not owed to a limit that was reached. */
const FOR_EVER_MS = 600_000

/** The node that will drain. Starts that others store for later must not be claimed by it: it is alone at first. */
async function open(t: Test, calls: Calls, options: EngineOptions = {}) {
  const { url: databaseUrl } = await createTestDatabase(t)
  const leaving = await startEngine(t, calls, { databaseUrl, drainMs: FOR_EVER_MS, ...options })
  const startOther = (others: Calls = calls) => startEngine(t, others, { databaseUrl })
  return { leaving, startOther }
}

const statusOf = async (engine: WorkflowEngine, id: string) => {
  const { owner, status } = (await engine.store.findExecution(id))!
  return { isOwned: owner !== null, status }
}

/** An attempt that runs until it is aborted. */
const untilAborted = ({ signal }: ActionContext) =>
  new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))

t.test('an attempt that ends in time is recorded here, and the next step is performed elsewhere', async (t) => {
  const [reached, gate] = [latch(), latch()]
  const performed: string[] = []
  const calls = (node: string): Calls => ({
    slow: async () => {
      performed.push(`slow on ${node}`)
      reached.open()
      await gate.promise
      return 1
    },
    next: () => {
      performed.push(`next on ${node}`)
      return 2
    },
  })
  const { leaving, startOther } = await open(t, calls('first'))
  const id = await run(leaving, [call('slow'), call('next')])
  await reached.promise
  const other = await startOther(calls('second'))
  const drained = leaving.drain()
  t.match(await statusOf(other, id), { isOwned: true, status: 'running' }, 'it stays while its attempt runs')
  gate.open()
  await drained
  t.match(await ended(other, id), { status: 'completed', output: 2 })
  t.same(performed, ['slow on first', 'next on second'])
  const types = await typesOf(other, id)
  t.notOk(types.includes('execution.recovered'), 'nobody had to wait for a lease')
})

t.test(
  'an attempt that does not end in time is aborted, and performed again elsewhere under the same key',
  async (t) => {
    const reached = latch()
    const keys: string[] = []
    const { leaving, startOther } = await open(
      t,
      {
        slow: (context) => {
          keys.push(context.idempotencyKey)
          reached.open()
          return untilAborted(context)
        },
      },
      { drainMs: 100 },
    )
    const id = await run(leaving, [call('slow')])
    await reached.promise
    await leaving.drain()
    t.same(await statusOf(leaving, id), { isOwned: false, status: 'running' })
    const other = await startOther({
      slow: ({ idempotencyKey, attempt }) => {
        keys.push(idempotencyKey)
        return attempt
      },
    })
    t.match(await ended(other, id), { status: 'completed', output: 1 }, 'it is still the first attempt')
    t.equal(keys.length, 2)
    t.equal(new Set(keys).size, 1)
  },
)

t.test('an at_most_once attempt is waited for beyond the drain time, up to its own timeout', async (t) => {
  const [reached, gate] = [latch(), latch()]
  const aborted = latch()
  const once = (id: string, timeoutMs: number) => call(id, { delivery: 'at_most_once', timeoutMs })
  const { leaving, startOther } = await open(
    t,
    {
      other: (context) => untilAborted(context).finally(aborted.open),
      once: async () => {
        reached.open()
        await gate.promise
        return 'done here'
      },
    },
    { drainMs: 100 },
  )
  const id = await run(leaving, [once('once', FOR_EVER_MS)])
  await run(leaving, [call('other')])
  await reached.promise
  const drained = leaving.drain()
  await aborted.promise
  t.match(await statusOf(leaving, id), { isOwned: true }, 'what may be repeated was aborted, this was not')
  gate.open()
  await drained
  t.same(await statusOf(leaving, id), { isOwned: false, status: 'completed' })
  const other = await startOther({ other: () => 1 })
  t.match(await ended(other, id), { output: 'done here' })
})

t.test(
  'an at_most_once attempt that outlives its timeout too fails here, and is not performed elsewhere',
  async (t) => {
    const reached = latch()
    const { leaving, startOther } = await open(
      t,
      {
        once: (context) => {
          reached.open()
          return untilAborted(context)
        },
      },
      { drainMs: 100 },
    )
    const id = await run(leaving, [call('once', { delivery: 'at_most_once', timeoutMs: 1_000 })])
    await reached.promise
    await leaving.drain()
    const other = await startOther({ once: () => t.fail('it was performed again') })
    t.match(await ended(other, id), { status: 'failed', error: { type: 'TimeoutError' } })
  },
)

t.test('what has nothing running leaves at once: a retry that waits, a delayed start, a pause', async (t) => {
  const [reached, gate] = [latch(), latch()]
  const calls = { hold: () => gate.promise.then(() => 1) }
  const { leaving, startOther } = await open(
    t,
    {
      hold: () => {
        reached.open()
        return calls.hold()
      },
    },
    { parkAfterMs: FOR_EVER_MS },
  )
  const retryPolicy = { maxAttempts: 2, initialIntervalMs: 2_000, jitter: 0 }
  const failsOnce = echo('once', { fail: { untilAttempt: 2, retryable: true }, value: 'again' }, { retryPolicy })
  const [busy, waits, paused] = [
    await run(leaving, [call('hold')]),
    await run(leaving, [failsOnce]),
    await run(leaving, [call('hold'), echo('after', { value: 'resumed' })]),
  ]
  const workflow = await leaving.createWorkflow({ name: 'later', steps: [echo('a', { value: 'late' })] })
  const later = await leaving.startExecution(workflow.id, 'test', null, { startAt: Date.now() + 2_000 })
  await reached.promise
  await seen(leaving, waits, 'step.failed')
  t.match(await statusOf(leaving, waits), { isOwned: true, status: 'running' }, 'it waits in memory')
  const pausing = leaving.pauseExecution(paused)
  await seen(leaving, paused, 'execution.pause_requested')

  const other = await startOther({ hold: calls.hold })
  const drained = leaving.drain()
  t.match(await ended(other, waits), { status: 'completed', output: 'again' })
  t.match(await ended(other, later), { status: 'completed', output: 'late' })
  t.match(await statusOf(other, busy), { isOwned: true, status: 'running' }, 'an attempt still runs there')
  gate.open()
  t.match(await pausing, { effective: true, execution: { status: 'paused' } }, 'the request is answered')
  await drained
  t.match(await ended(other, busy), { status: 'completed', output: 1 })
  await other.resumeExecution(paused)
  t.match(await ended(other, paused), { status: 'completed', output: 'resumed' })
})

t.test('a node that drains is not ready, yet takes starts, for others to carry out', async (t) => {
  const [reached, gate] = [latch(), latch()]
  const { leaving, startOther } = await open(t, {
    hold: () => {
      reached.open()
      return gate.promise.then(() => 1)
    },
    here: () => t.fail('it was performed on the node that drains'),
  })
  const workflow = await leaving.createWorkflow({ name: 'elsewhere', steps: [call('here')] })
  const held = await run(leaving, [call('hold')])
  await reached.promise
  t.same(await leaving.readiness(), [])
  const drained = leaving.drain()
  t.same(await leaving.readiness(), ['the engine is draining'])
  const started = await leaving.startExecution(workflow.id, 'test', null)
  const key = { workflowId: workflow.id, idempotencyKey: 'once' }
  const keyed = await leaving.requestStart(key)
  // A claim that was under way when the drain began may have taken it: then it is handed back.
  const { status } = await until('nobody owns it', async () => {
    const look = await statusOf(leaving, started)
    return !look.isOwned && look
  })
  t.equal(status, 'pending', 'it is durable and waits')
  const waiting = leaving.waitForEnd(started, 20_000)
  const other = await startOther({ here: () => 'elsewhere' })
  t.match(await waiting, { status: 'completed', output: 'elsewhere' }, 'who waits here hears of the end')
  t.match(await ended(leaving, keyed.execution.id), { status: 'completed' })
  t.equal((await other.requestStart(key)).replayed, true)

  await leaving.signal(held, 'hello', { n: 1 })
  t.ok(await seen(leaving, held, 'signal.received'), 'what is still here hears its inbox')
  t.match(await leaving.cancelExecution(held), { effective: true, execution: { status: 'cancelled' } })
  await drained
  gate.open()
  await leaving.stop()
  await t.rejects(leaving.startExecution(workflow.id), { code: 'DATABASE_UNAVAILABLE' })
})

t.test('a stop without a drain time leaves nothing to a lease either', async (t) => {
  const reached = latch()
  const { leaving, startOther } = await open(
    t,
    {
      slow: (context) => {
        reached.open()
        return untilAborted(context)
      },
    },
    { drainMs: 0 },
  )
  const id = await run(leaving, [call('slow')])
  await reached.promise
  await leaving.stop()
  const other = await startOther({ slow: () => 'elsewhere' })
  t.match(await ended(other, id), { status: 'completed', output: 'elsewhere' })
  const types = (await journalOf(other, id)).map(({ type }) => type)
  t.ok(types.includes('execution.released'))
  t.notOk(types.includes('execution.recovered'))
})

t.test('draining is safe at any time: before the start, during it, twice, and after the stop', async (t) => {
  const { url: databaseUrl } = await createTestDatabase(t)
  const { WorkflowEngine } = await import('../../src/engine/engine.ts')
  const never = new WorkflowEngine({ databaseUrl })
  await never.drain()
  await never.stop()
  const early = new WorkflowEngine({ databaseUrl })
  const starting = early.start()
  await Promise.all([early.drain(), early.drain(), starting])
  t.match(await early.readiness(), [/draining/])
  await t.rejects(early.startExecution('0199f3a8-7c1e-7d3a-9b52-0c8e4f6a1d27'), { code: 'WORKFLOW_NOT_FOUND' })
  await early.stop()
  await early.drain()
})

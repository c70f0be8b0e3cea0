import t from 'tap'
import { until } from '../harness/condition.ts'
import { createTestDatabase } from '../harness/database.ts'
import { withClient } from '../harness/server.ts'
import { call, echo, ended, journalOf, latch, run, seen, startEngine, typesOf } from './running-engine.ts'
import { sleeper } from './telling-nodes.ts'

t.test('an execution that waits is parked: it leaves the memory and wakes by itself', async (t) => {
  const engine = await startEngine(t)
  const sleeping = await run(engine, [sleeper])
  await seen(engine, sleeping, 'execution.parked')
  t.equal((await engine.getExecution(sleeping)).status, 'waiting')
  t.equal(engine.gauges.running(), 0)
  const retryPolicy = { maxAttempts: 2, initialIntervalMs: 1_000, jitter: 0 }
  const waking = await run(engine, [echo('once', { fail: { untilAttempt: 2, retryable: true } }, { retryPolicy })])
  t.equal((await ended(engine, waking)).status, 'completed')
  t.ok((await typesOf(engine, waking)).includes('execution.parked'))
})

t.test('what was claimed for nothing, since its inbox was emptied meanwhile, is let go again', async (t) => {
  const { url: databaseUrl } = await createTestDatabase(t)
  const engine = await startEngine(t, {}, { databaseUrl })
  const waits = { id: 'w', type: 'wait_for_signal', config: { signal: 'go' } }
  const [waiting, paused, finished] = [
    await run(engine, [waits]),
    await run(engine, [waits]),
    await run(engine, [echo('a')]),
  ]
  await seen(engine, waiting, 'execution.parked')
  await engine.pauseExecution(paused)
  await ended(engine, finished)
  const ids = [waiting, paused, finished]
  const isLetGo = async () => {
    const rows = await Promise.all(ids.map((id) => engine.store.findExecution(id)))
    return engine.gauges.running() === 0 && rows.every((row) => row!.owner === null && row!.wakeAt === null)
  }
  await until('all have left', isLetGo)
  const before = await Promise.all(ids.map((id) => journalOf(engine, id)))
  // As a claim that saw an item of the inbox just before its last owner answered it.
  await withClient(databaseUrl, (client) => client.query('UPDATE workflow_executions SET wake_at = 0'))
  await until('all have come back', async () => {
    const after = await Promise.all(ids.map((id) => journalOf(engine, id)))
    return after.every((events, index) => events.length > before[index]!.length)
  })
  await until('and left', isLetGo)
  t.match((await journalOf(engine, waiting)).at(-1), { type: 'execution.parked', data: { wakeAt: null } })
  for (const id of [paused, finished])
    t.match((await journalOf(engine, id)).at(-1), { type: 'execution.released', data: { reason: 'idle' } })
  t.match(await engine.getExecution(paused), { status: 'paused' })
  t.match(await engine.getExecution(finished), { status: 'completed', output: null })
  await engine.resumeExecution(paused)
  for (const id of [waiting, paused]) {
    await engine.signal(id, 'go', 7)
    t.match(await ended(engine, id), { status: 'completed', output: 7 })
  }
})

t.test('a delayed start is durable and begins when it is due', async (t) => {
  const engine = await startEngine(t)
  const workflow = await engine.createWorkflow({ name: 'later', steps: [echo('a')] })
  const startAt = Date.now() + 400
  const id = await engine.startExecution(workflow.id, 'test', 1, { startAt })
  t.equal((await seen(engine, id, 'execution.scheduled')).seq, 1)
  const started = await seen(engine, id, 'execution.started')
  t.ok(started.at >= startAt)
  t.equal((await ended(engine, id)).output, 1)
})

t.test('a delayed start can be paused, resumed and cancelled before it begins', async (t) => {
  const engine = await startEngine(t)
  const workflow = await engine.createWorkflow({ name: 'much later', steps: [echo('a')] })
  const id = await engine.startExecution(workflow.id, 'test', null, { startAt: Date.now() + 3_600_000 })
  t.equal((await engine.pauseExecution(id)).execution.status, 'paused')
  t.equal((await engine.resumeExecution(id)).execution.status, 'pending', 'it still waits for its time')
  t.equal((await engine.cancelExecution(id)).execution.status, 'cancelled')
})

t.test('a full node leaves starts to whoever has room, by priority', async (t) => {
  const gate = latch()
  const order: string[] = []
  const engine = await startEngine(
    t,
    { hold: () => gate.promise.then(() => null), note: ({ executionId }) => order.push(executionId) },
    { maxRunning: 1 },
  )
  const holding = await run(engine, [call('hold')])
  const workflow = await engine.createWorkflow({ name: 'note', steps: [call('note')] })
  const low = await engine.startExecution(workflow.id, 'test', null, { priority: 1 })
  const high = await engine.startExecution(workflow.id, 'test', null, { priority: 9 })
  t.equal((await engine.getExecution(low)).status, 'pending')
  gate.open()
  await Promise.all([holding, low, high].map((id) => ended(engine, id)))
  t.same(order, [high, low])
})

t.test('a node that stops hands its executions over, and another goes on at once', async (t) => {
  const { url: databaseUrl } = await createTestDatabase(t)
  const reached = latch()
  const calls = {
    slow: ({ signal }: { signal: AbortSignal }) =>
      new Promise<never>((_, reject) => {
        reached.open()
        signal.addEventListener('abort', () => reject(signal.reason))
      }),
  }
  const first = await startEngine(t, calls, { databaseUrl, drainMs: 50 })
  const id = await run(first, [echo('before', { value: 1 }), call('slow'), echo('after', { value: 2 })])
  await reached.promise
  await first.stop()
  const second = await startEngine(t, { slow: () => 'elsewhere' }, { databaseUrl })
  t.equal((await ended(second, id)).output, 2)
  const types = await typesOf(second, id)
  t.ok(types.includes('execution.released'))
  t.notOk(types.includes('execution.recovered'), 'nobody had to wait for a lease')
  t.equal(types.filter((type) => type === 'step.completed before').length, 1)
})

t.test('a control request reaches the node that owns the execution, whichever took it', async (t) => {
  const { url: databaseUrl } = await createTestDatabase(t)
  const reached = latch()
  const calls = {
    hold: ({ signal }: { signal: AbortSignal }) =>
      new Promise<never>((_, reject) => {
        reached.open()
        signal.addEventListener('abort', () => reject(signal.reason))
      }),
  }
  const owner = await startEngine(t, calls, { databaseUrl })
  const other = await startEngine(t, calls, { databaseUrl })
  const id = await run(owner, [call('hold')])
  await reached.promise
  const { execution, effective } = await other.cancelExecution(id, { reason: 'enough' })
  t.ok(effective)
  t.equal(execution.status, 'cancelled')
  const last = (await journalOf(other, id)).at(-1)
  t.match(last, { type: 'execution.cancelled', data: { reason: 'enough' } })
})

t.test('a node whose row is gone commits nothing more, and begins anew from what is there', async (t) => {
  const { url: databaseUrl } = await createTestDatabase(t)
  const performed: number[] = []
  const reached = latch()
  const gate = latch()
  const engine = await startEngine(
    t,
    {
      hold: async ({ attempt }) => {
        performed.push(attempt)
        reached.open()
        if (performed.length === 1) await gate.promise
        return performed.length
      },
    },
    { databaseUrl, leaseMs: 1_500 },
  )
  const id = await run(engine, [call('hold'), echo('after')])
  await reached.promise
  const { owner } = (await engine.store.findExecution(id))!
  await engine.store.removeNode(owner!)
  gate.open()
  t.equal((await ended(engine, id)).output, 2, 'the result of the dead life was not taken')
  t.ok((await typesOf(engine, id)).includes('execution.recovered'))
})

t.test('an execution whose journal cannot be read is quarantined alone; a retry reads it again', async (t) => {
  const { url: databaseUrl } = await createTestDatabase(t)
  const hang = () => new Promise<never>(() => {})
  const first = await startEngine(t, { hold: hang }, { databaseUrl, drainMs: 0 })
  const steps = [echo('one'), call('hold')]
  const [sick, healthy] = [await run(first, steps), await run(first, steps)]
  await Promise.all([sick, healthy].map((id) => seen(first, id, 'step.completed', 'one')))
  await first.stop()
  await garbleEvent(databaseUrl, sick, 'one', 'nowhere')

  const second = await startEngine(t, { hold: () => 'fine' }, { databaseUrl })
  t.equal((await ended(second, healthy)).status, 'completed')
  await seen(second, healthy, 'execution.completed')
  const quarantined = await ended(second, sick)
  t.match(quarantined, { status: 'failed', error: { type: 'InternalError', message: /nowhere/, errorId: String } })
  t.equal((await second.getProgress(sick)).status, 'failed', 'reads fall back to the row')

  await second.retryExecution(sick)
  t.equal((await second.getExecution(sick)).status, 'failed', 'it is still unreadable')
  await garbleEvent(databaseUrl, sick, 'nowhere', 'one')
  t.equal((await second.retryExecution(sick)).execution.error, null)
  t.match(await ended(second, sick), { status: 'completed', output: 'fine' })
})

async function garbleEvent(databaseUrl: string, executionId: string, from: string, to: string): Promise<void> {
  const { withClient } = await import('../harness/server.ts')
  await withClient(databaseUrl, (client) =>
    client.query('UPDATE execution_events SET path = $3 WHERE execution_id = $1 AND path = $2', [
      executionId,
      from,
      to,
    ]),
  )
}

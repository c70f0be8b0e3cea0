import t from 'tap'
import type { WorkflowEngine } from '../../src/engine/engine.ts'
import { openStorage } from '../../src/engine/storage.ts'
import { createTestDatabase } from '../harness/database.ts'
import { withClient } from '../harness/server.ts'
import { call, echo, journalOf, latch, run, seen, startEngine, typesOf } from './running-engine.ts'

async function startMany(engine: WorkflowEngine, count: number, steps: readonly object[], input: string | null = null) {
  const workflow = await engine.createWorkflow({ name: `many ${steps.length}`, steps })
  return Promise.all(Array.from({ length: count }, () => engine.startExecution(workflow.id, 'test', input)))
}

/** The execution once it has ended. */
const ended = (engine: WorkflowEngine, executionId: string) => engine.waitForEnd(executionId, 120_000)

/** The most executions that an engine has held whenever one of them performed something. */
class Most {
  engine: WorkflowEngine | null = null
  value = 0

  readonly look = (): void => {
    this.value = Math.max(this.value, this.engine?.gauges.running() ?? 0)
  }
}

t.test('when many are due at once a node wakes as many as it may run; the others wait for their turn', async (t) => {
  const most = new Most()
  const fail = { fail: { untilAttempt: 2, retryable: true } }
  const retryPolicy = { maxAttempts: 2, initialIntervalMs: 1_000, jitter: 0 }
  const engine = await startEngine(
    t,
    {
      note: async () => {
        most.look()
        await engine.store.databaseNow()
        return null
      },
    },
    { maxRunning: 2 },
  )
  most.engine = engine
  const ids = await startMany(engine, 6, [echo('sleep', fail, { retryPolicy }), call('note')])
  for (const id of ids) t.equal((await ended(engine, id)).status, 'completed')
  for (const id of ids) t.ok((await typesOf(engine, id)).includes('execution.parked'))
  t.ok(most.value <= 2, `${most.value} at once`)
})

t.test('a node takes over no more than fits in its memory; the others follow as memory becomes free', async (t) => {
  const { url: databaseUrl } = await createTestDatabase(t)
  const hang = ({ signal }: { signal: AbortSignal }) =>
    new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  const first = await startEngine(t, { hold: hang }, { databaseUrl, drainMs: 0 })
  const ids = await startMany(first, 10, [echo('one'), call('hold')], 'x'.repeat(20_000))
  for (const id of ids) await seen(first, id, 'step.completed', 'one')
  await first.stop()

  const most = new Most()
  const second = await startEngine(
    t,
    {
      hold: async () => {
        most.look()
        await second.store.databaseNow()
        return 'done'
      },
    },
    { databaseUrl, maxHeldBytes: 60_000 },
  )
  most.engine = second
  for (const id of ids) t.equal((await ended(second, id)).output, 'done')
  t.ok(most.value <= 3, `${most.value} at once`)
})

t.test('survivors share what a dead node ran: each execution goes on once, on one of them', async (t) => {
  const { url: databaseUrl } = await createTestDatabase(t)
  const count = 30
  const reached = latch()
  let held = 0
  const performed = new Map<string, number>()
  const note = ({ executionId }: { executionId: string }) => {
    performed.set(executionId, (performed.get(executionId) ?? 0) + 1)
    return 'on'
  }
  // Its first life hangs in every execution and is then declared dead; what it claims afterwards goes on.
  const hold = async ({ signal }: { signal: AbortSignal }) => {
    held += 1
    if (held === count) reached.open()
    if (held > count) return 'elsewhere'
    return new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  }
  const dying = await startEngine(t, { hold, note }, { databaseUrl, leaseMs: 3_000 })
  const ids = await startMany(dying, count, [call('hold'), call('note')])
  await reached.promise
  const survivors = await Promise.all(
    [1, 2].map(() => startEngine(t, { hold: () => 'elsewhere', note }, { databaseUrl })),
  )
  const { owner } = (await dying.store.findExecution(ids[0]!))!
  await dying.store.removeNode(owner!)
  for (const id of ids) t.equal((await ended(survivors[0]!, id)).output, 'on')
  for (const id of ids) {
    const types = await typesOf(survivors[0]!, id)
    t.equal(types.filter((type) => type === 'execution.recovered').length, 1)
    t.equal(types.filter((type) => type === 'step.completed hold').length, 1)
  }
  t.equal(performed.size, count)
  t.ok([...performed.values()].every((times) => times === 1))
})

t.test('executions of a version that is gone are quarantined, and those claimed with them go on', async (t) => {
  const { url: databaseUrl } = await createTestDatabase(t)
  const hang = () => new Promise<never>(() => {})
  const first = await startEngine(t, { hold: hang }, { databaseUrl, drainMs: 0 })
  const sick = await startMany(first, 3, [call('hold')])
  const healthy = await startMany(first, 3, [echo('one'), call('hold')])
  const { workflowId } = await first.getExecution(sick[0]!)
  await first.stop()
  await withClient(databaseUrl, (client) =>
    client.query('DELETE FROM workflow_versions WHERE workflow_id = $1', [workflowId]),
  )
  const second = await startEngine(t, { hold: () => 'fine' }, { databaseUrl })
  for (const id of healthy) t.equal((await ended(second, id)).output, 'fine')
  for (const id of sick) t.match(await ended(second, id), { status: 'failed', error: { type: 'InternalError' } })
})

t.test('a takeover whose claim was not answered is on record too, and nobody knows from whom', async (t) => {
  let lost = 0
  const storage: typeof openStorage = async (settings) => {
    const opened = await openStorage(settings)
    const claim: typeof opened.store.claim = async (...given) => {
      const claimed = await opened.store.claim(...given)
      if (claimed.length === 0 || ++lost > 1) return claimed
      throw new Error('the answer is lost')
    }
    return { ...opened, store: { ...opened.store, claim } }
  }
  const [reached, gate] = [latch(), latch()]
  let performed = 0
  const hold = async () => {
    performed += 1
    reached.open()
    if (performed === 1) await gate.promise
    return performed
  }
  const engine = await startEngine(t, { hold }, { leaseMs: 3_000 }, { openStorage: storage })
  const id = await run(engine, [call('hold')])
  await reached.promise
  const { owner } = (await engine.store.findExecution(id))!
  await engine.store.removeNode(owner!)
  gate.open()
  t.equal((await ended(engine, id)).output, 2)
  const recovered = (await journalOf(engine, id)).filter(({ type }) => type === 'execution.recovered')
  t.match(recovered, [{ data: { from: null } }])
  t.equal(recovered.length, 1)
})

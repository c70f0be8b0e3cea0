import t, { type Test } from 'tap'
import type { Json } from '../../src/definition/json.ts'
import type { WorkflowEngine } from '../../src/engine/engine.ts'
import { until } from '../harness/condition.ts'
import { createTestDatabase } from '../harness/database.ts'
import { withClient } from '../harness/server.ts'
import { type Calls, call, echo, ended, journalOf, latch, run, seen, startEngine, typesOf } from './running-engine.ts'

// Many executions that wait for each other, on a machine that may be busy.
t.setTimeout(300_000)

const statusOf = async (engine: WorkflowEngine, id: string) => (await engine.getExecution(id)).status

const becomes = (engine: WorkflowEngine, id: string, status: string): Promise<unknown> =>
  until(`${id} is ${status}`, async () => (await statusOf(engine, id)) === status)

/** The action `work`: it stays until the test lets the execution go on, and counts who is within. */
function workshop() {
  const gates = new Map<string, ReturnType<typeof latch<Json>>>()
  const gateOf = (id: string) => gates.get(id) ?? gates.set(id, latch<Json>()).get(id)!
  const within = new Set<string>()
  let most = 0
  const work: Calls[string] = async ({ executionId }) => {
    within.add(executionId)
    most = Math.max(most, within.size)
    const result = await gateOf(executionId).promise
    within.delete(executionId)
    return result
  }
  return { work, within, most: () => most, letGo: (id: string) => gateOf(id).open('done') }
}

const keyed = (concurrency: object) => [call('work', { concurrency })]

/** Starts executions of one workflow, each after the one before is in line. */
async function startAll(engine: WorkflowEngine, steps: readonly object[], inputs: readonly Json[], definition = {}) {
  const workflow = await engine.createWorkflow({ name: `line ${Math.random()}`, steps, ...definition })
  const ids: string[] = []
  for (const input of inputs) {
    const id = await engine.startExecution(workflow.id, 'test', input)
    await Promise.race([seen(engine, id, 'step.queued'), seen(engine, id, 'execution.queued'), ended(engine, id)])
    ids.push(id)
  }
  return ids
}

async function workingEngine(t: Test, calls: Calls = {}) {
  const shop = workshop()
  const engine = await startEngine(t, { work: shop.work, ...calls })
  return { engine, ...shop }
}

t.test(
  'of the instances of a step with one key as many run as its limit says, in the order in which they came',
  async (t) => {
    const { engine, within, most, letGo } = await workingEngine(t)
    const ids = await startAll(engine, keyed({ key: '{{ input }}', limit: 2 }), ['a', 'a', 'a', 'a', 'b'])
    await until('three work', async () => within.size === 3)
    t.same([...within].sort(), [ids[0], ids[1], ids[4]].sort(), 'a key waits for no other')
    for (const id of [ids[2]!, ids[3]!]) await becomes(engine, id, 'waiting')
    const { steps, estimatedRemainingMs } = await engine.getProgress(ids[2]!)
    t.match(steps, [{ id: 'work', status: 'waiting', attempt: 0, queued: { key: 'a' } }])
    t.equal(estimatedRemainingMs, null)
    letGo(ids[1]!)
    await until('the third works', async () => within.has(ids[2]!))
    t.notOk(within.has(ids[3]!))
    for (const id of ids) letGo(id)
    for (const id of ids) t.match(await ended(engine, id), { status: 'completed', output: 'done' })
    t.equal(most(), 3)
    t.same(await typesOf(engine, ids[3]!), [
      'execution.started',
      'step.queued work',
      'execution.parked',
      'slot.granted work',
      'step.completed work',
      'execution.completed',
    ])
  },
)

t.test(
  'a slot is held from the first attempt to the end of the last, and given back however the step ends',
  async (t) => {
    let attempts = 0
    const { engine, within, letGo } = await workingEngine(t, {
      flaky: () => {
        attempts += 1
        if (attempts < 3) throw new Error('not yet')
        return 'at last'
      },
      stay: () => new Promise(() => {}),
    })
    const scope = 'one at a time'
    const concurrency = { scope }
    const retryPolicy = { maxAttempts: 3, initialIntervalMs: 1, jitter: 0 }
    const flaky = await run(engine, [call('flaky', { concurrency, retryPolicy })])
    t.match(await ended(engine, flaky), { status: 'completed', output: 'at last' })
    t.equal((await typesOf(engine, flaky)).filter((type) => type === 'step.queued flaky').length, 1)

    const failing = await run(engine, [echo('no', { fail: true }, { concurrency })])
    t.match(await ended(engine, failing), { status: 'failed' })

    const raced = await run(engine, [
      {
        id: 'first',
        type: 'race',
        config: {
          branches: [
            { steps: [call('stay', { concurrency })] },
            { steps: [{ id: 'w', type: 'wait', config: { durationMs: 50 } }] },
          ],
        },
      },
    ])
    await ended(engine, raced)

    const cancelled = await run(engine, [call('stay', { concurrency })])
    await seen(engine, cancelled, 'slot.granted')
    const waiting = await run(engine, [call('work', { concurrency })])
    const gone = await run(engine, [call('work', { concurrency })])
    await becomes(engine, gone, 'waiting')
    await engine.cancelExecution(gone)
    await engine.cancelExecution(cancelled)
    await until('it works', async () => within.has(waiting))
    letGo(waiting)
    t.match(await ended(engine, waiting), { status: 'completed' })
    const last = await run(engine, [call('work', { concurrency })])
    await until('it works', async () => within.has(last))
    letGo(last)
    await ended(engine, last)
  },
)

t.test('who may not wait fails, or is cancelled, or takes the place of who holds the key', async (t) => {
  const { engine, within, letGo } = await workingEngine(t)
  const asking = (onLimit: string) => keyed({ scope: 'shared', key: 'k', onLimit })
  const holder = await run(engine, asking('queue'))
  await until('it works', async () => within.has(holder))
  const rejected = await ended(engine, await run(engine, asking('reject')))
  t.match(rejected, {
    status: 'failed',
    error: { type: 'ConcurrencyLimit', stepPath: 'work', details: { key: 'k', holders: [holder] } },
  })
  const cancelled = await run(engine, asking('cancel_new'))
  t.match(await ended(engine, cancelled), { status: 'cancelled' })
  const taker = await run(engine, asking('cancel_running'))
  t.match(await ended(engine, holder), { status: 'cancelled' })
  await until('it works', async () => within.has(taker))
  letGo(taker)
  t.match(await ended(engine, taker), { status: 'completed' })
})

t.test('who may wait for a while only leaves the line after it, and the next in line does not notice', async (t) => {
  const { engine, within, letGo } = await workingEngine(t)
  const scope = 'bounded'
  const holder = await run(engine, keyed({ scope }))
  await until('it works', async () => within.has(holder))
  const patience = { scope, waitTimeoutMs: 1_000 }
  const impatient = await run(engine, keyed(patience))
  const section = { id: 'in', type: 'critical_section', config: { mutex: 'm', steps: [call('work')] } }
  const outer = await run(engine, [section])
  await until('it is within', async () => within.has(outer))
  const shut = { ...section, config: { ...section.config, waitTimeoutMs: 300 } }
  const caught = await run(engine, [
    {
      id: 't',
      type: 'try',
      config: { steps: [shut], catch: [{ errors: ['ConcurrencyTimeout'], steps: [echo('plan-b')] }] },
    },
  ])
  const patient = await run(engine, keyed({ scope, waitTimeoutMs: 3_600_000 }))
  await becomes(engine, patient, 'waiting')
  t.match(await engine.getProgress(patient), { steps: [{ queued: { key: '', dueAt: Number } }] })
  const details = { scope: 'shared:bounded', key: '', limit: 1, waitTimeoutMs: 1_000 }
  t.match(await ended(engine, impatient), {
    status: 'failed',
    error: { type: 'ConcurrencyTimeout', stepPath: 'work', details },
  })
  t.ok((await typesOf(engine, impatient)).includes('execution.parked'), 'nobody had it in memory meanwhile')
  t.match(await ended(engine, caught), { status: 'completed' })
  letGo(holder)
  await until('the next works', async () => within.has(patient))
  for (const id of [patient, outer]) letGo(id)
  for (const id of [patient, outer, holder]) t.match(await ended(engine, id), { status: 'completed' })
})

t.test('an execution that waits too long for its slot fails without having started', async (t) => {
  const { engine, within, letGo } = await workingEngine(t)
  const start = (concurrency: object) => run(engine, [call('work')], { definition: { concurrency } })
  const first = await start({ scope: 'whole' })
  await until('the first works', async () => within.has(first))
  const second = await start({ scope: 'whole', waitTimeoutMs: 300 })
  const error = { type: 'ConcurrencyTimeout', details: { waitTimeoutMs: 300 } }
  t.match(await ended(engine, second), { status: 'failed', startedAt: null, error })
  letGo(first)
  t.match(await ended(engine, first), { status: 'completed' })
  await until('nobody stands in line', async () => (await engine.store.listLines({}, 10)).items.length === 0)
})

t.test('a section of steps holds one slot, and a step within it that needs the same one fails', async (t) => {
  const { engine, within, letGo } = await workingEngine(t)
  const section = (steps: object[]) => ({
    id: 'section',
    type: 'sequential',
    concurrency: { scope: 'shared', key: '{{ input }}' },
    config: { steps },
  })
  const steps = [section([echo('one'), call('work')]), echo('after')]
  const [first, second] = await startAll(engine, steps, ['k', 'k'])
  await until('one works', async () => within.size === 1)
  letGo(first!)
  letGo(second!)
  for (const id of [first!, second!]) t.match(await ended(engine, id), { status: 'completed' })
  const ends = (await journalOf(engine, first!)).find(
    ({ type, path }) => type === 'step.completed' && path === 'section.work',
  )
  t.ok(ends!.at <= (await seen(engine, second!, 'slot.granted')).at)
  const nested = await run(engine, [section([echo('in', {}, { concurrency: { scope: 'shared', key: 'k' } })])], {
    input: 'k',
  })
  t.match(await ended(engine, nested), {
    status: 'failed',
    error: { type: 'ConcurrencyDeadlock', stepPath: 'section.in' },
  })
})

t.test('what cannot be a key or a limit fails the step', async (t) => {
  const engine = await startEngine(t)
  const of = async (concurrency: object, input: Json = null) =>
    (await ended(engine, await run(engine, [echo('s', {}, { concurrency })], { input }))).error
  t.match(await of({ key: '{{ input }}' }, { an: 'object' }), { type: 'ValidationError', stepPath: 's' })
  t.match(await of({ key: '{{ input }}' }, 'x'.repeat(201)), { type: 'ValidationError' })
  t.match(await of({ key: '{{ input }}' }, 'a\u0000b'), { type: 'ValidationError' })
  t.match(await of({ key: '{{ input }}' }, 'a\ud800b'), { type: 'ValidationError' })
  t.match(await of({ limit: '{{ input }}' }, 0), { type: 'ValidationError' })
  t.match(await of({ limit: '{{ input }}' }, 1.5), { type: 'ValidationError' })
  t.match(await of({ key: '{{ nothing }}' }, {}), { type: 'ExpressionError' })
})

t.test('an execution waits for its slot before it starts: a row that nobody owns', async (t) => {
  const { engine, within, letGo } = await workingEngine(t)
  const concurrency = { key: '{{ input.customer }}' }
  const inputs = [{ customer: 1 }, { customer: 1 }, { customer: 2 }, { customer: 1 }]
  const [first, second, other, third] = await startAll(engine, [call('work')], inputs, { concurrency })
  await until('two work', async () => within.size === 2)
  t.same([...within].sort(), [first, other].sort())
  t.match(await engine.getExecution(second!), { status: 'pending', owner: null, startedAt: null })
  t.match(await engine.getProgress(second!), { status: 'pending', queued: { key: '1' } })
  await engine.cancelExecution(second!)
  letGo(first!)
  await until('the third works', async () => within.has(third!))
  for (const id of [other!, third!]) letGo(id)
  t.match(await ended(engine, third!), { status: 'completed' })
  t.same(await typesOf(engine, third!), [
    'execution.queued',
    'slot.granted',
    'execution.started',
    'step.completed work',
    'execution.completed',
  ])
})

t.test('an execution that is paused keeps its place, and goes on from it', async (t) => {
  const { engine, within, letGo } = await workingEngine(t)
  const [first, second] = await startAll(engine, [call('work')], [1, 1], { concurrency: {} })
  await engine.pauseExecution(second!)
  letGo(first!)
  await ended(engine, first!)
  await seen(engine, second!, 'slot.granted')
  t.equal(await statusOf(engine, second!), 'paused')
  await engine.resumeExecution(second!)
  await until('it works', async () => within.has(second!))
  letGo(second!)
  t.match(await ended(engine, second!), { status: 'completed' })
})

t.test('a retry, and a rollback of what has ended, wait for the slots that were given back', async (t) => {
  let isBroken = true
  const { engine, within, letGo } = await workingEngine(t, {
    breaks: () => {
      if (isBroken) throw new Error('broken')
      return 'mended'
    },
  })
  const section = {
    id: 'section',
    type: 'sequential',
    concurrency: { scope: 's' },
    config: { steps: [echo('one'), call('breaks')] },
  }
  const definition = { concurrency: { scope: 'whole' } }
  const id = await run(engine, [section], { definition })
  t.match(await ended(engine, id), { status: 'failed' })
  const blocker = await run(engine, keyed({ scope: 's' }), { definition })
  await until('it works', async () => within.has(blocker))
  isBroken = false
  await engine.retryExecution(id)
  await becomes(engine, id, 'waiting')
  letGo(blocker)
  t.match(await ended(engine, id), { status: 'completed', output: 'mended' })

  const other = await run(engine, keyed({ scope: 's' }))
  await until('it works', async () => within.has(other))
  await engine.rollbackToCheckpoint(id, 0, { resume: true })
  await seen(engine, id, 'execution.rolled_back')
  await until('the whole has its slot', async () => (await sinceRollback(engine, id)).includes('slot.granted'))
  t.ok((await sinceRollback(engine, id)).includes('step.queued section'))
  t.notOk(
    (await sinceRollback(engine, id)).some(
      (type) => type === 'slot.granted section' || type.startsWith('step.completed'),
    ),
  )
  letGo(other)
  t.match(await ended(engine, id), { status: 'completed', output: 'mended' })
  t.equal((await typesOf(engine, id)).filter((type) => type === 'step.completed section.one').length, 1)
})

const sinceRollback = async (engine: WorkflowEngine, id: string): Promise<string[]> => {
  const types = await typesOf(engine, id)
  return types.slice(types.indexOf('execution.rolled_back'))
}

t.test('what a rollback and the checkpoint have in common is held on', async (t) => {
  const { engine, within, letGo } = await workingEngine(t)
  const section = {
    id: 'section',
    type: 'sequential',
    concurrency: { scope: 's' },
    config: { steps: [echo('one'), call('work')] },
  }
  const id = await run(engine, [section])
  await until('it works', async () => within.has(id))
  const queued = await run(engine, keyed({ scope: 's' }))
  await seen(engine, queued, 'step.queued')
  await engine.rollbackToCheckpoint(id, 0, { resume: true })
  letGo(id)
  t.match(await ended(engine, id), { status: 'completed' })
  t.equal((await typesOf(engine, id)).filter((type) => type.startsWith('slot.granted')).length, 1)
  letGo(queued)
  await ended(engine, queued)
})

t.test('slots are shared by all nodes', async (t) => {
  const { url: databaseUrl } = await createTestDatabase(t)
  const shop = workshop()
  const engines = [
    await startEngine(t, { work: shop.work }, { databaseUrl }),
    await startEngine(t, { work: shop.work }, { databaseUrl }),
  ]
  const workflow = await engines[0]!.createWorkflow({ name: 'shared', steps: keyed({ limit: 2 }) })
  const ids = await Promise.all(
    Array.from({ length: 12 }, (_, index) => engines[index % 2]!.startExecution(workflow.id)),
  )
  for (const id of ids) shop.letGo(id)
  for (const id of ids) t.match(await ended(engines[0]!, id), { status: 'completed' })
  t.ok(shop.most() <= 2)
  await until('all is settled', async () => (await engines[0]!.store.unsettledKeys(-60_000, 10)).length === 0)
})

t.test('an execution in line that was claimed for nothing is let go, and starts when it is its turn', async (t) => {
  const { url: databaseUrl } = await createTestDatabase(t)
  const shop = workshop()
  const engine = await startEngine(t, { work: shop.work }, { databaseUrl })
  const concurrency = { concurrency: { limit: 1 } }
  const [first, second] = (await startAll(engine, [call('work')], [1, 2], concurrency)) as [string, string]
  await until('the first works', async () => shop.within.has(first))
  const isLetGo = async () => {
    const row = await engine.store.findExecution(second)
    return engine.gauges.running() === 1 && row!.owner === null && row!.wakeAt! > Date.now()
  }
  await until('the second has left', isLetGo)
  const before = (await journalOf(engine, second)).length
  // As a claim that saw an item of the inbox just before its last owner answered it.
  await withClient(databaseUrl, (client) =>
    client.query('UPDATE workflow_executions SET wake_at = 0 WHERE id = $1', [second]),
  )
  await until('it has come back', async () => (await journalOf(engine, second)).length > before)
  await until('and left', isLetGo)
  t.match((await journalOf(engine, second)).at(-1), { type: 'execution.released', data: { reason: 'idle' } })
  t.match(await engine.getProgress(second), { status: 'pending', queued: { key: '' } })
  for (const id of [first, second]) shop.letGo(id)
  t.match(await ended(engine, second), { status: 'completed', output: 'done' })
})

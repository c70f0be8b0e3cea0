import t, { type Test } from 'tap'
import { buildApp } from '../../src/app.ts'
import type { WorkflowEngine } from '../../src/engine/engine.ts'
import type { EngineOptions } from '../../src/engine/engine-options.ts'
import { silentLog } from '../../src/engine/log.ts'
import type { StreamMessage } from '../../src/engine/stream-message.ts'
import { type Database, openDatabase } from '../../src/repository/connection.ts'
import { createUpkeep } from '../../src/repository/upkeep.ts'
import { until } from '../harness/condition.ts'
import { createTestDatabase } from '../harness/database.ts'
import { type Calls, call, echo, ended, run, startEngine } from './running-engine.ts'

/** A quarter of an hour; the tests make executions older than they are. */
const days = 0.01

interface World {
  readonly url: string
  readonly database: Database
  /** Lets the executions look as if nothing had happened to them for a year, once no node leans on their events. */
  age(...executionIds: string[]): Promise<void>
  /** Until nothing of the execution is left in any table. */
  gone(executionId: string): Promise<unknown>
}

async function openWorld(t: Test): Promise<World> {
  const { url } = await createTestDatabase(t)
  const database = openDatabase({ url })
  t.teardown(database.close)
  const upkeep = createUpkeep(database)
  return {
    url,
    database,
    async age(...executionIds) {
      const now = await upkeep.databaseNow()
      await until('every node has settled', async () => (await upkeep.settledHorizon()) > now)
      await database.pool.query(
        'UPDATE workflow_executions SET updated_at = updated_at - 31536000000 WHERE id = ANY ($1)',
        [executionIds],
      )
    },
    gone: (executionId) =>
      until(`${executionId} is gone`, async () => {
        const { rows } = await database.pool.query(
          `SELECT (SELECT count(*) FROM workflow_executions WHERE id = $1)
            + (SELECT count(*) FROM execution_events WHERE execution_id = $1)
            + (SELECT count(*) FROM retired_executions WHERE execution_id = $1) AS left`,
          [executionId],
        )
        return rows[0].left === 0
      }),
  }
}

/** An engine that keeps house often, and complains of its own death. */
async function startKeeper(t: Test, { url }: World, calls: Calls = {}, options: EngineOptions = {}) {
  const errors: string[] = []
  const log = { ...silentLog, error: (_: object, message: string) => void errors.push(message) }
  const engine = await startEngine(t, calls, {
    databaseUrl: url,
    retentionDays: days,
    housekeepingMs: 30,
    leaseMs: 60_000,
    log,
    ...options,
  })
  return { engine, errors }
}

/** Until the nodes' gauges say so together: the database knows of it a moment before the node that did it. */
const areCounted = (engines: readonly WorkflowEngine[], executions: number, retiredEvents: number): Promise<unknown> =>
  until(`${executions} executions and ${retiredEvents} events are counted as removed`, async () => {
    const removed = engines.map((engine) => engine.gauges.removed())
    return (
      removed.reduce((sum, node) => sum + node.executions, 0) === executions &&
      removed.reduce((sum, node) => sum + node.retiredEvents, 0) === retiredEvents
    )
  })

t.test('a finished execution goes, and a node that leant on its last event goes on', async (t) => {
  const world = await openWorld(t)
  const { engine, errors } = await startKeeper(t, world)
  const id = await run(engine, [echo('a')])
  await ended(engine, id)
  await world.age(id)
  await world.gone(id)
  await areCounted([engine], 1, 3)
  const next = await run(engine, [echo('a')])
  t.equal((await ended(engine, next)).status, 'completed')
  t.same(errors, [], 'the fence of its idle lane did not take the absence for lost commits')
})

t.test('without a setting everything is kept; a workflow may say otherwise, its active version for all', async (t) => {
  const world = await openWorld(t)
  const { engine } = await startKeeper(t, world, {}, { retentionDays: null })
  const silent = await run(engine, [echo('a')])
  const short = await run(engine, [echo('a')], { definition: { retention: { days } } })
  const long = await engine.createWorkflow({ name: 'long', steps: [echo('a')], retention: { days: 30_000 } })
  const kept = await engine.startExecution(long.id)
  for (const id of [silent, short, kept]) await ended(engine, id)
  await world.age(silent, short, kept)
  await world.gone(short)
  await engine.updateWorkflow(long.id, { name: 'long', steps: [echo('b')], retention: { days } })
  await world.gone(kept)
  t.match(await engine.getExecution(silent), { status: 'completed' })
  t.same(
    (await engine.validateDefinition({ name: 'x', steps: [echo('a')], retention: { days: 0, months: 1 } })).map(
      ({ pointer }) => pointer,
    ),
    ['/retention/days', '/retention/months'],
  )
})

t.test('null keeps a workflow for ever, whatever the setting says', async (t) => {
  const world = await openWorld(t)
  const { engine } = await startKeeper(t, world)
  const kept = await run(engine, [echo('a')], { definition: { retention: { days: null } } })
  const short = await run(engine, [echo('a')])
  for (const id of [kept, short]) await ended(engine, id)
  await world.age(kept, short)
  await world.gone(short)
  t.match(await engine.getExecution(kept), { status: 'completed' })
})

t.test('who asks for it afterwards hears that it does not exist; the statistics go on counting it', async (t) => {
  const world = await openWorld(t)
  const { engine } = await startKeeper(t, world)
  const app = buildApp({ engine })
  t.teardown(() => app.close())
  const workflow = await engine.createWorkflow({ name: 'kept in numbers', steps: [echo('a')] })
  const request = { workflowId: workflow.id, idempotencyKey: 'once' }
  const { id } = (await engine.requestStart(request)).execution
  await ended(engine, id)
  t.equal((await engine.getProgress(id)).percentage, 100, 'now it is in the cache')
  const failure = new Promise<StreamMessage>((resolve) => {
    const unsubscribe = engine.subscribe(id, (message) => message.type === 'error' && resolve(message))
    t.teardown(unsubscribe)
  })
  await world.age(id)
  await world.gone(id)
  t.match(await failure, { code: 'EXECUTION_NOT_FOUND', executionId: id })
  for (const path of ['', '/progress', '/steps', '/events', '/checkpoints', '/checkpoints/0']) {
    const answer = await app.inject(`/api/workflows/executions/${id}${path}`)
    t.match([answer.statusCode, answer.json().code], [404, 'EXECUTION_NOT_FOUND'], path)
  }
  await t.rejects(engine.retryExecution(id), { code: 'EXECUTION_NOT_FOUND' })
  await t.rejects(engine.signal(id, 'go', null), { code: 'EXECUTION_NOT_FOUND' })
  t.same((await engine.store.listExecutions({ workflowId: workflow.id }, 10)).items, [])
  t.match(await engine.store.readStatistics(workflow.id), { totalExecutions: 1, completedExecutions: 1 })
  const again = await engine.requestStart(request)
  t.ok(!again.replayed && again.execution.id !== id, 'its key went with it')
})

t.test('a retry and retention meet: it goes, or it lives on whole', async (t) => {
  const world = await openWorld(t)
  let isMended = false
  const mend = () => {
    if (!isMended) throw new Error('not yet')
    return 'mended'
  }
  const { engine, errors } = await startKeeper(t, world, { mend })
  const workflow = await engine.createWorkflow({ name: 'broken', steps: [echo('a'), call('mend')] })
  const ids = await Promise.all(Array.from({ length: 24 }, () => engine.startExecution(workflow.id)))
  for (const id of ids) t.equal((await ended(engine, id)).status, 'failed')
  isMended = true
  const aged = world.age(...ids)
  const answers = await Promise.all(
    ids.map(async (id) => {
      // Spread over the time in which housekeeping is at it.
      await until('it is old or gone', async () => {
        const row = await engine.store.findExecution(id)
        return row === null || row.updatedAt < row.createdAt
      })
      return engine.retryExecution(id).then(
        () => 'retried',
        (error) => error.code,
      )
    }),
  )
  await aged
  for (const [index, id] of ids.entries()) {
    if (answers[index] !== 'retried') {
      t.equal(answers[index], 'EXECUTION_NOT_FOUND')
      await world.gone(id)
      continue
    }
    t.match(await ended(engine, id), { status: 'completed', output: 'mended' })
    const events = await engine.store.eventsAfter(id, 0, 100)
    t.same(
      events.map(({ seq }) => seq),
      events.map((_, index) => index + 1),
    )
  }
  const { rows } = await world.database.pool.query('SELECT FROM execution_inbox')
  t.same(rows, [], 'and no request is left behind')
  t.same(errors, [])
})

t.test('several nodes keep house together: each execution goes once, and nobody dies of it', async (t) => {
  const world = await openWorld(t)
  const nodes = [await startKeeper(t, world), await startKeeper(t, world), await startKeeper(t, world)]
  const engines: WorkflowEngine[] = nodes.map(({ engine }) => engine)
  const { id } = await engines[0]!.createWorkflow({ name: 'many', steps: [echo('a'), echo('b')] })
  const ids = await Promise.all(Array.from({ length: 60 }, (_, i) => engines[i % 3]!.startExecution(id)))
  for (const executionId of ids) await ended(engines[0]!, executionId)
  await world.age(...ids)
  for (const executionId of ids) await world.gone(executionId)
  await areCounted(engines, 60, 240)
  for (const engine of engines) t.equal((await ended(engine, await run(engine, [echo('a')]))).status, 'completed')
  t.same(
    nodes.flatMap(({ errors }) => errors),
    [],
  )
})

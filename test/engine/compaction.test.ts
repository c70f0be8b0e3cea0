import t from 'tap'
import { buildApp } from '../../src/app.ts'
import type { WorkflowEngine } from '../../src/engine/engine.ts'
import { silentLog } from '../../src/engine/log.ts'
import type { StreamMessage } from '../../src/engine/stream-message.ts'
import { until } from '../harness/condition.ts'
import { createTestDatabase } from '../harness/database.ts'
import { call, echo, ended, latch, run, seen, startEngine } from './running-engine.ts'

/** Outputs large enough for a snapshot every dozen steps. */
const fill = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, i) => echo(`${prefix}${i}`, { value: `${prefix}${i} `.repeat(1_500) }))
const never = () => new Promise<never>(() => {})
const compact = { checkpoints: { keep: 2, compact: true } }

/** Its first event's seq, once it is above `seq`. */
const compactedBeyond = (engine: WorkflowEngine, id: string, seq: number): Promise<number> =>
  until(`the events up to ${seq} are gone`, async () => {
    const [first] = await engine.store.eventsAfter(id, 0, 1)
    return first!.seq > seq && first!.seq
  })

t.test('a long execution sheds what no kept checkpoint needs, and is whole for all that', async (t) => {
  const { url: databaseUrl } = await createTestDatabase(t)
  const errors: string[] = []
  const log = { ...silentLog, error: (_: object, message: string) => void errors.push(message) }
  const options = { databaseUrl, housekeepingMs: 30, leaseMs: 60_000, drainMs: 0, log }
  const first = await startEngine(t, { hold: never }, options)
  const app = buildApp({ engine: first })
  t.teardown(() => app.close())
  const steps = [...fill('a', 70), call('hold'), echo('end', { value: '{{ steps.a3.output.length }}' })]
  const id = await run(first, steps, { definition: compact })
  await seen(first, id, 'step.completed', 'a69')
  await compactedBeyond(first, id, 10)

  const kept = await first.listCheckpoints(id)
  t.same(
    kept.map(({ stepId }) => stepId),
    ['a68', 'a69'],
  )
  t.match(await first.getProgress(id), { completedSteps: 70, lastSeq: 71 })
  t.equal((await first.getSteps(id)).filter((step) => step.status === 'completed').length, 70)
  const whole = await first.getCheckpoint(id, kept[0]!.index)
  const completed = Object.values(whole.state.steps).filter((step) => step.status === 'completed')
  t.equal(completed.length, 69, 'the complete state')
  const events = (after: number) => app.inject(`/api/workflows/executions/${id}/events?after=${after}`)
  const { firstSeq, told } = await betweenRounds(first, id, async (firstSeq) => ({
    removed: first.gauges.removed(),
    answers: [await events(0), await events(firstSeq - 1)],
    messages: await replayed(first, id),
  }))
  t.match(told.removed, { compactedEvents: firstSeq - 1 })
  t.match(
    told.answers.map((answer) => [answer.statusCode, answer.json()]),
    [
      [410, { code: 'EVENTS_GONE', firstSeq }],
      [200, { items: [{ seq: firstSeq }] }],
    ],
  )
  t.match(told.messages, [
    { type: 'snapshot', seq: 71 },
    { type: 'lagged', fromSeq: 1, toSeq: firstSeq - 1 },
    { type: 'event', seq: firstSeq },
  ])
  await first.stop()

  const second = await startEngine(t, { hold: () => 'on' }, options)
  t.match(await ended(second, id), { status: 'completed', output: 4_500 }, 'recovered from the snapshot')
  t.same(errors, [])
})

/** What is told of a journal while no round of compaction takes more away from it, and where it begins meanwhile. */
async function betweenRounds<T>(engine: WorkflowEngine, id: string, tell: (firstSeq: number) => Promise<T>) {
  for (;;) {
    const firstSeq = await compactedBeyond(engine, id, 0)
    await until('it is counted', async () => engine.gauges.removed().compactedEvents >= firstSeq - 1)
    const told = await tell(firstSeq)
    if ((await compactedBeyond(engine, id, 0)) === firstSeq) return { firstSeq, told }
  }
}

/** The first three messages of a subscription from the beginning. */
const replayed = (engine: WorkflowEngine, id: string): Promise<StreamMessage[]> =>
  new Promise((resolve) => {
    const messages: StreamMessage[] = []
    const unsubscribe = engine.subscribe(
      id,
      (message) => {
        messages.push(message)
        if (messages.length < 3) return
        unsubscribe()
        resolve(messages.slice(0, 3))
      },
      { after: 0 },
    )
  })

t.test('a rollback goes to any kept checkpoint and not beyond, and compaction goes on behind it', async (t) => {
  const { url: databaseUrl } = await createTestDatabase(t)
  const options = { databaseUrl, housekeepingMs: 30, leaseMs: 60_000, drainMs: 0 }
  const held = latch<string>()
  const first = await startEngine(t, { hold: () => held.promise, stay: never }, options)
  const definition = { checkpoints: { keep: 5, compact: true } }
  const id = await run(first, [...fill('a', 30), call('hold'), ...fill('b', 130), call('stay')], { definition })
  await seen(first, id, 'step.completed', 'a29')
  const before = await compactedBeyond(first, id, 10)

  const oldest = (await first.listCheckpoints(id))[0]!
  t.equal(oldest.stepId, 'a25')
  await first.rollbackToCheckpoint(id, oldest.index)
  t.same(
    (await first.listCheckpoints(id)).map(({ stepId }) => stepId),
    ['a25'],
    'what was not kept before it is not kept again',
  )
  await t.rejects(first.rollbackToCheckpoint(id, oldest.index - 1), { code: 'CHECKPOINT_GONE' })
  await t.rejects(first.getCheckpoint(id, oldest.index - 1), { code: 'CHECKPOINT_GONE' })
  held.open('on')
  await first.resumeExecution(id)
  await seen(first, id, 'step.completed', 'b129')
  await compactedBeyond(first, id, before)
  await first.stop()

  const second = await startEngine(t, { hold: () => 'on', stay: () => 'stayed' }, options)
  t.match(await ended(second, id), { status: 'completed', output: 'stayed' })
  const state = (await second.getCheckpoint(id, (await second.listCheckpoints(id))[0]!.index)).state
  t.equal(state.steps.a3!.output, 'a3 '.repeat(1_500), 'the superseded range between the snapshots did no harm')
})

t.test('without `compact` nothing goes', async (t) => {
  const { url: databaseUrl } = await createTestDatabase(t)
  const engine = await startEngine(t, { hold: never }, { databaseUrl, housekeepingMs: 30, drainMs: 0 })
  const shedding = await run(engine, [...fill('a', 70), call('hold')], { definition: compact })
  const keeping = await run(engine, fill('a', 70), { definition: { checkpoints: { keep: 2 } } })
  await ended(engine, keeping)
  await compactedBeyond(engine, shedding, 1)
  const events = await engine.store.eventsAfter(keeping, 0, 1_000)
  t.same([events[0]!.seq, events.length], [1, 72])
})

t.test('a loop under the root sheds its iterations, and the checkpoint before it stays', async (t) => {
  const { url: databaseUrl } = await createTestDatabase(t)
  const errors: string[] = []
  const log = { ...silentLog, error: (_: object, message: string) => void errors.push(message) }
  const options = { databaseUrl, housekeepingMs: 30, leaseMs: 60_000, drainMs: 0, log }
  const [first, second] = await Promise.all([
    startEngine(t, { hold: never }, options),
    startEngine(t, { hold: never }, { ...options, maxRunning: 0 }),
  ])
  const loop = {
    id: 'loop',
    type: 'while',
    config: { condition: 'index < 150', maxIterations: 150, steps: fill('item', 1) },
  }
  const last = echo('last', { value: '{{ steps.begin.output }}' })
  const definition = { checkpoints: { keep: 3, compact: true } }
  const id = await run(first, [echo('begin', { value: 'kept' }), loop, call('hold'), last], { definition })
  await seen(second, id, 'step.completed', 'loop[149].item0')
  await compactedBeyond(second, id, 30)
  const begin = { index: 0, seq: 2, stepId: 'begin' }
  t.match(await second.listCheckpoints(id), [begin, { index: 148 }, { index: 149 }, { index: 150 }])
  const { state } = await second.getCheckpoint(id, 0)
  t.match(state.steps, { begin: { status: 'completed', output: 'kept' } }, 'its state is whole')
  t.same(Object.keys(state.steps), ['begin', 'loop'])
  await t.rejects(second.getCheckpoint(id, 30), { code: 'CHECKPOINT_GONE' })
  const { lastSeq } = await second.getProgress(id)
  await first.stop()

  const third = await startEngine(t, { hold: never }, options)
  await third.rollbackToCheckpoint(id, 0, { resume: true })
  t.match(await third.listCheckpoints(id), [begin], 'and it is the only one that is kept')
  const again = await compactedBeyond(second, id, lastSeq)
  t.ok((await second.getProgress(id)).lastSeq > again, 'a node that only reads follows')
  await third.stop()

  const fourth = await startEngine(t, { hold: () => 'on' }, options)
  t.match(await ended(fourth, id), { status: 'completed', output: 'kept' })
  t.match(await fourth.listCheckpoints(id), [begin, { stepId: 'item0' }, { stepId: 'hold' }, { stepId: 'last' }])
  await fourth.rollbackToCheckpoint(id, 0)
  t.match(await fourth.getProgress(id), { status: 'paused', completedSteps: 1 })
  t.same(errors, [])
})

/** Two releases on one database, of which one knows a format more: who runs what, and what is asked of the wrong one. */
import t, { type Test } from 'tap'
import type { WorkflowEngine } from '../../src/engine/engine.ts'
import type { EngineOptions } from '../../src/engine/engine-options.ts'
import type { StreamMessage } from '../../src/engine/stream-message.ts'
import { type Calls, call, echo, ended, latch, run, seen, startEngine, typesOf } from '../engine/running-engine.ts'
import { until } from '../harness/condition.ts'
import { createTestDatabase } from '../harness/database.ts'

/** Nodes of both releases; `performed` says which of them performed a step, by execution. */
async function open(t: Test) {
  const { url: databaseUrl } = await createTestDatabase(t)
  const performed = new Map<string, Set<string>>()
  const start = (release: string, formats: readonly number[], calls: Calls, options: EngineOptions = {}) => {
    const note: Calls[string] = ({ executionId }) => {
      performed.set(executionId, (performed.get(executionId) ?? new Set()).add(release))
      return release
    }
    return startEngine(t, { note, ...calls }, { databaseUrl, ...options }, { formats })
  }
  return {
    performed,
    startOld: (calls: Calls = {}) => start('old', [1], calls),
    startNew: (calls: Calls = {}, options: EngineOptions = {}) => start('new', [1, 2], calls, options),
  }
}

/** What only the newer format knows. */
const newer = { id: 'newer', name: 'newer', type: 'set', config: { variables: { x: 1 } } }

const formatOf = async (engine: WorkflowEngine, id: string) => (await engine.store.findExecution(id))!.format
const many = (engine: WorkflowEngine, steps: readonly object[]) =>
  Promise.all(Array.from({ length: 20 }, () => run(engine, steps)))

/** Steps with a pause between them, in which an execution leaves its node and is claimed again by whoever comes first. */
const restless = (before: string): object[] => [
  call(before, { config: { type: 'call', name: 'note' } }),
  echo('rest', { fail: { untilAttempt: 2, retryable: true } }, { retryPolicy: { maxAttempts: 2, jitter: 0 } }),
  call('after', { config: { type: 'call', name: 'note' } }),
]

t.test('side by side under load, old executions run on both and new ones on new nodes only', async (t) => {
  const { performed, startOld, startNew } = await open(t)
  const [old, fresh] = [await startOld(), await startNew()]
  const [olds, news] = await Promise.all([many(old, restless('a')), many(fresh, [...restless('b'), newer])])
  for (const id of [...olds, ...news]) t.equal((await ended(old, id)).status, 'completed')
  for (const id of olds) t.equal(await formatOf(old, id), 1)
  for (const id of news) {
    t.equal(await formatOf(old, id), 2)
    t.same([...performed.get(id)!], ['new'])
  }
})

t.test('an old execution goes on under the new release, and under the old one again', async (t) => {
  const { startOld, startNew } = await open(t)
  const performed: string[] = []
  const [first, second] = [latch(), latch()]
  const gates = [latch(), latch()]
  const calls = (release: string): Calls =>
    Object.fromEntries(
      [first, second].map((reached, index) => [
        `hold${index}`,
        async () => {
          performed.push(release)
          reached.open()
          await gates[index]!.promise
          return release
        },
      ]),
    )
  const old = await startOld(calls('old'))
  const id = await run(old, [call('hold0'), call('hold1'), call('last', { config: { type: 'call', name: 'note' } })])
  await first.promise
  const fresh = await startNew(calls('new'))
  const left = old.drain()
  gates[0]!.open()
  await left
  await second.promise
  const again = await startOld()
  const leftAgain = fresh.drain()
  gates[1]!.open()
  await leftAgain
  t.match(await ended(again, id), { status: 'completed', output: 'old' })
  t.same(performed, ['old', 'new'])
})

t.test('a deploy that is rolled back: new executions wait, unharmed, and go on with the next new node', async (t) => {
  const { startOld, startNew } = await open(t)
  const reached = latch()
  const hang = () => {
    reached.open()
    return new Promise<never>(() => {})
  }
  const old = await startOld({ hold: () => 'old' })
  const doomed = await startNew({ hold: hang }, { drainMs: 100 })
  const steps = [echo('first', { value: 1 }), call('hold'), newer]
  const released = await run(doomed, steps)
  await reached.promise
  const { owner } = (await doomed.store.findExecution(released))!
  // One is left behind by a node that is declared dead; its next life takes it over again, and then lets it go.
  await doomed.store.removeNode(owner!)
  await seen(doomed, released, 'execution.recovered')
  const later = await doomed.startExecution((await doomed.getExecution(released)).workflowId, 'test', null, {
    startAt: Date.now() + 60,
  })
  await doomed.drain()
  await doomed.stop()

  // The old node claims and finishes its own while theirs are due.
  for (const id of await many(old, restless('a'))) t.equal((await ended(old, id)).status, 'completed')
  for (const id of [released, later]) {
    const { status, owner, error } = (await old.store.findExecution(id))!
    t.notMatch(status, /completed|failed|cancelled/)
    t.same({ owner, error }, { owner: null, error: null })
  }
  const next = await startNew({ hold: () => 'new' })
  for (const id of [released, later]) t.match(await ended(next, id), { status: 'completed', output: 'new' })
})

t.test('on an old node all works that needs no fold, and what needs one says so', async (t) => {
  const { startOld, startNew } = await open(t)
  const [reached, gate] = [latch(), latch()]
  const calls = {
    hold: () => {
      reached.open()
      return gate.promise.then(() => 'held')
    },
  }
  const [old, fresh] = [await startOld(calls), await startNew(calls)]
  const id = await run(fresh, [echo('first', { value: 1 }), call('hold'), echo('last', { value: 3 }), newer])
  await reached.promise
  await seen(fresh, id, 'step.completed', 'first')

  const unknown = { code: 'FORMAT_UNKNOWN', status: 503, message: /newer release \(format 2\)/ }
  await t.rejects(old.getProgress(id), unknown)
  await t.rejects(old.getSteps(id), unknown)
  await t.rejects(old.listCheckpoints(id), unknown)
  await t.rejects(old.getCheckpoint(id, 0), unknown)

  t.match(await old.getExecution(id), { status: 'running', percentage: 25 })
  t.equal((await old.store.listExecutions({ status: 'running' }, 10)).items.length, 1)
  const heard: StreamMessage[] = []
  const live = old.subscribe(id, (message) => heard.push(message))
  const replayed: StreamMessage[] = []
  const fromTheStart = old.subscribe(id, (message) => replayed.push(message), { after: 0 })

  await old.signal(id, 'hello', { n: 1 })
  await seen(old, id, 'signal.received')
  const pausing = old.pauseExecution(id)
  await seen(old, id, 'execution.pause_requested')
  gate.open()
  t.match(await pausing, { effective: true, execution: { status: 'paused' } })
  await t.rejects(old.pauseExecution(id), { code: 'EXECUTION_STATUS_CONFLICT' })
  t.match(await old.rollbackToCheckpoint(id, 0, { resume: true }), { effective: true })
  t.match(await ended(old, id), { status: 'completed', output: 3 })
  await seen(old, id, 'execution.completed')
  const journal = (await typesOf(old, id)).map((_, index) => index + 1)
  const seqs = (messages: StreamMessage[]) => messages.flatMap((m) => (m.type === 'event' ? [m.seq] : []))
  const isWhole = (messages: StreamMessage[]) => seqs(messages).at(-1) === journal.at(-1)
  await until('both have heard the end', async () => isWhole(heard) && isWhole(replayed))
  live()
  fromTheStart()

  const snapshot = heard[0]!
  if (snapshot.type !== 'snapshot') throw new Error(`it began with ${snapshot.type}`)
  t.match(snapshot.progress, { status: 'running', percentage: 25, steps: [] })
  t.same(seqs(heard), journal.slice(snapshot.seq), 'it goes on from its snapshot without a gap')
  t.same(seqs(replayed), journal)
})

/** Nodes that never poll: what a subscriber hears of another node's execution, its node was told. */
import t from 'tap'
import { channelOf } from '../../src/repository/notifications.ts'
import { until } from '../harness/condition.ts'
import { Notified } from '../harness/notified.ts'
import { call, echo, ended, latch, run } from './running-engine.ts'
import { follow, listeners, listeningLog, openNodes, seqsOf, sleeper } from './telling-nodes.ts'

// Many engines, one after the other, on a machine that may be busy.
t.setTimeout(240_000)

t.test('a subscriber hears every event of an execution that another node runs', async (t) => {
  const { start } = await openNodes(t)
  const gate = latch()
  const owner = await start({ hold: () => gate.promise.then(() => 1) })
  const other = await start()
  const id = await run(owner, [call('hold'), echo('b'), echo('c')])
  const { seqs, until } = follow(other, id)
  await until('snapshot')
  gate.open()
  await until('execution.completed')
  t.same(seqs, await seqsOf(other, id))
})

t.test('an end that was committed before its node heard of the subscriber is looked for', async (t) => {
  const { start, sql } = await openNodes(t)
  const gate = latch()
  const log = listeningLog()
  const owner = await start({ hold: () => gate.promise.then(() => 1) }, { log })
  await log.until('listening for what other nodes tell')
  const [listener] = await sql(`SELECT pid ${listeners}`)
  const other = await start()
  const id = await run(owner, [call('hold')])
  // For a moment the owner hears nothing.
  await sql(`SELECT pg_terminate_backend(${listener.pid})`)
  const { seqs, until } = follow(other, id)
  await until('snapshot')
  gate.open()
  await until('execution.completed')
  t.same(seqs, await seqsOf(other, id))
})

t.test('a subscriber follows an execution to its next owner, one that started after it subscribed too', async (t) => {
  const { start } = await openNodes(t)
  const watching = await start()
  const first = await start()
  const id = await run(first, [echo('a'), sleeper])
  const { seqs, until } = follow(watching, id)
  await until('execution.parked')
  // Whoever takes the signal claims the execution.
  await first.signal(id, 'one', 1)
  // What comes while an execution is being given away is found by polling alone.
  await until('execution.parked', 2)
  const second = await start()
  await second.signal(id, 'two', 2)
  await until('execution.parked', 3)
  await second.cancelExecution(id)
  await until('execution.cancelled')
  t.same(seqs, await seqsOf(watching, id))
})

t.test('a subscriber goes on hearing an execution that its own node gives away', async (t) => {
  const { start } = await openNodes(t)
  const watching = await start()
  const other = await start()
  const id = await run(watching, [sleeper])
  const { seqs, until } = follow(watching, id)
  await until('execution.parked')
  await other.signal(id, 'one', 1)
  await until('execution.parked', 2)
  t.same(seqs, await seqsOf(watching, id))
})

t.test('a watcher of a workflow hears of the changes that other nodes commit', async (t) => {
  const log = listeningLog()
  const { start } = await openNodes(t)
  const watching = await start({}, { log })
  const owner = await start()
  const workflow = await owner.createWorkflow({ name: 'watched', steps: [echo('a')] })
  await log.until('listening for what other nodes tell')
  const heard = new Map<string, string[]>()
  watching.feed.subscribeWorkflow(workflow.id, (message) => {
    if (message.type !== 'execution') return
    heard.set(message.executionId, [...(heard.get(message.executionId) ?? []), `${message.seq} ${message.status}`])
  })
  // Until the owner has heard that somebody watches, it tells nobody.
  await until('one is heard from its start to its end', async () => {
    await ended(owner, await owner.startExecution(workflow.id))
    return [...heard.values()].some((statuses) => statuses.length === 2)
  })
  const [executionId, statuses] = [...heard].find(([, changes]) => changes.length === 2)!
  const completed = (await seqsOf(owner, executionId)).length
  t.same(statuses, ['1 running', `${completed} completed`])
})

t.test('what nobody watches is told to nobody, and no longer when nobody watches any more', async (t) => {
  const { databaseUrl, start } = await openNodes(t)
  const notified = await Notified.open(t, databaseUrl)
  const log = listeningLog()
  const owner = await start({}, { log })
  const other = await start()
  const hellos = () => notified.heard.filter(({ payload }) => 'hello' in JSON.parse(payload))
  await notified.until(() => hellos().length === 2)
  for (const { payload } of hellos()) await notified.listen(channelOf(JSON.parse(payload).from))
  await notified.take()

  const id = await run(owner, [echo('a'), echo('b'), sleeper])
  await log.until('execution parked')
  await owner.signal(id, 'one', 1)
  await log.until('execution parked', 2)
  t.same(await notified.take(), [], 'events, changes of status and a signal, but not one notification')

  const { seqs, until, unsubscribe } = follow(other, id)
  await until('snapshot')
  await owner.signal(id, 'two', 2)
  await until('execution.parked', 3)
  t.same(seqs, await seqsOf(owner, id))
  const heard = await notified.take()
  t.ok(heard.length > 0 && heard.every(({ payload }) => payload.includes(id)))

  unsubscribe()
  let told = Number.POSITIVE_INFINITY
  // The first of them are still told, and answered with what makes the next ones go untold.
  for (let n = 4; told > 0 && n < 30; n++) {
    await owner.signal(id, 'again', n)
    await log.until('execution parked', n)
    told = (await notified.take()).length
  }
  t.equal(told, 0)
})

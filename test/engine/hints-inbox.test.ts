/** Nodes that never poll: what reaches an execution that another node owns, or wakes another node, was told to it. */
import t from 'tap'
import { channelOf } from '../../src/repository/notifications.ts'
import { Notified } from '../harness/notified.ts'
import { call, echo, ended, latch, run } from './running-engine.ts'
import { follow, listeners, openNodes, seqsOf, sleeper } from './telling-nodes.ts'

// Many engines, one after the other, on a machine that may be busy.
t.setTimeout(240_000)

t.test('control requests and signals that another node takes are answered by the owner', async (t) => {
  const { start } = await openNodes(t)
  const gate = latch()
  const calls = { hold: () => gate.promise.then(() => 1) }
  const owner = await start(calls)
  const other = await start(calls)
  const id = await run(owner, [echo('a'), call('hold'), echo('b')])
  const { seqs, until } = follow(other, id)
  await other.signal(id, 'hello', 1)
  await until('signal.received')
  const pausing = other.pauseExecution(id)
  await until('execution.pause_requested')
  gate.open()
  t.match(await pausing, { effective: true, execution: { status: 'paused' } })
  t.match(await other.resumeExecution(id), { effective: true })
  await until('execution.completed')
  t.match(await other.rollbackToCheckpoint(id, 0, { resume: true }), { effective: true })
  await until('execution.completed', 2)
  await t.rejects(other.cancelExecution(id), { code: 'EXECUTION_STATUS_CONFLICT' })
  await until('control.refused')
  t.same(seqs, await seqsOf(other, id))
})

t.test('starts that find no room are claimed by a node that has some', async (t) => {
  const { start } = await openNodes(t)
  const gate = latch()
  const performed = latch()
  const full = await start({ hold: () => gate.promise.then(() => 1) }, { maxRunning: 1 })
  await start({ hold: () => performed.open() ?? 2 })
  const holding = await run(full, [call('hold')])
  const workflow = await full.createWorkflow({ name: 'one step', steps: [call('hold')] })
  await full.startExecution(workflow.id)
  await performed.promise
  await full.startExecution(workflow.id, 'test', null, { idempotencyKey: 'k' })
  gate.open()
  t.equal((await ended(full, holding)).output, 1)
})

t.test('what a stopping node lets go of is claimed by another', async (t) => {
  const { start } = await openNodes(t)
  const reached = latch()
  const aborted = ({ signal }: { signal: AbortSignal }) =>
    new Promise<never>((_, reject) => {
      reached.open()
      signal.addEventListener('abort', () => reject(signal.reason))
    })
  const first = await start({ slow: aborted }, { drainMs: 10 })
  const second = await start({ slow: () => 'elsewhere' })
  const id = await run(first, [call('slow')])
  await reached.promise
  const { seqs, until } = follow(second, id)
  await until('snapshot')
  await first.stop()
  await until('execution.completed')
  t.same(seqs, await seqsOf(second, id))
})

t.test('a broken listener comes back, and what it missed is looked for', async (t) => {
  const { start, sql } = await openNodes(t)
  const gates = [latch(), latch()]
  const owner = await start({ one: () => gates[0]!.promise.then(() => 1), two: () => gates[1]!.promise.then(() => 2) })
  const other = await start()
  const id = await run(owner, [call('one'), call('two')])
  const { seqs, until } = follow(other, id)
  await until('snapshot')
  await sql(`SELECT pg_terminate_backend(pid) ${listeners}`)
  gates[0]!.open()
  await other.signal(id, 'hello', 1)
  await until('signal.received')
  gates[1]!.open()
  await until('execution.completed')
  t.same(seqs, await seqsOf(other, id))
})

t.test('what is no message of a node hurts nobody', async (t) => {
  const { start, sql } = await openNodes(t)
  const gate = latch()
  const owner = await start({ hold: () => gate.promise.then(() => 1) })
  const other = await start()
  const id = await run(owner, [call('hold')])
  const { seqs, until } = follow(other, id)
  await until('snapshot')
  for (const payload of [
    '',
    'nonsense',
    'null',
    '{"events":[1]}',
    '{"from":"x","changes":[{}]}',
    `{"from":"x","events":[["${id}",7]],"new":1}`,
  ])
    await sql(
      `SELECT pg_notify(channel, '${payload}') FROM (SELECT 'cairn' UNION SELECT 'cairn_' || id FROM nodes) AS all_of_them (channel)`,
    )
  gate.open()
  await until('execution.completed')
  t.same(seqs, await seqsOf(other, id))
})

t.test('without NOTIFY nobody listens or notifies, and nodes find by polling what concerns them', async (t) => {
  const { databaseUrl, start, sql } = await openNodes(t)
  const notified = await Notified.open(t, databaseUrl)
  const gate = latch()
  const options = { notify: false, pollMs: 250 }
  const owner = await start({ hold: () => gate.promise.then(() => 1) }, options)
  const other = await start({}, options)
  for (const { id } of (await sql('SELECT id FROM nodes')) as { id: string }[]) await notified.listen(channelOf(id))
  const id = await run(owner, [call('hold'), sleeper])
  const { seqs, until } = follow(other, id)
  await other.signal(id, 'hello', 1)
  await until('signal.received')
  gate.open()
  await until('execution.parked')
  t.match(await other.cancelExecution(id), { effective: true, execution: { status: 'cancelled' } })
  await until('execution.cancelled')
  t.same(seqs, await seqsOf(other, id))
  t.same(await notified.take(), [])
  t.same(await sql(`SELECT pid ${listeners}`), [])
})

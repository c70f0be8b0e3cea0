import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import type { StreamMessage } from '../../src/engine/stream-message.ts'
import { Heard } from '../engine/recorder.ts'
import { type Api, echo, gateStep, startApi } from '../routes/api.ts'
import { Client } from './server.ts'

/** The streams of a whole service: real engine, real actions, real sockets. */
async function startService(t: Test): Promise<Api & { connect(path: string): Client }> {
  const api = await startApi(t)
  await api.app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = api.app.server.address() as AddressInfo
  return {
    ...api,
    connect(path) {
      const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`)
      t.teardown(() => socket.terminate())
      return new Client(socket, () => {})
    },
  }
}

const typesOf = (client: Client): string[] =>
  client.messages.map(({ type, event }) => (type === 'event' ? event.type : type))

t.test(
  'a subscriber follows an execution through pause, resume and rollback to its end, and hears what the journal holds',
  async (t) => {
    const { engine, call, workflow, gate, connect } = await startService(t)
    const { id: workflowId } = await workflow([echo('first', 1), gateStep('middle'), echo('last', 3)])
    const id = await engine.startExecution(workflowId)
    const client = connect(`/api/workflows/executions/${id}/stream?after=0`)
    await gate('middle').reached
    const paused = engine.pauseExecution(id)
    await client.until(() => typesOf(client).includes('execution.pause_requested'))
    gate('middle').open()
    await paused
    await engine.resumeExecution(id)
    await client.until(() => typesOf(client).includes('execution.completed'))
    await engine.rollbackToCheckpoint(id, 0, { resume: true })
    await client.until(() => typesOf(client).filter((type) => type === 'execution.completed').length === 2)

    const { body } = await call('GET', `/api/workflows/executions/${id}/events?limit=200`)
    const heard = client.messages.filter(({ type }) => type === 'event').map(({ event }) => event)
    t.same(heard, body.items)
    t.same(
      client.seqs,
      body.items.map((_: unknown, i: number) => i + 1),
    )
    t.equal(client.messages.filter(({ type }) => type === 'snapshot').length, 1)
    const percentages = client.messages.filter(({ type }) => type === 'event').map(({ percentage }) => percentage)
    t.equal(percentages.at(-1), 100)
    t.ok(
      percentages.some((percentage, i) => i > 0 && percentage < percentages[i - 1]!),
      'the rollback took it down',
    )
    t.match(await engine.getProgress(id), { status: 'completed', percentage: 100, lastSeq: client.seqs.at(-1) })
  },
)

t.test('the beginning of an attempt that is not over at once is hinted before its result', async (t) => {
  const { engine, workflow, gate, connect } = await startService(t)
  const quick = { id: 'quick', type: 'action', config: { type: 'echo' } }
  const { id: workflowId } = await workflow([gateStep('one'), quick, gateStep('two')])
  const id = await engine.startExecution(workflowId)
  const client = connect(`/api/workflows/executions/${id}/stream`)
  await client.count(1)
  await gate('one').reached
  gate('one').open()
  await gate('two').reached
  gate('two').open()
  await client.until(() => typesOf(client).includes('execution.completed'))
  const hints = client.messages.filter(({ type }) => type === 'step.started')
  t.match(hints, [{ path: 'two', attempt: 1 }])
  const [hint] = hints
  const at = (find: (message: { type: string; path?: string; event?: { path?: string } }) => boolean): number =>
    client.messages.findIndex(find)
  t.ok(at(({ event }) => event?.path === 'one') < at((message) => message === hint))
  t.ok(at((message) => message === hint) < at(({ event }) => event?.path === 'two'))
})

t.test('a thousand subscribers of one execution all hear all of it', async (t) => {
  const { engine, workflow, gate } = await startService(t)
  const { id: workflowId } = await workflow([
    gateStep('start'),
    ...Array.from({ length: 20 }, (_, i) => echo(`s${i}`, i)),
  ])
  const id = await engine.startExecution(workflowId)
  const all = Array.from({ length: 1_000 }, () => new Heard<StreamMessage>())
  for (const heard of all) engine.subscribe(id, heard.listener)
  await Promise.all(all.map((heard) => heard.count(1)))
  gate('start').open()
  const isOver = (messages: readonly StreamMessage[]): boolean => {
    const last = messages.at(-1)!
    return last.type === 'event' && last.event.type === 'execution.completed'
  }
  await Promise.all(all.map((heard) => heard.until(isOver)))
  const seqsOf = ({ messages }: Heard<StreamMessage>): number[] =>
    messages.flatMap((m) => (m.type === 'event' ? [m.seq] : []))
  const expected = seqsOf(all[0]!)
  t.equal(expected.length, 22)
  t.same(new Set(all.map((heard) => String(seqsOf(heard)))), new Set([String(expected)]))
})

t.test('a workflow’s subscriber hears its executions begin and end', async (t) => {
  const { engine, workflow, connect } = await startService(t)
  const { id: workflowId } = await workflow([echo('only', 1)])
  const client = connect('/api/stream')
  await client.opened
  client.send({ type: 'subscribe', workflowId })
  await client.count(1)
  const id = await engine.startExecution(workflowId)
  await client.until((messages) => messages.some(({ status }) => status === 'completed'))
  t.match(client.messages[0], { type: 'subscribed', workflowId })
  t.match(client.messages.at(-1), {
    type: 'execution',
    executionId: id,
    workflowId,
    status: 'completed',
    percentage: 100,
  })
})

import { randomUUID } from 'node:crypto'
import t from 'tap'
import { PROMPT_WRITES } from '../../src/stream/write-pace.ts'
import { completed, sequence } from '../engine/recorder.ts'
import { startStreams } from './server.ts'

const streamOf = (id: string, after?: number): string =>
  `/api/workflows/executions/${id}/stream${after === undefined ? '' : `?after=${after}`}`
const steps = (count: number): string[] => Array.from({ length: count }, (_, i) => `s${i}`)
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i)

t.test('an execution’s socket sends its progress, then its events, with times as text', async (t) => {
  const { recorder, feed, connect } = await startStreams(t)
  const id = await recorder.begin()
  const client = connect(streamOf(id.toUpperCase()))
  await client.count(1)
  feed.publish(id, await recorder.complete(id, ['a']))
  feed.hint({ type: 'step.started', executionId: id, path: 'b', attempt: 1, at: Date.UTC(2026, 10, 22) })
  await client.count(3)
  const [snapshot, event, hint] = client.messages
  t.match(snapshot, {
    type: 'snapshot',
    executionId: id,
    seq: 1,
    progress: { status: 'running', steps: [{ id: 'a', status: 'running' }, {}, {}] },
  })
  t.match(snapshot.progress.startedAt, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
  t.match(event, {
    type: 'event',
    executionId: id,
    seq: 2,
    percentage: 33,
    event: { executionId: id, seq: 2, type: 'step.completed', path: 'a', attempt: 1, data: { output: 'a' } },
  })
  t.equal(event.at, event.event.at)
  t.same(hint, { type: 'step.started', executionId: id, path: 'b', attempt: 1, at: '2026-11-22T00:00:00.000Z' })
})

t.test('a client that connects again with the last seq it saw has no gap and no repeat', async (t) => {
  const { recorder, feed, connect } = await startStreams(t, { plan: sequence(steps(60)) })
  const id = await recorder.begin()
  const seen: number[] = []
  for (let round = 0; round < 6; round++) {
    const client = connect(streamOf(id, seen.at(-1) ?? 0))
    await client.count(1)
    feed.publish(id, await recorder.complete(id, steps(60).slice(round * 10, round * 10 + 5)))
    await client.until(() => client.seqs.at(-1) === round * 10 + 6)
    client.socket.close()
    await client.closed
    seen.push(...client.seqs)
    t.equal(client.messages[0].type, 'snapshot')
    await recorder.complete(id, steps(60).slice(round * 10 + 5, round * 10 + 10))
  }
  t.same(seen, range(1, 56))
})

t.test('what cannot be followed is refused before the upgrade, as a problem', async (t) => {
  const { recorder, url, connect } = await startStreams(t)
  const id = await recorder.begin()
  for (const path of [streamOf(randomUUID()), streamOf('nonsense'), '/api/nothing/here']) {
    await t.rejects(connect(path).opened, /Unexpected server response: 404/, path)
  }
  await t.rejects(connect(`${streamOf(id)}?after=-1`).opened, /Unexpected server response: 422/)
  const unknown = await fetch(url + streamOf(randomUUID()))
  t.equal(unknown.headers.get('content-type'), 'application/problem+json; charset=utf-8')
  t.match(await unknown.json(), { code: 'EXECUTION_NOT_FOUND' })
  for (const path of [streamOf(id), '/api/stream']) {
    const answer = await fetch(url + path)
    t.equal(answer.status, 426)
    t.match(await answer.json(), { code: 'UPGRADE_REQUIRED' })
  }
})

t.test('an execution’s socket answers pings and takes no subscriptions', async (t) => {
  const { recorder, feed, connect } = await startStreams(t)
  const id = await recorder.begin()
  const client = connect(streamOf(id))
  await client.count(1)
  client.send({ type: 'ping' })
  client.send({ type: 'subscribe', executionId: id })
  await client.count(3)
  feed.publish(id, await recorder.complete(id, ['a']))
  await client.count(4)
  t.match(client.messages.slice(1), [
    { type: 'pong' },
    { type: 'error', code: 'REQUEST_INVALID' },
    { type: 'event', seq: 2 },
  ])
})

t.test('one socket follows many executions and workflows', async (t) => {
  const { recorder, feed, connect } = await startStreams(t)
  const ids = [await recorder.begin(), await recorder.begin()] as const
  const { workflowId } = recorder
  const client = connect('/api/stream')
  await client.opened
  client.send({ type: 'subscribe', executionId: ids[0], after: 0 })
  client.send({ type: 'subscribe', executionId: ids[1].toUpperCase() })
  client.send({ type: 'subscribe', workflowId })
  await client.count(4)
  feed.publish(ids[0], await recorder.complete(ids[0], ['a']))
  feed.publish(ids[1], await recorder.complete(ids[1], ['a']))
  feed.executionChanged({ ...(await recorder.store.findExecution(ids[0]))!, status: 'paused', percentage: 33 })
  await client.count(7)
  const of = (id: string): string[] =>
    client.messages.filter(({ executionId }) => executionId === id).map(({ type }) => type)
  t.same(of(ids[0]).sort(), ['event', 'event', 'execution', 'snapshot'])
  t.same(of(ids[1]).sort(), ['event', 'snapshot'])
  t.match(
    client.messages.find(({ type }) => type === 'subscribed'),
    { workflowId },
  )
  t.match(
    client.messages.find(({ type }) => type === 'execution'),
    { workflowId, status: 'paused', percentage: 33 },
  )

  client.send({ type: 'unsubscribe', executionId: ids[0] })
  client.send({ type: 'unsubscribe', workflowId })
  await client.count(9)
  t.match(client.messages.slice(7), [
    { type: 'unsubscribed', executionId: ids[0] },
    { type: 'unsubscribed', workflowId },
  ])
  t.notOk(feed.isWatched(ids[0]))
  t.ok(feed.isWatched(ids[1]))
  client.socket.close()
  await client.closed
  t.notOk(feed.isWatched(ids[1]), 'a closed socket watches nothing')
})

t.test('subscribing again begins the subscription anew', async (t) => {
  const { recorder, feed, connect } = await startStreams(t)
  const id = await recorder.begin()
  await recorder.complete(id, ['a', 'b'])
  const client = connect('/api/stream')
  await client.opened
  client.send({ type: 'subscribe', executionId: id })
  await client.count(1)
  client.send({ type: 'subscribe', executionId: id, after: 1 })
  await client.count(4)
  feed.publish(id, await recorder.complete(id, ['c']))
  await client.count(5)
  t.same(
    client.messages.map(({ type, seq }) => [type, seq]),
    [
      ['snapshot', 3],
      ['snapshot', 3],
      ['event', 2],
      ['event', 3],
      ['event', 4],
    ],
  )
})

t.test(
  'a message that cannot be understood or served is answered by an error, and the socket stays open',
  async (t) => {
    const { recorder, connect } = await startStreams(t)
    const id = await recorder.begin()
    const missing = randomUUID()
    const client = connect('/api/stream')
    await client.opened
    const cases: [message: unknown, answer: object][] = [
      ['{"type":', { code: 'BODY_NOT_JSON' }],
      ['null', { code: 'REQUEST_INVALID', errors: [{ pointer: '/type' }] }],
      [
        { type: 'hasOwnProperty' },
        {
          code: 'REQUEST_INVALID',
          errors: [{ pointer: '/type', message: 'must be one of subscribe, unsubscribe, ping' }],
        },
      ],
      [
        { type: 'ping', extra: 1 },
        { code: 'REQUEST_INVALID', errors: [{ pointer: '/extra' }] },
      ],
      [{ type: 'subscribe' }, { code: 'REQUEST_INVALID', errors: [{ pointer: '' }] }],
      [{ type: 'subscribe', executionId: id, workflowId: id }, { code: 'REQUEST_INVALID' }],
      [
        { type: 'subscribe', executionId: id, after: -1 },
        { code: 'REQUEST_INVALID', errors: [{ pointer: '/after' }] },
      ],
      [
        { type: 'subscribe', executionId: id, after: '1' },
        { code: 'REQUEST_INVALID', errors: [{ pointer: '/after' }] },
      ],
      [
        { type: 'subscribe', workflowId: id, after: 1 },
        { code: 'REQUEST_INVALID', errors: [{ pointer: '/after' }] },
      ],
      [
        { type: 'subscribe', executionId: 'nonsense' },
        { code: 'EXECUTION_NOT_FOUND', executionId: 'nonsense' },
      ],
      [
        { type: 'subscribe', executionId: missing },
        { code: 'EXECUTION_NOT_FOUND', executionId: missing },
      ],
      [
        { type: 'subscribe', workflowId: missing },
        { code: 'WORKFLOW_NOT_FOUND', workflowId: missing },
      ],
      [
        { type: 'unsubscribe', executionId: missing },
        { type: 'unsubscribed', executionId: missing },
      ],
    ]
    for (const [index, [message, answer]] of cases.entries()) {
      client.send(message)
      await client.count(index + 1)
      t.match(client.messages[index], { type: 'error', ...answer }, JSON.stringify(message))
    }
    client.send({ type: 'ping' })
    await client.count(cases.length + 1)
    t.match(client.messages.at(-1), { type: 'pong' })
  },
)

t.test('a socket holds a thousand subscriptions', async (t) => {
  const { connect, recorder, feed } = await startStreams(t, { findWorkflow: async () => ({}) })
  const id = await recorder.begin()
  const client = connect('/api/stream')
  await client.opened
  const workflows = Array.from({ length: 1_000 }, () => randomUUID())
  for (const workflowId of workflows) client.send({ type: 'subscribe', workflowId })
  await client.count(1_000)
  client.send({ type: 'subscribe', executionId: id })
  await client.count(1_001)
  t.match(client.messages.at(-1), { type: 'error', code: 'SUBSCRIPTIONS_FULL', executionId: id })
  t.notOk(feed.isWatched(id))
  client.send({ type: 'unsubscribe', workflowId: workflows[0] })
  client.send({ type: 'subscribe', executionId: id })
  await client.until((messages) => messages.at(-1).type === 'snapshot')
})

t.test('a message that is too large closes the socket with 1009', async (t) => {
  const { connect } = await startStreams(t)
  const client = connect('/api/stream')
  await client.opened
  client.send({ type: 'ping', padding: 'x'.repeat(17_000) })
  t.match(await client.closed, { code: 1009 })
})

t.test(
  'a client that does not read costs a bounded buffer; it is told what it missed, and nobody else waits for it',
  async (t) => {
    const count = 400
    const { app, recorder, feed, connect } = await startStreams(t, { plan: sequence(steps(count)) })
    const id = await recorder.begin()
    const slow = connect(streamOf(id))
    const fast = connect(streamOf(id))
    await Promise.all([slow.count(1), fast.count(1)])
    slow.socket.pause()
    let largest = 0
    const output = 'x'.repeat(100_000)
    for (let i = 0; i < count; i += 10) {
      feed.publish(
        id,
        await recorder.record(
          id,
          ...steps(count)
            .slice(i, i + 10)
            .map((path) => completed(path, output)),
        ),
      )
      await fast.until(() => fast.seqs.at(-1) === i + 11)
      for (const { bufferedAmount } of app.websocketServer.clients) largest = Math.max(largest, bufferedAmount)
    }
    t.same(fast.seqs, range(2, count + 1))
    t.ok(largest < 1_000_000, `${largest} bytes waited in the server`)
    slow.socket.resume()
    await slow.until(() => slow.seqs.at(-1) === count + 1)
    const lagged = slow.messages.filter(({ type }) => type === 'lagged')
    t.ok(lagged.length >= 1)
    const missed = lagged.flatMap(({ fromSeq, toSeq }) => range(fromSeq, toSeq))
    t.same(
      [...slow.seqs, ...missed].sort((a, b) => a - b),
      range(2, count + 1),
      'every event came, or was named as missed',
    )
    t.same(
      slow.seqs,
      slow.seqs.toSorted((a, b) => a - b),
    )
  },
)

t.test('many subscriptions of one slow socket share its buffer fairly', async (t) => {
  const { app, recorder, feed, connect } = await startStreams(t, { plan: sequence(steps(100)) })
  const ids: string[] = []
  const output = 'x'.repeat(50_000)
  for (let i = 0; i < 5; i++) {
    const id = await recorder.begin()
    await recorder.record(id, ...steps(100).map((path) => completed(path, output)))
    ids.push(id)
  }
  const client = connect('/api/stream')
  await client.opened
  client.socket.pause()
  for (const executionId of ids) client.send({ type: 'subscribe', executionId, after: 0 })
  for (const id of ids) while (!feed.isWatched(id)) await new Promise(setImmediate)
  client.socket.resume()
  let largest = 0
  const isDone = (id: string): boolean =>
    client.messages.filter((m) => m.type === 'event' && m.executionId === id).length === 101
  await client.until(() => {
    for (const { bufferedAmount } of app.websocketServer.clients) largest = Math.max(largest, bufferedAmount)
    return ids.every(isDone)
  })
  t.ok(largest < 500_000, `${largest} bytes waited in the server`)
  for (const id of ids) {
    t.same(
      client.messages.filter((m) => m.type === 'event' && m.executionId === id).map(({ seq }) => seq),
      range(1, 101),
    )
  }
})

t.test('a client that asks without reading the answers is not read from', async (t) => {
  const { app, connect } = await startStreams(t)
  const client = connect('/api/stream')
  await client.opened
  client.socket.pause()
  const count = 200_000
  const text = JSON.stringify({ type: 'ping' })
  let largest = 0
  for (let i = 0; i < count; i++) {
    client.send(text)
    if (i % 1_000 !== 0) continue
    await new Promise(setImmediate)
    for (const { bufferedAmount } of app.websocketServer.clients) largest = Math.max(largest, bufferedAmount)
  }
  t.ok(largest < 500_000, `${largest} bytes waited in the server`)
  client.socket.resume()
  await client.count(count)
})

t.test('a peer that answers no ping is cut off, one that does stays', async (t) => {
  const { recorder, connect } = await startStreams(t, { keepAliveMs: 300 })
  const id = await recorder.begin()
  const dead = connect(streamOf(id), { autoPong: false })
  const alive = connect(streamOf(id))
  const pings = Promise.withResolvers<void>()
  let count = 0
  alive.socket.on('ping', () => ++count === 3 && pings.resolve())
  t.match(await dead.closed, { code: 1006 })
  await pings.promise
  t.equal(alive.socket.readyState, alive.socket.OPEN)
})

t.test('sockets close with 1012 when the server stops, also those that do not answer', async (t) => {
  const { app, recorder, connect } = await startStreams(t)
  const id = await recorder.begin()
  const clients = [connect(streamOf(id)), connect('/api/stream')]
  const mute = connect('/api/stream')
  await Promise.all([...clients, mute].map((client) => client.opened))
  mute.socket.pause()
  await app.close()
  for (const client of clients) t.match(await client.closed, { code: 1012 })
  mute.socket.resume()
  t.match(await mute.closed, { code: 1012 })
})

t.test('sockets close with 1012 when the engine stops', async (t) => {
  const { feed, recorder, connect } = await startStreams(t)
  const id = await recorder.begin()
  const single = connect(streamOf(id))
  const many = connect('/api/stream')
  await many.opened
  many.send({ type: 'subscribe', executionId: id })
  await Promise.all([single.count(1), many.count(1)])
  await feed.stop()
  for (const client of [single, many]) {
    t.match(await client.closed, { code: 1012 })
    t.match(client.messages.at(-1), { type: 'error', code: 'ENGINE_STOPPING' })
  }
})

t.test('more sockets than are written at once all hear everything in order, and of the end', async (t) => {
  const { feed, recorder, connect } = await startStreams(t)
  const id = await recorder.begin()
  const clients = Array.from({ length: PROMPT_WRITES + 50 }, () => connect(streamOf(id)))
  await Promise.all(clients.map((client) => client.count(1)))
  feed.publish(id, await recorder.complete(id, ['a', 'b']))
  feed.publish(id, await recorder.complete(id, ['c']))
  await Promise.all(clients.map((client) => client.count(4)))
  await feed.stop()
  for (const client of clients) {
    t.match(await client.closed, { code: 1012 })
    t.same(
      client.messages.map(({ type, seq }) => [type, seq]),
      [
        ['snapshot', 1],
        ['event', 2],
        ['event', 3],
        ['event', 4],
        ['error', undefined],
      ],
    )
  }
})

t.test('an internal error closes the socket with 1011 and tells nothing of itself', async (t) => {
  const { connect } = await startStreams(t, { findWorkflow: () => Promise.reject(new Error('secret detail')) })
  const client = connect('/api/stream')
  await client.opened
  client.send({ type: 'subscribe', workflowId: randomUUID() })
  t.same(await client.closed, { code: 1011, reason: 'internal error' })
  t.same(client.messages, [])
})

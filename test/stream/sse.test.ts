import { randomUUID } from 'node:crypto'
import t from 'tap'
import { completed, sequence } from '../engine/recorder.ts'
import { startStreams } from './server.ts'
import { openEvents as open } from './sse-client.ts'

const streamOf = (id: string, query = ''): string => `/api/workflows/executions/${id}/events/stream${query}`
const steps = (count: number): string[] => Array.from({ length: count }, (_, i) => `s${i}`)
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i)

t.test('an execution as server-sent events: named, with the seq as id', async (t) => {
  const { recorder, feed, url } = await startStreams(t)
  const id = await recorder.begin()
  const client = await open(t, url + streamOf(id), { 'x-correlation-id': 'mine' })
  t.match(client.response, {
    statusCode: 200,
    headers: {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-correlation-id': 'mine',
      'x-request-id': /.+/,
    },
  })
  await client.count(2)
  feed.publish(id, await recorder.complete(id, ['a']))
  feed.hint({ type: 'step.started', executionId: id, path: 'b', attempt: 1, at: 1 })
  await client.count(4)
  const [retry, snapshot, event, hint] = client.messages
  t.same(retry, { retry: '1000' })
  t.match(snapshot, { event: 'snapshot', data: { type: 'snapshot', seq: 1, progress: { status: 'running' } } })
  t.notOk('id' in snapshot!, 'events before it may still be to come')
  t.match(event, { id: '2', event: 'event', data: { seq: 2, event: { type: 'step.completed', path: 'a' } } })
  t.match(hint, { event: 'step.started', data: { path: 'b' } })
})

t.test('Last-Event-ID goes on where a lost connection ended, and goes before `after`', async (t) => {
  const { recorder, feed, url } = await startStreams(t, { plan: sequence(steps(20)) })
  const id = await recorder.begin()
  await recorder.complete(id, steps(20).slice(0, 10))
  const first = await open(t, url + streamOf(id, '?after=4'))
  await first.until(() => first.seqs.at(-1) === 11)
  t.same(first.seqs, range(5, 11))
  first.response.destroy()

  await recorder.complete(id, steps(20).slice(10, 12))
  const lastId = first.messages.at(-1)!.id!
  const second = await open(t, url + streamOf(id, '?after=4'), { 'last-event-id': lastId })
  await second.until(() => second.seqs.at(-1) === 13)
  feed.publish(id, await recorder.complete(id, steps(20).slice(12, 13)))
  await second.until(() => second.seqs.at(-1) === 14)
  t.same(second.seqs, range(12, 14))
})

t.test('what cannot be followed is a problem', async (t) => {
  const { recorder, url } = await startStreams(t)
  const id = await recorder.begin()
  const missing = await fetch(url + streamOf(randomUUID()))
  t.equal(missing.status, 404)
  t.match(await missing.json(), { code: 'EXECUTION_NOT_FOUND' })
  const cases: [query: string, headers: Record<string, string>][] = [
    ['?after=-1', {}],
    ['?after=x', {}],
    ['?unknown=1', {}],
    ['', { 'last-event-id': 'x' }],
  ]
  for (const [query, headers] of cases) {
    const answer = await fetch(url + streamOf(id, query), { headers })
    t.equal(answer.status, 422, `${query} ${JSON.stringify(headers)}`)
    await answer.body?.cancel()
  }
})

t.test('a client that has gone is watched for no longer', async (t) => {
  const { recorder, feed, url } = await startStreams(t)
  const id = await recorder.begin()
  const client = await open(t, url + streamOf(id))
  await client.count(2)
  t.ok(feed.isWatched(id))
  client.response.destroy()
  while (feed.isWatched(id)) await new Promise(setImmediate)
})

t.test('it says something now and then, so that no proxy takes it for dead', async (t) => {
  const { recorder, url } = await startStreams(t, { keepAliveMs: 20 })
  const id = await recorder.begin()
  const client = await open(t, url + streamOf(id))
  await client.until((frames) => frames.filter(({ comment }) => comment === 'still here').length >= 2)
})

t.test('a client that does not read holds nothing up; it is told what it missed', async (t) => {
  const count = 400
  const { recorder, feed, url } = await startStreams(t, { plan: sequence(steps(count)) })
  const id = await recorder.begin()
  const slow = await open(t, url + streamOf(id))
  const fast = await open(t, url + streamOf(id))
  await Promise.all([slow.count(2), fast.count(2)])
  slow.response.pause()
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
  }
  t.same(fast.seqs, range(2, count + 1))
  slow.response.resume()
  await slow.until(() => slow.seqs.at(-1) === count + 1)
  const lagged = slow.messages.filter(({ event }) => event === 'lagged')
  t.ok(lagged.length >= 1)
  for (const { id, data } of lagged) t.equal(id, String(data.toSeq))
  const missed = lagged.flatMap(({ data }) => range(data.fromSeq, data.toSeq))
  t.same(
    [...slow.seqs, ...missed].sort((a, b) => a - b),
    range(2, count + 1),
  )
})

t.test('it ends when the server stops, and when the engine does', async (t) => {
  for (const stop of ['server', 'engine']) {
    const { app, recorder, feed, url } = await startStreams(t)
    const id = await recorder.begin()
    const client = await open(t, url + streamOf(id))
    await client.count(2)
    await (stop === 'server' ? app.close() : feed.stop())
    await client.ended
    t.notOk(feed.isWatched(id))
  }
})

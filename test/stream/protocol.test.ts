import { randomUUID } from 'node:crypto'
import t from 'tap'
import type { JournalEvent } from '../../src/engine/core/event.ts'
import { messageOf, type StartedHint } from '../../src/engine/stream-message.ts'
import { encode, frameOf } from '../../src/stream/protocol.ts'
import { eventResource, rfc3339 } from '../../src/stream/resource.ts'
import { startStreams } from './server.ts'

const at = Date.UTC(2026, 10, 29, 1, 2, 3, 4)

const event = (changes: Partial<JournalEvent> = {}): JournalEvent => ({
  ...{ executionId: randomUUID(), seq: 7, type: 'step.completed', path: 'a/"b"[0]', attempt: 2, at, percentage: 12.5 },
  data: { output: { text: 'ü "quoted" \u2028' } },
  ...changes,
})

t.test('an event’s message is its resource, whether the journal has encoded its data or not', async (t) => {
  const data = { error: { type: 'E', message: 'm' }, retryAt: at }
  const cases = [
    event(),
    event({ text: JSON.stringify(event().data) }),
    event({ path: null, attempt: null, type: 'execution.completed' }),
    event({ data, text: JSON.stringify(data) }),
  ]
  for (const one of cases) {
    const { executionId, seq, percentage } = one
    const expected = { type: 'event', executionId, seq, at: rfc3339(at), percentage, event: eventResource(one) }
    t.strictSame(JSON.parse(String(encode(messageOf(one)))), JSON.parse(JSON.stringify(expected)))
  }
})

t.test('a hint is its members', async (t) => {
  const hint: StartedHint = { type: 'step.started', executionId: randomUUID(), path: 'a/"b"', attempt: 1, at }
  const { executionId, path } = hint
  t.strictSame(JSON.parse(String(encode(hint))), {
    type: 'step.started',
    executionId,
    path,
    attempt: 1,
    at: rfc3339(at),
  })
})

t.test('a message is encoded once, and shows nothing of it to those who hear it in the process', async (t) => {
  const message = messageOf(event())
  const before = JSON.stringify(message)
  t.equal(frameOf(message), frameOf(message))
  t.equal(JSON.stringify(message), before)
})

t.test('times are those of Date, before 1970 and with fractions, too', async (t) => {
  for (const ms of [0, 999, 1_000, at, at + 0.75, -0.5, -1, -1_000, -1_500.5])
    t.equal(rfc3339(ms), new Date(ms).toISOString())
})

// RFC 6455 has three ways to say how long a frame is; that for less than 126 bytes only a reply needs.
t.test('frames of every length arrive whole', async (t) => {
  const { recorder, feed, connect } = await startStreams(t)
  const id = await recorder.begin()
  const client = connect(`/api/workflows/executions/${id}/stream`)
  await client.count(1)
  let rest = 0
  for (const [index, bytes] of [1_000, 65_535, 65_536].entries()) {
    const events = await recorder.complete(id, ['a'], 'x'.repeat(bytes - rest))
    const message = messageOf(events[0]!)
    if (rest > 0) t.equal(encode(message).length, bytes)
    rest = encode(message).length - bytes
    feed.publish(id, events)
    await client.count(index + 2)
    t.strictSame(client.messages.at(-1), JSON.parse(String(encode(message))))
  }
  client.send({ type: 'ping' })
  await client.count(5)
  t.match(client.messages.at(-1), { type: 'pong' })
})

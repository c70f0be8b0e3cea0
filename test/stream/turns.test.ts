import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { StreamSocket } from '../../src/stream/websocket.ts'
import { Heard, openFeed, openRecorder } from '../engine/recorder.ts'

const BYTES = 100_000

t.test('a socket whose turn never comes sends what fills its buffer, and answers pings', async (t) => {
  const recorder = await openRecorder(t)
  const feed = openFeed(t, recorder)
  const id = await recorder.begin()
  const server = new WebSocketServer({ port: 0 })
  t.teardown(() => server.close())
  const turns: (() => void)[] = []
  server.on('connection', (socket, request) => {
    const context = {
      feed,
      workflowExists: async () => false,
      log: console,
      pace: { soon: (turn: () => void) => turns.push(turn) },
    }
    new StreamSocket(socket, request.socket, context).follow(id, undefined)
  })
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`)
  t.teardown(() => client.terminate())
  const heard = new Heard<{ seq: number }>()
  client.on('message', (text) => heard.listener(JSON.parse(String(text))))
  await once(client, 'open')
  const answered = once(client, 'pong')
  while (turns.length === 0) await new Promise(setImmediate)
  t.equal(heard.messages.length, 0, 'the snapshot waits')
  client.ping()
  await answered
  for (let i = 0; i < 3; i++) feed.publish(id, await recorder.complete(id, ['a'], 'x'.repeat(BYTES)))
  await heard.count(1 + 3)
  t.equal(turns.length, 1, 'it asks once')
  feed.publish(id, await recorder.complete(id, ['b']))
  const [peer] = server.clients
  while (peer!.bufferedAmount === 0) await new Promise(setImmediate)
  turns[0]!()
  await heard.count(1 + 4)
  t.same(
    heard.messages.map(({ seq }) => seq),
    [1, 2, 3, 4, 5],
  )
})

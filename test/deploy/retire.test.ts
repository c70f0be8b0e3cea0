/** How a server sends its clients elsewhere: what it answers while it is not ready any more, and what once it refuses. */
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { type Api, echo, gateStep, newGate, startApi } from '../routes/api.ts'
import { Client } from '../stream/server.ts'
import { openEvents } from '../stream/sse-client.ts'

/** Longer than any test: only a close ends it. */
const FOR_EVER_MS = 600_000

async function listening(t: Test): Promise<Api & { url: string; connect(path: string): Client }> {
  const api = await startApi(t)
  await api.app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = api.app.server.address() as AddressInfo
  return {
    ...api,
    url: `http://127.0.0.1:${port}`,
    connect(path) {
      const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`)
      t.teardown(() => socket.terminate())
      return new Client(socket, () => {})
    },
  }
}

const json = (method: string, body: unknown): RequestInit => ({
  method,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
})

t.test('while it retires it is not ready, and all is answered: each answer ends its connection', async (t) => {
  const { app, url, workflow, connect } = await listening(t)
  const { id: workflowId } = await workflow([echo('only', 1)])
  const before = await fetch(`${url}/health/live`)
  t.match([before.status, before.headers.get('connection')], [200, 'keep-alive'])

  const retired = app.retire(FOR_EVER_MS)
  const ready = await fetch(`${url}/health/ready`)
  t.match(await ready.json(), { status: 'unavailable', reasons: ['the server is stopping'] })
  t.equal(ready.status, 503)
  t.equal((await fetch(`${url}/health/live`)).status, 200)
  const started = await fetch(`${url}/api/workflows/executions?waitMs=20000`, json('POST', { workflowId }))
  t.match([started.status, started.headers.get('connection')], [201, 'close'])
  const { id, status } = (await started.json()) as { id: string; status: string }
  t.equal(status, 'completed')
  const socket = connect(`/api/workflows/executions/${id}/stream?after=0`)
  await socket.until((messages) => messages.at(-1)?.event?.type === 'execution.completed')
  const events = await openEvents(t, `${url}/api/workflows/executions/${id}/events/stream?after=0`)
  await events.until((frames) => frames.at(-1)?.data?.event?.type === 'execution.completed')

  await app.close()
  await retired
  t.match(await socket.closed, { code: 1012 })
  await events.ended
})

t.test('once it refuses, what comes gets 503 and what waits is answered; it is alive until it is closed', async (t) => {
  const { app, engine, url, workflow, gate, connect } = await listening(t)
  const waits = Promise.withResolvers<void>()
  const { waitForEnd } = engine
  engine.waitForEnd = (...parameters) => {
    waits.resolve()
    return waitForEnd.apply(engine, parameters)
  }
  const name = newGate()
  const { id: workflowId } = await workflow([gateStep('hold', name), echo('after')])
  const start = () => fetch(`${url}/api/workflows/executions`, json('POST', { workflowId }))
  const { id } = (await (await start()).json()) as { id: string }
  await gate(name).reached
  const socket = connect(`/api/workflows/executions/${id}/stream`)
  const events = await openEvents(t, `${url}/api/workflows/executions/${id}/events/stream`)
  await Promise.all([socket.count(1), events.until((frames) => frames.some(({ event }) => event === 'snapshot'))])
  // Both are under way: the pause waits for the attempt, and so does who waits for the end.
  const pausing = fetch(`${url}/api/workflows/executions/${id}`, json('PATCH', { action: 'pause' }))
  await socket.until((messages) => messages.at(-1)?.event?.type === 'execution.pause_requested')
  const waiting = fetch(`${url}/api/workflows/executions/${id}?waitMs=60000`)
  await waits.promise
  await events.until((frames) => frames.at(-1)?.data?.event?.type === 'execution.pause_requested')

  await app.retire(0)
  t.match(await socket.closed, { code: 1012 })
  await events.ended
  t.match(await (await waiting).json(), { id, status: 'running', requested: 'pause' })
  const refused = await start()
  t.equal(refused.status, 503)
  t.match(Object.fromEntries(refused.headers), { 'retry-after': /^\d+$/, connection: 'close' })
  t.match(await refused.json(), { code: 'ENGINE_STOPPING' })
  await t.rejects(connect(`/api/workflows/executions/${id}/stream`).opened, /503/)
  const alive = await fetch(`${url}/health/live`)
  t.match([alive.status, alive.headers.get('connection')], [200, 'close'])
  t.equal((await fetch(`${url}/health/ready`)).status, 503)

  gate(name).open()
  const paused = await pausing
  t.match([paused.status, await paused.json()], [200, { id, status: 'paused' }], 'a request that was taken is answered')
  await app.close()
  await t.rejects(fetch(`${url}/health/live`))
})

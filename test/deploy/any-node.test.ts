/** Three services on one database: whichever is asked answers, and subscribers hear on when the one that works is killed. */
import { writeFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { spawnService } from '../examples/program.ts'
import { createTestDatabase } from '../harness/database.ts'
import { Client } from '../stream/server.ts'
import { openEvents } from '../stream/sse-client.ts'

const echo = (id: string, config: object = {}) => ({
  id,
  name: id,
  type: 'action',
  config: { type: 'echo', ...config },
})
/** What a step asks, and that keeps it waiting until the door is open. */
async function startDoor(t: Test): Promise<{ url: string; open(): void }> {
  const waiting: ServerResponse[] = []
  let isOpen = false
  const answer = (response: ServerResponse): void => void response.setHeader('connection', 'close').end('{}')
  const server = createServer((_, response) => void (isOpen ? answer(response) : waiting.push(response)))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    open() {
      isOpen = true
      waiting.forEach(answer)
    },
  }
}

// Processes on a machine that may be busy.
t.setTimeout(240_000)

t.test('any node takes any request, and every subscriber hears every event once and in order', async (t) => {
  const { url: DATABASE_URL } = await createTestDatabase(t)
  const door = await startDoor(t)
  const CAIRN_CONFIG = path.join(t.testdir(), 'config.json')
  writeFileSync(CAIRN_CONFIG, JSON.stringify({ http: { allowPrivateNetwork: true } }))
  const given = { DATABASE_URL, CAIRN_CONFIG, CAIRN_LEASE_MS: '6000' }
  const [owner, second, third] = await Promise.all([1, 2, 3].map(() => spawnService(t, given)))
  const call = async (base: string, method: string, path: string, body?: object) => {
    const answer = await fetch(`${base}/api/workflows${path}`, {
      method,
      ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    })
    // biome-ignore lint/suspicious/noExplicitAny: tests look into answers
    return { status: answer.status, body: (await answer.json().catch(() => null)) as any }
  }
  const connect = (base: string, path: string): Client => {
    const socket = new WebSocket(`${base.replace('http', 'ws')}${path}`)
    t.teardown(() => socket.terminate())
    return new Client(socket, () => {})
  }
  const has = (client: Client, type: string) => () =>
    client.messages.some((message: { event?: { type: string } }) => message.event?.type === type)

  const held = { id: 'held', name: 'held', type: 'action', config: { type: 'http_request', url: door.url } }
  const steps = [echo('first'), held, echo('last', { value: 'end' })]
  const { body: workflow } = await call(second!.url, 'POST', '', { name: 'any node', steps })
  const started = await call(owner!.url, 'POST', '/executions', { workflowId: workflow.id })
  t.equal(started.status, 201)
  const { id } = started.body
  const at = `/executions/${id}`
  const socket = connect(second!.url, `/api/workflows${at}/stream?after=0`)
  const events = await openEvents(t, `${third!.url}/api/workflows${at}/events/stream?after=0`)
  await socket.until(has(socket, 'step.completed'))

  t.equal((await call(third!.url, 'POST', `${at}/signals/hello`, { n: 1 })).status, 202)
  await socket.until(has(socket, 'signal.received'))
  await events.until(() => events.seqs.length === socket.seqs.length)
  t.match((await call(second!.url, 'GET', `${at}/progress`)).body, { completedSteps: 1, currentStep: { id: 'held' } })
  t.match((await call(third!.url, 'GET', `${at}/steps`)).body, { items: [{ id: 'first' }] })
  t.match((await call(third!.url, 'GET', `${at}/checkpoints`)).body, { items: [{ index: 0, stepId: 'first' }] })
  const other = (await call(owner!.url, 'POST', '/executions', { workflowId: workflow.id })).body
  const cancelled = await call(second!.url, 'PATCH', `/executions/${other.id}`, { action: 'cancel' })
  t.match(cancelled, { status: 200, body: { status: 'cancelled' } })

  owner!.process.kill('SIGKILL')
  t.equal(await owner!.ended, 'SIGKILL')
  door.open()
  // Each goes on with the other's node.
  const [lastSeq, lastId] = [socket.seqs.at(-1), events.messages.findLast((frame) => frame.id !== undefined)!.id!]
  socket.socket.terminate()
  events.response.destroy()
  const socketAgain = connect(third!.url, `/api/workflows${at}/stream?after=${lastSeq}`)
  const eventsAgain = await openEvents(t, `${second!.url}/api/workflows${at}/events/stream`, {
    'last-event-id': lastId,
  })
  await socketAgain.until(has(socketAgain, 'execution.completed'))
  const ended = await call(second!.url, 'GET', `${at}?waitMs=20000`)
  t.match(ended.body, { status: 'completed', output: 'end' })
  const journal = (await call(third!.url, 'GET', `${at}/events?limit=200`)).body.items
  const seqs = journal.map((_: unknown, i: number) => i + 1)
  await eventsAgain.until(() => events.seqs.length + eventsAgain.seqs.length >= seqs.length)
  t.same(
    journal.map(({ seq }: { seq: number }) => seq),
    seqs,
  )
  t.same([...socket.seqs, ...socketAgain.seqs], seqs)
  t.same([...events.seqs, ...eventsAgain.seqs], seqs)
  t.ok(journal.some(({ type }: { type: string }) => type === 'execution.recovered'))
  t.match(await call(third!.url, 'POST', `${at}/rollback`, { checkpointIndex: 0 }), { body: { lastSeq: Number } })
})

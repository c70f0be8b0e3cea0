/** Signals to the real process, which serves, works, and is alone with its exit code. */
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { listen, sendJson } from '../engine/actions/loopback.ts'
import { latch } from '../engine/running-engine.ts'
import { type Service, spawnService } from '../examples/program.ts'
import { createTestDatabase } from '../harness/database.ts'

/** A service whose one workflow calls a place that answers when the test says so. */
async function open(t: Test, given: Record<string, string>) {
  const { url: databaseUrl } = await createTestDatabase(t)
  const [reached, gate] = [latch(), latch()]
  const keys: string[] = []
  const { url, host } = await listen(t, async (request, response) => {
    keys.push(String(request.headers['idempotency-key']))
    reached.open()
    await gate.promise
    sendJson(response, { answered: true })
  })
  const config = path.join(t.testdir({}), 'config.json')
  writeFileSync(config, JSON.stringify({ http: { allowedHosts: [host] } }))
  const spawn = (more: Record<string, string> = {}) =>
    spawnService(t, { DATABASE_URL: databaseUrl, CAIRN_CONFIG: config, LOG_LEVEL: 'info', ...given, ...more })
  const begin = async (service: Service, step: object): Promise<string> => {
    const config = { type: 'http_request', method: 'POST', url }
    const steps = [
      { id: 'hold', type: 'action', config, ...step },
      { id: 'after', type: 'action', config: { type: 'echo', value: 'the end' } },
    ]
    const workflow = await post(`${service.url}/api/workflows`, { name: 'held', steps })
    const execution = await post(`${service.url}/api/workflows/executions`, { workflowId: workflow.id })
    await reached.promise
    return execution.id
  }
  return { spawn, begin, reached, gate, keys }
}

async function post(url: string, body: object): Promise<{ id: string }> {
  const headers = { 'content-type': 'application/json' }
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })
  if (response.status !== 201) throw new Error(await response.text())
  return (await response.json()) as { id: string }
}

/** Until the service says that it is not ready: nothing tells a client, it has to ask. */
async function untilNotReady({ url }: Service): Promise<void> {
  while ((await fetch(`${url}/health/ready`)).status === 200) await delay(20)
}

/** The execution as the service has it once it has ended. */
async function ended({ url }: Service, id: string): Promise<unknown> {
  for (;;) {
    const response = await fetch(`${url}/api/workflows/executions/${id}?waitMs=20000`)
    const execution = (await response.json()) as { status: string }
    if (execution.status === 'completed' || execution.status === 'failed') return execution
  }
}

const eventsOf = async ({ url }: Service, id: string): Promise<string[]> => {
  const response = await fetch(`${url}/api/workflows/executions/${id}/events?limit=200`)
  return ((await response.json()) as { items: { type: string }[] }).items.map(({ type }) => type)
}

t.test('SIGTERM: not ready, alive to the end, refusing, and gone with 0 once its last attempt has ended', async (t) => {
  const { spawn, begin, gate, keys } = await open(t, { CAIRN_DRAIN_MS: '60000' })
  const service = await spawn()
  const id = await begin(service, { delivery: 'at_most_once' })
  service.process.kill('SIGTERM')
  await untilNotReady(service)
  t.equal((await fetch(`${service.url}/health/live`)).status, 200)
  const refused = await untilRefused(service)
  t.match(Object.fromEntries(refused.headers), { 'retry-after': /^\d+$/, connection: 'close' })
  gate.open()
  t.equal(await service.ended, 0)

  const other = await spawn()
  t.match(await ended(other, id), { status: 'completed', output: 'the end' })
  t.equal(keys.length, 1)
  t.notOk((await eventsOf(other, id)).includes('execution.recovered'), 'it was handed over')
})

t.test('a second signal ends it there and then; others go on when its lease has run out', async (t) => {
  const { spawn, begin, gate, keys } = await open(t, { CAIRN_DRAIN_MS: '600000', CAIRN_LEASE_MS: '2000' })
  const service = await spawn({ CAIRN_SHUTDOWN_GRACE_MS: '600000' })
  const id = await begin(service, {})
  service.process.kill('SIGTERM')
  await untilNotReady(service)
  service.process.kill('SIGINT')
  t.equal(await service.ended, 1)

  gate.open()
  const other = await spawn()
  t.match(await ended(other, id), { status: 'completed', output: 'the end' })
  t.same(new Set(keys).size, 1, 'performed again under the same key')
  t.ok((await eventsOf(other, id)).includes('execution.recovered'))
})

async function untilRefused({ url }: Service): Promise<Response> {
  for (;;) {
    const response = await fetch(`${url}/api/workflows`)
    if (response.status === 503) return response
    await delay(20)
  }
}

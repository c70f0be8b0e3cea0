/** The service as people first start it, on its embedded PostgreSQL: it is killed, its PostgreSQL is killed, or both. */
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { listen, sendJson } from '../engine/actions/loopback.ts'
import { type Service, spawnService } from '../examples/program.ts'
import { until } from '../harness/condition.ts'
import { cannotRunPostgres, killPostgres } from './own-postgres.ts'

const options = { skip: cannotRunPostgres, timeout: 400_000 }
const executions = 8

interface Execution {
  readonly id: string
  readonly status: string
  readonly output: unknown
}

/** Executions of three requests each on a service with a data folder of its own; they stop at the second until it is answered. */
async function open(t: Test) {
  const folder = t.testdir({})
  const dataDir = path.join(folder, 'data')
  const gate = Promise.withResolvers<void>()
  const keys: string[] = []
  const { url, host, received } = await listen(t, async ({ url, headers }, response) => {
    keys.push(`${url} ${headers['idempotency-key']}`)
    if (url === '/second') await gate.promise
    sendJson(response, url)
  })
  const config = path.join(folder, 'config.json')
  writeFileSync(config, JSON.stringify({ http: { allowedHosts: [host] } }))
  // A lease that no slow machine outlives; whoever is alone on the data folder does not wait for it.
  const settings = { CAIRN_DATA_DIR: dataDir, CAIRN_CONFIG: config, CAIRN_LEASE_MS: '120000', LOG_LEVEL: 'info' }
  const start = () => spawnService(t, settings)
  const steps = ['first', 'second', 'third'].map((id) => ({
    id,
    type: 'action',
    config: { type: 'http_request', method: 'POST', url: `${url}/${id}` },
    // An answer that a killed service had to leave unread is no reason to fail.
    retryPolicy: { maxAttempts: 3, initialIntervalMs: 10 },
  }))
  const begin = async (service: Service): Promise<string[]> => {
    const { id: workflowId } = await ask<{ id: string }>(service, '/api/workflows', { name: 'held', steps })
    const starts = Array.from({ length: executions }, (_, nth) =>
      ask<Execution>(service, '/api/workflows/executions', { workflowId }, `start ${nth}`),
    )
    const ids = (await Promise.all(starts)).map(({ id }) => id)
    await until('all are at their second step', async () => {
      return received.filter(({ url }) => url === '/second').length >= executions
    })
    return ids
  }
  /** All end as if nothing had happened. */
  const areWhole = async (service: Service, ids: readonly string[]): Promise<void> => {
    for (const id of ids) {
      const execution = await until('the execution has ended', async () => {
        const answer = await ask<Execution>(service, `/api/workflows/executions/${id}?waitMs=5000`)
        return answer.status !== 'running' && answer.status !== 'waiting' && answer
      })
      t.match(execution, { status: 'completed', output: '/third' })
      const { items } = await ask<{ items: { seq: number }[] }>(service, `/api/workflows/executions/${id}/events`)
      t.notOk(
        items.some(({ seq }, index) => seq !== index + 1),
        'no hole',
      )
    }
    t.equal(keys.filter((key) => key.startsWith('/first')).length, executions, 'no completed step is performed again')
    t.equal(new Set(keys).size, 3 * executions, 'every attempt of a step has the same key')
  }
  return { dataDir, cluster: path.join(dataDir, 'postgres'), start, begin, areWhole, gate, keys }
}

/** As clients do: what was answered with 503, or not at all, is sent again, a write under its key. */
async function ask<Answer>({ url }: Service, address: string, body?: object, key?: string): Promise<Answer> {
  const headers = {
    ...(body !== undefined && { 'content-type': 'application/json' }),
    ...(key !== undefined && { 'idempotency-key': key }),
  }
  const request = body === undefined ? { headers } : { method: 'POST', headers, body: JSON.stringify(body) }
  return until(`${address} is answered`, async () => {
    const response = await fetch(`${url}${address}`, request).catch(() => null)
    if (response === null || response.status === 503) return null
    if (!response.ok) throw new Error(`${address}: ${response.status} ${await response.text()}`)
    return (await response.json()) as Answer
  })
}

const isReady = async ({ url }: Service): Promise<boolean> => (await fetch(`${url}/health/ready`)).status === 200

for (const [what, alsoPostgres] of [
  ['the service is killed', false],
  ['the service and its PostgreSQL are killed, as by a power failure', true],
] as const) {
  t.test(`${what}: started again on the same data it goes on`, options, async (t) => {
    const { cluster, start, begin, areWhole, gate, keys } = await open(t)
    const service = await start()
    const ids = await begin(service)
    service.process.kill('SIGKILL')
    t.equal(await service.ended, 'SIGKILL')
    if (alsoPostgres) t.ok(await killPostgres(cluster))
    gate.resolve()
    const again = await start()
    await areWhole(again, ids)
    const seconds = keys.filter((key) => key.startsWith('/second')).length
    t.equal(seconds, 2 * executions, 'what was under way is performed again, and nothing else')
  })
}

t.test('its PostgreSQL is killed under it: it starts that again, and goes on', options, async (t) => {
  const { cluster, start, begin, areWhole, gate, keys } = await open(t)
  const service = await start()
  const ids = await begin(service)
  const postmaster = await killPostgres(cluster)
  t.ok(postmaster)
  // What is answered meanwhile waits for the database.
  gate.resolve()
  await until('it is ready again', () => isReady(service))
  await areWhole(service, ids)
  t.equal(keys.length, 3 * executions, 'and no step is performed twice')
  const { items } = await ask<{ items: unknown[] }>(service, '/api/workflows/executions?limit=200')
  t.equal(items.length, executions, 'and no start is there twice')
  // Once more: what was started again is watched as the first one was.
  t.not(await killPostgres(cluster), postmaster)
  await until('it is ready again', () => isReady(service))
  service.process.kill('SIGTERM')
  t.equal(await service.ended, 0, 'and it stops in good order')
})

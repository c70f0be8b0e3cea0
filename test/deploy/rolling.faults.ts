/**
 * A whole rolling deploy: three real processes on one database, under load by HTTP, WebSocket and server-sent events, are
 * replaced one after the other. No client sees a failure, nothing is performed twice or forgotten, no stream has a gap.
 */
import { randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { listen, sendJson } from '../engine/actions/loopback.ts'
import { type Service, spawnService } from '../examples/program.ts'
import { createTestDatabase } from '../harness/database.ts'
import { Balancer } from './balancer.ts'
import { followByEvents, followBySocket, type Heard } from './followers.ts'

/** Between two requests of one client: it is the order of things that is tried here, not the speed of the machine. */
const PACE_MS = 200
/** How long a step takes in the world, so that attempts are under way at every SIGTERM. */
const STEP_MS = 250

/** The service that the steps call: how often each idempotency key came. */
async function openWorld(t: Test) {
  const calls = new Map<string, number>()
  const { url, host } = await listen(t, async (request, response) => {
    const key = String(request.headers['idempotency-key'])
    calls.set(key, (calls.get(key) ?? 0) + 1)
    await delay(STEP_MS)
    // A connection that is kept may be closed just when a slow machine uses it again: that is not what is tried here.
    response.setHeader('connection', 'close')
    sendJson(response, { key })
  })
  return { url, host, calls }
}

/** Three nodes and whoever watches them. The drain time is longer than any step: nothing needs to be performed twice. */
async function openCluster(t: Test, host: string) {
  const { url: databaseUrl } = await createTestDatabase(t)
  const config = path.join(t.testdir({}), 'config.json')
  writeFileSync(config, JSON.stringify({ http: { allowedHosts: [host] } }))
  const balancer = new Balancer()
  t.teardown(() => balancer.stop())
  const spawn = async (): Promise<Service> => {
    const service = await spawnService(t, {
      DATABASE_URL: databaseUrl,
      CAIRN_CONFIG: config,
      CAIRN_DRAIN_MS: '120000',
      CAIRN_SHUTDOWN_GRACE_MS: '2000',
    })
    balancer.add(service.url)
    return service
  }
  const nodes = await Promise.all([spawn(), spawn(), spawn()])
  return { balancer, nodes, spawn }
}

/** Does things over and over, side by side, until told to stop. `running` rejects with the first failure of any. */
function repeat(tasks: readonly (() => Promise<void>)[]): {
  readonly running: Promise<unknown>
  stop(): Promise<unknown>
} {
  let isStopped = false
  const running = Promise.all(
    tasks.map(async (task) => {
      for (; !isStopped; await delay(PACE_MS)) await task()
    }),
  )
  running.catch(() => {})
  return {
    running,
    stop() {
      isStopped = true
      return running
    },
  }
}

t.test('three nodes are replaced under load, and no client notices', async (t) => {
  const world = await openWorld(t)
  const { balancer, nodes, spawn } = await openCluster(t, world.host)
  const executions = '/api/workflows/executions'
  const mustBe = (
    what: string,
    { status, body }: { status: number; body: { code?: string } },
    ...allowed: number[]
  ) => {
    if (!allowed.includes(status)) throw new Error(`${what} was answered ${status} ${JSON.stringify(body)}`)
  }
  const createWorkflow = async (name: string, steps: readonly object[]): Promise<string> => {
    const answer = await balancer.call('POST', '/api/workflows', { name, steps })
    mustBe('the workflow', answer, 201)
    return answer.body.id
  }
  const calling = (id: string, rest: object = {}) => ({
    ...{ id, type: 'action', config: { type: 'http_request', method: 'POST', url: world.url } },
    ...rest,
  })
  const short = await createWorkflow('short', [calling('one'), calling('once', { delivery: 'at_most_once' })])
  const echo = (_: unknown, i: number) => ({ id: `s${i}`, type: 'action', config: { type: 'echo', delayMs: STEP_MS } })
  // Long enough for any machine to be replaced three times meanwhile; it is cancelled then.
  const long = await createWorkflow('long', Array.from({ length: 2_000 }, echo))

  const started: string[] = []
  const keyed = new Map<string, string>()
  const start = async (query = ''): Promise<string> => {
    const answer = await balancer.call('POST', `${executions}${query}`, { workflowId: short })
    mustBe('a start', answer, 201)
    started.push(answer.body.id)
    return answer.body.id
  }
  const followed: Promise<{ id: string; heard: Heard }>[] = []
  const follow = (id: string, by: typeof followBySocket): Promise<unknown> => {
    const following = by(t, balancer, id).then((heard) => ({ id, heard }))
    followed.push(following)
    return following
  }

  const load = repeat([
    async () => void (await start()),
    async () => void (await start('?waitMs=2000')),
    async () => {
      const key = randomUUID()
      const answer = await balancer.call('POST', executions, { workflowId: short }, { 'idempotency-key': key })
      mustBe('a keyed start', answer, 201, 200)
      keyed.set(key, answer.body.id)
    },
    async () => {
      const id = await start()
      const at = `${executions}/${id}`
      mustBe('a signal', await balancer.call('POST', `${at}/signals/hello`, { payload: 1 }), 202)
      const paused = await balancer.call('PATCH', at, { action: 'pause' })
      mustBe('a pause', paused, 200, 202, 409)
      mustBe('progress', await balancer.call('GET', `${at}/progress`), 200)
      if (paused.status !== 409)
        mustBe('a resume', await balancer.call('PATCH', at, { action: 'resume' }), 200, 202, 409)
    },
    async () => {
      const ids = [await start(), await start()] as const
      await Promise.all([follow(ids[0], followBySocket), follow(ids[1], followByEvents)])
    },
  ])
  const watched: string[] = []
  for (const _ of nodes) {
    const answer = await balancer.call('POST', executions, { workflowId: long })
    mustBe('a long start', answer, 201)
    watched.push(answer.body.id)
    for (const by of [followBySocket, followByEvents]) follow(answer.body.id, by).catch(() => {})
  }

  for (const node of nodes) {
    const before = started.length
    const isBusy = async (): Promise<void> => {
      while (started.length < before + 4) await delay(20)
    }
    await Promise.race([isBusy(), load.running])
    await spawn()
    node.process.kill('SIGTERM')
    t.equal(await node.ended, 0, `it went by itself; ${started.length + keyed.size} executions so far`)
  }
  await load.stop()
  t.pass('no client saw a failure')
  for (const id of watched)
    mustBe('a cancel', await balancer.call('PATCH', `${executions}/${id}`, { action: 'cancel' }), 200, 202)

  t.equal(new Set(started).size, started.length)
  t.equal(new Set(keyed.values()).size, keyed.size, 'a key stands for one execution')
  for (const id of [...started, ...keyed.values()]) {
    const { body } = await balancer.call('GET', `${executions}/${id}?waitMs=60000`)
    if (body.status !== 'completed') t.fail(`${id} is ${body.status}`)
  }
  const total = (await balancer.call('GET', `/api/workflows/${short}/statistics`)).body.totalExecutions
  t.equal(total, started.length + keyed.size, 'there are as many executions as were promised')
  t.equal(world.calls.size, 2 * total)
  t.same([...new Set(world.calls.values())], [1], 'no step was performed twice')

  for (const { id, heard } of await Promise.all(followed)) {
    const { body } = await balancer.call('GET', `${executions}/${id}/progress`)
    const expected = Array.from({ length: body.lastSeq }, (_, i) => i + 1)
    if (String(heard.seqs) !== String(expected)) t.same(heard.seqs, expected, 'no gap and no repeat')
  }
  const longHeard = (await Promise.all(followed)).filter(({ id }) => watched.includes(id)).map(({ heard }) => heard)
  for (const { ends, nodes } of longHeard) {
    t.ok(nodes.length > 1, 'it was sent elsewhere')
    for (const end of ends.slice(0, nodes.length - 1)) t.match(String(end), /^(1012|ended)$/)
  }
  for (const id of watched) {
    const types: string[] = []
    for (let after = 0, more = true; more; ) {
      const { items } = (await balancer.call('GET', `${executions}/${id}/events?after=${after}&limit=200`)).body
      types.push(...items.map(({ type }: { type: string }) => type))
      after += items.length
      more = items.length > 0
    }
    t.notOk(types.includes('execution.recovered'), 'nobody had to wait for a lease')
  }
  t.comment(`${started.length + keyed.size} executions, ${balancer.refusals} requests sent elsewhere`)
})

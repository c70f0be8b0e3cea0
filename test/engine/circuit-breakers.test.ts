/** Circuit breakers of running engines: what opens them, what a step does then, who probes, and what an operator can do. */
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { ActionError } from '../../src/engine/actions/action.ts'
import type { WorkflowEngine } from '../../src/engine/engine.ts'
import { until } from '../harness/condition.ts'
import { createTestDatabase } from '../harness/database.ts'
import { type Calls, call, echo, ended, journalOf, latch, run, seen, startEngine } from './running-engine.ts'
import { listeningLog, openNodes } from './telling-nodes.ts'

const refused = () => new ActionError('ConnectionError', 'refused')
const hour = 3_600_000
/** Opened by the second failure. */
const policy = (given: object = {}) => ({
  circuitBreaker: { key: 'target', failureThreshold: 2, openMs: hour, ...given },
})

/** An engine whose `target` is down until it is said to be up. */
async function withTarget(t: Test, options: Parameters<typeof startEngine>[2] = {}) {
  const target = { isUp: false, calls: 0 }
  const calls: Calls = {
    target: () => {
      target.calls += 1
      if (!target.isUp) throw refused()
      return 'answered'
    },
  }
  return { target, calls, engine: await startEngine(t, calls, { pollMs: 20, ...options }) }
}

/** Two executions whose call fails: the circuit is open afterwards, and so the engine knows. */
async function trip(engine: WorkflowEngine, given: object = {}): Promise<void> {
  for (let i = 0; i < 2; i++) await ended(engine, await run(engine, [call('target', policy(given))]))
  await until('the circuit is open', async () => engine.circuitBreakers.guarded === 1)
}

const deferralOf = async (engine: WorkflowEngine, id: string) =>
  (await journalOf(engine, id)).find(({ data }) => (data as { deferred?: true }).deferred === true)

t.test('a step that meets an open circuit waits, parked, and uses no attempt up', async (t) => {
  const { engine, target } = await withTarget(t)
  await trip(engine)
  const id = await run(engine, [call('target', policy())])
  await seen(engine, id, 'execution.parked')
  t.equal(target.calls, 2, 'it was not called')
  t.match(await deferralOf(engine, id), {
    type: 'step.failed',
    attempt: 1,
    data: { error: { type: 'CircuitOpenError', details: { circuit: 'target', deferrals: 1 } }, deferred: true },
  })
  const circuit = (await engine.circuitBreakers.find('target'))!
  t.match(circuit, { state: 'open', trips: 1, error: { type: 'ConnectionError', message: 'refused' } })
  const execution = await engine.getExecution(id)
  t.equal(execution.status, 'waiting')
  t.ok(execution.wakeAt! >= circuit.openUntil!, 'it is woken when the circuit may be probed')
  const [step] = await engine.getSteps(id)
  t.match(step, { status: 'waiting', attempt: 0, error: { type: 'CircuitOpenError' } })
})

t.test(
  'a node where an operator set a circuit, and that has called nothing yet, hears of the others’ circuits',
  async (t) => {
    const { url: databaseUrl } = await createTestDatabase(t)
    const { engine, calls } = await withTarget(t, { databaseUrl, notify: false })
    const other = await startEngine(t, calls, { databaseUrl, pollMs: 20, notify: false })
    await other.circuitBreakers.setMode('target', 'auto', null)
    await trip(engine)
    await until('the other node knows', async () => other.circuitBreakers.guarded === 1)
    t.pass()
  },
)

t.test('one call of all nodes probes; when it is answered all go on', async (t) => {
  const { url: databaseUrl } = await createTestDatabase(t)
  const one = await withTarget(t, { databaseUrl })
  const probed = latch()
  const released = latch()
  let calls = 0
  const answers: Calls = {
    target: async () => {
      calls += 1
      probed.open()
      await released.promise
      return 'answered'
    },
  }
  await trip(one.engine, { openMs: 200 })
  await one.engine.stop()
  const nodes = [
    await startEngine(t, answers, { databaseUrl, pollMs: 20 }),
    await startEngine(t, answers, { databaseUrl, pollMs: 20 }),
  ]
  const ids: string[] = []
  for (let i = 0; i < 6; i++) ids.push(await run(nodes[i % 2]!, [call('target', policy({ openMs: 200 }))]))
  await probed.promise
  // All others have met the half-open circuit before the probe tells.
  for (const [index, id] of ids.entries()) {
    await until('it waits, or probes', async () => {
      const engine = nodes[index % 2]!
      return calls === 1 && ((await deferralOf(engine, id)) !== undefined || (await isProbing(engine, id)))
    })
  }
  t.equal(calls, 1)
  released.open()
  for (const id of ids) t.match(await ended(nodes[0]!, id), { status: 'completed', output: 'answered' })
  t.equal(calls, 6, 'each was performed once')
  t.match(await nodes[0]!.circuitBreakers.find('target'), { state: 'closed', error: null, trips: 0 })
})

/** Its attempt is on record, and was not put off. */
const isProbing = async (engine: WorkflowEngine, id: string): Promise<boolean> =>
  (await engine.getSteps(id))[0]?.status === 'running'

t.test('a probe that fails keeps the circuit open, and fails its step as any call does', async (t) => {
  const { engine, target } = await withTarget(t)
  await trip(engine, { openMs: 100 })
  const id = await run(engine, [call('target', policy({ openMs: 100 }))])
  t.match(await ended(engine, id), { status: 'failed', error: { type: 'ConnectionError' } })
  t.equal(target.calls, 3)
  const circuit = await until('the probe is told', async () => {
    const found = await engine.circuitBreakers.find('target')
    return found!.trips === 2 && found
  })
  t.equal(circuit.probeUntil, null)
  t.ok(circuit.openUntil! > circuit.openedAt! + 100)
})

t.test('a failure that is an answer opens nothing', async (t) => {
  const engine = await startEngine(t, {
    target: () => {
      throw new ActionError('Http4xx', 'answered 404', { details: { status: 404 } })
    },
  })
  const fail = async () => ended(engine, await run(engine, [call('target', policy())]))
  for (let i = 0; i < 4; i++) await fail()
  // What is known of a circuit is told to the database beside the execution that met it.
  await until('the circuit is on record', () => engine.circuitBreakers.find('target'))
  t.match(await fail(), { status: 'failed', error: { type: 'Http4xx' } }, 'it is called still')
  t.match(await engine.circuitBreakers.find('target'), { state: 'closed' })
})

t.test('with onOpen fail the step fails at once, and can be caught', async (t) => {
  const { engine, target } = await withTarget(t)
  await trip(engine)
  const failing = call('target', policy({ onOpen: 'fail' }))
  t.match(await ended(engine, await run(engine, [failing])), { status: 'failed', error: { type: 'CircuitOpenError' } })
  const caught = await run(engine, [
    {
      id: 'careful',
      type: 'try',
      config: { steps: [failing], catch: [{ errors: ['CircuitOpenError'], steps: [echo('instead', { value: 'b' })] }] },
    },
  ])
  t.match(await ended(engine, caught), { status: 'completed', output: 'b' })
  t.equal(target.calls, 2)
})

t.test('what would be due only after the budget of the step fails', async (t) => {
  const { engine } = await withTarget(t)
  await trip(engine)
  const id = await run(engine, [call('target', { ...policy(), retryPolicy: { maxElapsedMs: 60_000 } })])
  t.match(await ended(engine, id), { status: 'failed', error: { type: 'CircuitOpenError' } })
})

t.test('an operator stops all calls of a target, and lets them go on', async (t) => {
  const { engine, target } = await withTarget(t)
  target.isUp = true
  await engine.circuitBreakers.setMode('target', 'open', 'maintenance')
  const once = call('target', { ...policy({ openMs: 200 }), delivery: 'at_most_once' })
  const ids = [await run(engine, [call('target', policy({ openMs: 200 }))]), await run(engine, [once])]
  for (const id of ids) await until('it was put off', async () => (await deferralOf(engine, id)) !== undefined)
  t.equal(target.calls, 0)
  await engine.circuitBreakers.setMode('target', 'auto', null)
  for (const id of ids) t.match(await ended(engine, id), { status: 'completed', output: 'answered' })
  t.equal(target.calls, 2)
})

t.test('a step that waits for a circuit lets its execution be paused and cancelled', async (t) => {
  const { engine } = await withTarget(t)
  await trip(engine)
  const id = await run(engine, [call('target', policy())])
  await until('it was put off', async () => (await deferralOf(engine, id)) !== undefined)
  t.match(await engine.pauseExecution(id), { effective: true, execution: { status: 'paused' } })
  await engine.resumeExecution(id)
  t.match(await engine.cancelExecution(id), { effective: true, execution: { status: 'cancelled' } })
})

t.test('held closed, or with circuit breakers off, everything is called', async (t) => {
  const { engine, target } = await withTarget(t)
  await engine.circuitBreakers.setMode('target', 'closed', null)
  for (let i = 0; i < 4; i++) await ended(engine, await run(engine, [call('target', policy())]))
  t.equal(target.calls, 4)
  const off = await withTarget(t, { circuitBreakers: false })
  for (let i = 0; i < 4; i++) await ended(off.engine, await run(off.engine, [call('target', policy())]))
  t.equal(off.target.calls, 4)
})

t.test('the host of an http_request is a target without being named', async (t) => {
  const server = http.createServer((_, response) => void response.writeHead(503).end())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => void server.close())
  const { port } = server.address() as AddressInfo
  const engine = await startEngine(t, {}, { pollMs: 20, targets: { http: { allowPrivateNetwork: true } } })
  const step = {
    id: 'ask',
    type: 'action',
    config: { type: 'http_request', url: `http://127.0.0.1:${port}/x` },
    retryPolicy: { maxAttempts: 20, initialIntervalMs: 1, maxIntervalMs: 1, jitter: 0 },
  }
  const id = await run(engine, [step])
  await until('it was put off', async () => (await deferralOf(engine, id)) !== undefined)
  const failed = (await journalOf(engine, id)).filter(({ type }) => type === 'step.failed')
  t.equal(failed.length, 6, 'the default opens it with the fifth failure')
  t.match(await engine.circuitBreakers.find(`http:127.0.0.1:${port}`), { state: 'open', error: { type: 'Http5xx' } })
})

t.test('a node that never looks is told that a circuit was set or opened', async (t) => {
  const { start } = await openNodes(t)
  const log = listeningLog()
  const one = await start({ target: () => Promise.reject(refused()) })
  const other = await start({ target: () => 'answered' }, { log })
  await log.until('listening for what other nodes tell')
  // From its first call of a target on a node knows of circuits.
  await ended(other, await run(other, [call('target', policy({ key: 'another' }))]))
  t.equal(other.circuitBreakers.guarded, 0)
  await one.circuitBreakers.setMode('target', 'open', null)
  await until('it was told', async () => other.circuitBreakers.guarded === 1)
  await one.circuitBreakers.setMode('target', 'auto', null)
  await until('it was told', async () => other.circuitBreakers.guarded === 0)
  for (let i = 0; i < 2; i++) await ended(one, await run(one, [call('target', policy())]))
  await until('it was told', async () => other.circuitBreakers.guarded === 1)
  const id = await run(other, [call('target', policy())])
  await until('it was put off', async () => (await deferralOf(other, id)) !== undefined)
})

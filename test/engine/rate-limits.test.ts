/** Rate limits of running engines: what is granted when, what a step does until then, and who does not wait for whom. */
import t, { type Test } from 'tap'
import { SystemClock } from '../../src/engine/clock.ts'
import type { WorkflowEngine } from '../../src/engine/engine.ts'
import { silentLog } from '../../src/engine/log.ts'
import { RateLimits } from '../../src/engine/rate-limits.ts'
import { openStorage } from '../../src/engine/storage.ts'
import type { TurnsAsked, TurnsGiven } from '../../src/repository/rate-limits.ts'
import { until } from '../harness/condition.ts'
import { createTestDatabase } from '../harness/database.ts'
import { withClient } from '../harness/server.ts'
import { listen, sendJson } from './actions/loopback.ts'
import { call, echo, ended, journalOf, run, seen, startEngine } from './running-engine.ts'

t.setTimeout(180_000)

const hour = 3_600_000
const limited = (given: object = {}, rest: object = {}) =>
  call('target', { rateLimit: { scope: 'test', limit: 1, periodMs: hour, ...given }, ...rest })

const deferralsOf = async (engine: WorkflowEngine, id: string) =>
  (await journalOf(engine, id)).filter(({ data }) => (data as { deferred?: true }).deferred === true)

const isPutOff = (engine: WorkflowEngine, id: string, times = 1) =>
  until(`${id} is put off`, async () => (await deferralsOf(engine, id)).length >= times)

/** An engine whose `target` counts its calls, and what it asked the database for. */
async function withTarget(t: Test, options: Parameters<typeof startEngine>[2] = {}) {
  const called: string[] = []
  const asked: TurnsAsked[] = []
  const faults: Error[] = []
  const calls = {
    target: ({ executionId }: { executionId: string }) => {
      called.push(executionId)
      return 'answered'
    },
  }
  const engine = await startEngine(
    t,
    calls,
    { pollMs: 20, ...options },
    {
      async openStorage(settings) {
        const storage = await openStorage(settings)
        const { takeTurns } = storage.store
        storage.store.takeTurns = async (asks, horizonMs) => {
          asked.push(...asks)
          const fault = faults.pop()
          if (fault !== undefined) throw fault
          return takeTurns(asks, horizonMs)
        }
        return storage
      },
    },
  )
  return { engine, called, asked, faults }
}

t.test('a call that comes too early waits, parked, and uses no attempt up', async (t) => {
  const { engine, called } = await withTarget(t)
  await ended(engine, await run(engine, [limited()]))
  const id = await run(engine, [limited()])
  await seen(engine, id, 'execution.parked')
  t.equal(called.length, 1)
  const [deferral] = await deferralsOf(engine, id)
  t.match(deferral, {
    type: 'step.failed',
    attempt: 1,
    data: { error: { type: 'RateLimited', details: { scope: 'shared:test', key: '', turns: 1, until: Number } } },
  })
  const { status, wakeAt } = await engine.getExecution(id)
  t.equal(status, 'waiting')
  t.equal(wakeAt, (deferral!.data as { retryAt: number }).retryAt, 'it is woken when its place comes')
  t.match(await engine.getSteps(id), [{ status: 'waiting', attempt: 0, error: { type: 'RateLimited' } }])
  const { items } = await engine.store.listRateLimits({}, 10)
  t.match(items, [{ scope: 'shared:test', key: '', limit: 1, periodMs: hour, burst: 1 }])
  t.ok(items[0]!.freeAt! > wakeAt!, 'who comes now goes behind it')
  t.match(engine.gauges.rateLimits(), { granted: 1, deferred: 1 })
})

t.test('when its place has come it goes on, and is called once', async (t) => {
  const { engine, called } = await withTarget(t)
  const often = { periodMs: 300 }
  const once = { delivery: 'at_most_once' }
  const ids: string[] = []
  for (const rest of [{}, {}, once, once, {}]) ids.push(await run(engine, [limited(often, rest)]))
  for (const id of ids) t.match(await ended(engine, id), { status: 'completed', output: 'answered' })
  t.same(called.toSorted(), ids.toSorted())
  for (const id of ids) t.match(await engine.getSteps(id), [{ status: 'completed', attempt: 1 }])
})

t.test('all nodes together never grant more than a burst and what has come since', async (t) => {
  const { url: databaseUrl } = await createTestDatabase(t)
  const sql = (text: string) => withClient(databaseUrl, async (client) => (await client.query(text)).rows)
  await sql(`CREATE TABLE answers (tat bigint, granted integer, asked_at bigint)`)
  await sql(`CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO answers VALUES (new.tat, new.granted, new.asked_at); RETURN NULL; END $$`)
  await sql('CREATE TRIGGER note AFTER INSERT OR UPDATE ON rate_limits FOR EACH ROW EXECUTE FUNCTION note()')
  const now = async () => Number((await sql('SELECT extract(epoch FROM clock_timestamp()) * 1000 AS now'))[0].now)
  const arrivals: Promise<number>[] = []
  const service = await listen(t, async (_, response) => {
    arrivals.push(now())
    sendJson(response, 'answered')
  })
  const options = { databaseUrl, pollMs: 20, targets: { http: { allowPrivateNetwork: true } } }
  const engines = [await startEngine(t, {}, options), await startEngine(t, {}, options)]
  const [limit, periodMs, burst] = [20, 1_000, 4]
  const step = {
    id: 'ask',
    type: 'action',
    config: { type: 'http_request', url: service.url },
    rateLimit: { key: '{{ input.key }}', limit, periodMs, burst },
  }
  const { id: workflowId } = await engines[0]!.createWorkflow({ name: 'asks', steps: [step] })
  const startedAt = await now()
  const starts = Array.from({ length: 40 }, (_, index) =>
    engines[index % 2]!.startExecution(workflowId, 'test', { key: 'same' }),
  )
  for (const id of await Promise.all(starts)) t.match(await ended(engines[0]!, id), { status: 'completed' })

  const intervalMs = periodMs / limit
  const times = (await Promise.all(arrivals)).sort((a, b) => a - b)
  t.equal(times.length, 40, 'each was called once')
  for (const [index, time] of times.entries()) {
    const most = burst + (time - startedAt) / intervalMs
    if (index + 1 > most) t.fail(`${index + 1} calls after ${time - startedAt} ms`)
  }
  const answers = await sql('SELECT tat, granted, asked_at FROM answers WHERE granted > 0')
  const turns = answers
    .flatMap(({ tat, granted, asked_at: askedAt }) =>
      Array.from({ length: granted }, (_, index) =>
        Math.max(Number(askedAt), Number(tat) + (index - granted - burst + 1) * intervalMs * 1000),
      ),
    )
    .sort((a, b) => a - b)
  t.equal(turns.length, 40)
  for (let first = 0; first < turns.length; first++) {
    for (let last = first; last < turns.length; last++) {
      const elapsed = (turns[last]! - turns[first]!) / 1000
      if (last - first + 1 > burst + elapsed / intervalMs) t.fail(`${last - first + 1} granted within ${elapsed} ms`)
    }
  }
})

t.test('keys, and steps without a name to share, do not wait for each other', async (t) => {
  const { engine, called } = await withTarget(t)
  const one = (rateLimit: object) => call('target', { rateLimit: { limit: 1, periodMs: hour, ...rateLimit } })
  const key = '{{ input.key }}'
  const runs = [
    await run(engine, [one({ scope: 'test', key })], { input: { key: 'a' } }),
    await run(engine, [one({ scope: 'test', key })], { input: { key: 'b' } }),
    await run(engine, [one({ scope: 'test', key })], { input: { key: 17 } }),
    await run(engine, [one({ scope: 'another', key })], { input: { key: 'a' } }),
    await run(engine, [one({ key })], { input: { key: 'a' } }),
    await run(engine, [one({ key: 'a' })]),
  ]
  for (const id of runs) t.match(await ended(engine, id), { status: 'completed' })
  t.equal(called.length, 6)
  await isPutOff(engine, await run(engine, [one({ scope: 'test', key: '{{ 10 + 7 }}' })]))
  t.equal(called.length, 6)
})

t.test('who waits in memory keeps no slot of the node from others, and can be aborted', async (t) => {
  const { engine, called, asked } = await withTarget(t, { maxAttempts: 1, parkAfterMs: 2 * hour })
  await ended(engine, await run(engine, [limited()]))
  const waiting = [await run(engine, [limited()]), await run(engine, [limited()])]
  await until('both have asked', async () => asked.reduce((sum, { count }) => sum + count, 0) === 3)
  t.match(await ended(engine, await run(engine, [limited({ key: 'another' })])), { status: 'completed' })
  t.match(await ended(engine, await run(engine, [echo('e')])), { status: 'completed' })
  for (const id of waiting)
    t.match(await engine.cancelExecution(id), { effective: true, execution: { status: 'cancelled' } })
  t.match(await ended(engine, await run(engine, [limited({ key: 'a third' })])), { status: 'completed' })
  t.equal(called.length, 3)
})

t.test('a step that waits for its place lets its execution be paused, resumed and cancelled', async (t) => {
  const { engine } = await withTarget(t)
  await ended(engine, await run(engine, [limited()]))
  const id = await run(engine, [limited()])
  await isPutOff(engine, id)
  t.match(await engine.pauseExecution(id), { effective: true, execution: { status: 'paused' } })
  await engine.resumeExecution(id)
  t.match(await engine.cancelExecution(id), { effective: true, execution: { status: 'cancelled' } })
})

t.test('what would be due only after the budget of the step fails, and can be caught', async (t) => {
  const { engine, called } = await withTarget(t)
  await ended(engine, await run(engine, [limited()]))
  const failing = limited({}, { retryPolicy: { maxElapsedMs: 60_000 } })
  t.match(await ended(engine, await run(engine, [failing])), { status: 'failed', error: { type: 'RateLimited' } })
  const instead = { errors: ['RateLimited'], steps: [echo('instead', { value: 'b' })] }
  const careful = { id: 'careful', type: 'try', config: { steps: [failing], catch: [instead] } }
  t.match(await ended(engine, await run(engine, [careful])), { status: 'completed', output: 'b' })
  t.equal(called.length, 1)
})

t.test('a key that is no text, and a limit that is no number, fail the step', async (t) => {
  const { engine, asked } = await withTarget(t)
  const wrong: [object, RegExp][] = [
    [{ key: '{{ { a: 1 } }}' }, /the key of a rate limit must be text of at most 200 characters/],
    [{ key: "{{ 'x'.repeat(201) }}" }, /the key of a rate limit/],
    [{ key: '\ud800' }, /the key of a rate limit/],
    [{ limit: '{{ 1 - 1 }}' }, /must be a whole number from 1 to 1000000, and is 0/],
    [{ limit: "{{ 'many' }}" }, /and is "many"/],
  ]
  for (const [given, message] of wrong)
    t.match(await ended(engine, await run(engine, [limited(given)])), { error: { type: 'ValidationError', message } })
  t.match(await ended(engine, await run(engine, [limited({ key: '{{ nothing.at }}' })])), {
    error: { type: 'ExpressionError' },
  })
  t.same(asked, [])
  t.match(await ended(engine, await run(engine, [limited({ limit: '{{ 1 + 1 }}', key: '\ud83d\ude00' })])), {
    output: 'answered',
  })
  t.match(asked, [{ limit: 2, key: '\ud83d\ude00' }])
})

t.test('while the database does not answer nothing is called, and afterwards it is', async (t) => {
  const { engine, called, asked, faults } = await withTarget(t)
  faults.push(new Error('connection lost'))
  const id = await run(engine, [limited()])
  await until('it was asked in vain', async () => asked.length === 1)
  t.same(called, [])
  t.match(await ended(engine, id), { status: 'completed' })
  t.same(called, [id])
})

t.test('an open circuit is asked before the limit, and whose place has come keeps that', async (t) => {
  const { engine, called, asked } = await withTarget(t)
  const circuitBreaker = { key: 'target', openMs: 100 }
  // Time enough to open the circuit before the place comes.
  const often = { periodMs: 1_500 }
  await ended(engine, await run(engine, [limited(often)]))
  const id = await run(engine, [limited(often, { circuitBreaker })])
  await isPutOff(engine, id)
  await engine.circuitBreakers.setMode('target', 'open', null)
  const { length } = asked
  await isPutOff(engine, id, 2)
  const [, stopped] = await deferralsOf(engine, id)
  t.match(stopped, { data: { error: { type: 'CircuitOpenError', details: { turns: 1, deferrals: 1 } } } })
  t.equal(asked.length, length, 'nothing is asked of the limit meanwhile')
  await engine.circuitBreakers.setMode('target', 'auto', null)
  t.match(await ended(engine, id), { status: 'completed' })
  t.match(asked.at(-1), { rank: 1 })
  t.equal(called.length, 2)
})

t.test('a step without a limit asks nothing', async (t) => {
  const { engine, asked } = await withTarget(t)
  t.match(await ended(engine, await run(engine, [call('target')])), { status: 'completed' })
  t.same(asked, [])
})

t.test('keys for which nobody asks any more are removed', async (t) => {
  const { url: databaseUrl } = await createTestDatabase(t)
  const { engine } = await withTarget(t, { databaseUrl, housekeepingMs: 50 })
  await ended(engine, await run(engine, [limited({ key: 'idle', periodMs: 1 })]))
  await ended(engine, await run(engine, [limited({ key: 'busy' })]))
  await withClient(databaseUrl, (client) => client.query('UPDATE rate_limits SET asked_at = 0'))
  const keys = async () => (await engine.store.listRateLimits({}, 10)).items.map(({ key }) => key)
  await until('it is removed', async () => (await keys()).length < 2)
  t.same(await keys(), ['busy'], 'what was granted there still counts')
})

t.test('while one statement runs the next one gathers, without those who have gone', async (t) => {
  const statements: { asks: readonly TurnsAsked[]; answer: (given: TurnsGiven[]) => void }[] = []
  const takeTurns = (asks: readonly TurnsAsked[]) =>
    new Promise<TurnsGiven[]>((answer) => statements.push({ asks, answer }))
  const limits = new RateLimits({ store: { takeTurns }, clock: new SystemClock(), log: silentLog, horizonMs: 1_000 })
  const rate = { namespace: 'default', scope: 's', limit: 1, periodMs: 1_000, burst: 1 }
  const gone = new Set<string>()
  const told: string[] = []
  const come = (name: string, key: string, turns = 0): void => {
    const caller = {
      turns,
      pause: async () => {},
      get isOver() {
        return gone.has(name)
      },
    }
    limits.turn({ ...rate, key }, caller).then(
      () => told.push(name),
      () => told.push(`not ${name}`),
    )
  }
  come('first', 'a')
  for (const name of ['second', 'third', 'fourth']) come(name, 'a')
  come('called', 'a', 5)
  come('other', 'b')
  gone.add('third')
  t.match(statements, [{ asks: [{ key: 'a', rank: 0, count: 1 }] }])
  statements[0]!.answer([{ granted: [0], later: [] }])
  await until('the next one is sent', async () => statements.length === 2)
  t.match(statements[1]!.asks, [
    { key: 'a', rank: 0, count: 2 },
    { key: 'b', rank: 0, count: 1 },
  ])
  t.equal(statements[1]!.asks.length, 2, 'each key once')
  statements[1]!.answer([
    { granted: [0], later: [{ afterMs: 2_000, at: 1 }] },
    { granted: [5], later: [] },
  ])
  await until('the last one is sent', async () => statements.length === 3)
  t.match(statements[2]!.asks, [{ key: 'a', rank: 2, count: 1 }])
  statements[2]!.answer([{ granted: [0], later: [] }])
  await until('all are told', async () => told.length === 5)
  t.same(told.toSorted(), ['called', 'first', 'not fourth', 'other', 'second'])
  await limits.stop()
})

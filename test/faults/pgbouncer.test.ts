/** Engines behind a real PgBouncer in transaction mode, where each transaction gets whatever session is free. */
import t, { type Test } from 'tap'
import type { EngineOptions } from '../../src/engine/engine-options.ts'
import type { Append } from '../../src/repository/append.ts'
import { classify } from '../../src/repository/classify.ts'
import { openDatabase } from '../../src/repository/connection.ts'
import { createStore } from '../../src/repository/store.ts'
import {
  type Calls,
  call,
  echo,
  ended,
  journalOf,
  latch,
  run,
  seen,
  startEngine,
  typesOf,
} from '../engine/running-engine.ts'
import { createTestDatabase } from '../harness/database.ts'
import { executionRow, registerTestNode, startOf } from '../harness/rows.ts'
import { withClient } from '../harness/server.ts'
import { breakUnderLoad } from './load.ts'
import { findPgBouncer, startPgBouncer } from './pgbouncer.ts'

const program = findPgBouncer()
const options = {
  skip: program === null && 'there is no pgbouncer on this machine (Debian: apt-get install pgbouncer)',
}

/** A database, the way to it, and engines that go that way. */
async function open(t: Test, poolSize = 4) {
  const { url: direct } = await createTestDatabase(t)
  const pooler = await startPgBouncer(t, { program: program!, url: direct, poolSize })
  const start = (calls: Calls = {}, more: EngineOptions = {}) =>
    startEngine(t, calls, { databaseUrl: pooler.url, notify: false, prepare: false, ...more })
  const sql = (text: string) => withClient(direct, async (client) => (await client.query(text)).rows)
  return { pooler, start, sql }
}

t.test(
  'nodes that start at once on an empty database migrate it, and leave no lock on a session',
  options,
  async (t) => {
    const { pooler, start, sql } = await open(t)
    await sql('DROP SCHEMA public CASCADE; CREATE SCHEMA public')
    // Others who use the sessions meanwhile: what is sent next hardly ever goes to the session of before.
    let isMigrating = true
    const crowd = Array.from({ length: 8 }, () =>
      withClient(pooler.url, async (client) => {
        while (isMigrating) await client.query('SELECT 1')
      }),
    )
    const [first] = await Promise.all([start(), start(), start()]).finally(() => (isMigrating = false))
    await Promise.all(crowd)
    const id = await run(first, [echo('a', { value: 1 })])
    t.match(await ended(first, id), { status: 'completed', output: 1 })
    t.same(
      await sql(`SELECT mode FROM pg_locks JOIN pg_database ON database = pg_database.oid
      WHERE locktype = 'advisory' AND datname = current_database()`),
      [],
    )
  },
)

t.test(
  'steps, retries, sleepers, signals, pause, rollback, streams and statistics on two nodes',
  options,
  async (t) => {
    const { pooler, start } = await open(t)
    const gate = latch()
    const calls = { hold: () => gate.promise.then(() => 'held') }
    const [owner, other] = [await start(calls), await start(calls)]
    const retryPolicy = { maxAttempts: 2, initialIntervalMs: 1_000, jitter: 0 }
    const steps = [
      echo('first', { value: 1 }),
      call('hold'),
      echo('sleeper', { value: 2, fail: { untilAttempt: 2, retryable: true } }, { retryPolicy }),
      echo('last', { value: 3 }),
    ]
    const id = await run(owner, steps)
    const heard = [owner, other].map((engine) => listen(engine, id))
    await seen(other, id, 'step.completed', 'first')
    await other.signal(id, 'hello', { n: 1 })
    await seen(other, id, 'signal.received')
    const pausing = other.pauseExecution(id)
    await seen(other, id, 'execution.pause_requested')
    gate.open()
    t.match(await pausing, { effective: true, execution: { status: 'paused' } })
    t.match(await other.resumeExecution(id), { effective: true })
    await seen(other, id, 'execution.parked')
    t.match(await ended(other, id), { status: 'completed', output: 3 })
    t.match(await other.rollbackToCheckpoint(id, 0, { resume: true }), { effective: true })
    t.match(await ended(owner, id), { status: 'completed', output: 3 })

    const journal = await journalOf(other, id)
    const seqs = journal.map(({ seq }) => seq)
    t.same(
      seqs,
      seqs.map((_, index) => index + 1),
      'seq has no hole',
    )
    for (const hears of heard) t.same(await hears.upTo(seqs.length), seqs, 'a stream hears every event once, in order')
    t.match((await other.getProgress(id)).percentage, 100)
    while ((await owner.store.foldStatistics()) > 0);
    t.match(await other.store.readStatistics(), { totalExecutions: 1, completedExecutions: 1 })
    const servers = (await pooler.show('SERVERS')).length
    const clients = (await pooler.show('CLIENTS')).length
    t.ok(servers <= 4 && clients > servers, `${clients} clients share ${servers} sessions`)
  },
)

t.test('a node that stops hands over to another, through the pooler too', options, async (t) => {
  const { start } = await open(t)
  const reached = latch()
  const first = await start(
    {
      slow: ({ signal }) =>
        new Promise<never>((_, reject) => {
          reached.open()
          signal.addEventListener('abort', () => reject(signal.reason))
        }),
    },
    { drainMs: 20 },
  )
  const second = await start({ slow: () => 'elsewhere' }, { maxRunning: 1 })
  const id = await run(first, [echo('before'), call('slow')])
  await reached.promise
  await first.stop()
  t.equal((await ended(second, id)).output, 'elsewhere')
  t.notOk((await typesOf(second, id)).includes('execution.recovered'), 'nobody had to wait for a lease')
})

/** The load of load.ts, through the pooler. */
async function breakPooled(t: Test, breaks: (world: Awaited<ReturnType<typeof open>>) => Promise<unknown>) {
  const world = await open(t)
  await breakUnderLoad(t, { start: world.start, breaks: () => breaks(world) })
}

t.test('PgBouncer killed and started again under load: nothing is lost, nothing is done twice', options, (t) =>
  breakPooled(t, async ({ pooler }) => {
    await pooler.kill()
    await pooler.start()
  }),
)

t.test(
  'sessions that the server ends under PgBouncer and its load: nothing is lost, nothing is done twice',
  options,
  (t) =>
    breakPooled(t, async ({ sql }) => {
      const ended = await sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid()`)
      t.not(ended.length, 0)
    }),
)

t.test('a lane whose statement has a name that another one has taken goes on without names', options, async (t) => {
  // One session for all; a PgBouncer from 1.21 on gives each client names of its own and has nothing to mix up.
  const { pooler } = await open(t, 1)
  const database = openDatabase({ url: pooler.url, prepare: true })
  t.teardown(database.close)
  const store = createStore(database)
  const outcomes: string[][] = []
  for (const _node of ['first', 'second']) {
    const node = await registerTestNode(store)
    const lane = store.openLane(node, 0)
    t.teardown(() => lane.close())
    const flush = (append: Append, resend: boolean): Promise<string> => lane.flush([append], resend).catch(classify)
    const start = startOf(executionRow({ owner: node }))
    const first = await flush(start, false)
    const again = first === 'retry' ? await flush(start, true) : first
    outcomes.push([first, again, await flush(startOf(executionRow({ owner: node })), false)])
  }
  t.same(outcomes[0], ['committed', 'committed', 'committed'])
  t.match(outcomes[1], [/committed|retry/, 'committed', 'committed'])
})

t.test('nodes with CAIRN_PREPARE left on work all the same', options, async (t) => {
  const { start } = await open(t)
  const nodes = [await start({}, { prepare: true }), await start({}, { prepare: true })]
  for (const node of [...nodes, ...nodes]) {
    const id = await run(node, [echo('a'), echo('b', { value: 2 })])
    t.match(await ended(node, id), { status: 'completed', output: 2 })
  }
})

t.test('a data source behind PgBouncer: exactly once, read-only and aborted queries', options, async (t) => {
  const { pooler, start, sql } = await open(t)
  await sql('CREATE TABLE payments (id serial, amount int)')
  const engine = await start({}, { targets: { dataSources: { main: { url: pooler.url } } } })
  const query = (id: string, text: string, config: object = {}, rest: object = {}) => ({
    id,
    name: id,
    type: 'action',
    config: { type: 'database_query', dataSource: 'main', query: text, ...config },
    ...rest,
  })
  const id = await run(engine, [
    query('pay', 'INSERT INTO payments (amount) VALUES (5) RETURNING amount', { exactlyOnce: true }),
    query('sum', "SELECT sum(amount)::int AS sum, current_setting('transaction_read_only') AS ro FROM payments", {
      readOnly: true,
    }),
  ])
  t.match(await ended(engine, id), { status: 'completed', output: [{ sum: 5, ro: 'on' }] })
  t.match(await sql('SELECT idempotency_key FROM cairn_effects'), [{ idempotency_key: `${id}/0/pay` }])
  const slow = query('slow', 'INSERT INTO payments (amount) SELECT 7 FROM pg_sleep(600)', {}, { timeoutMs: 100 })
  const late = await run(engine, [slow])
  t.match(await ended(engine, late), { status: 'failed', error: { type: 'TimeoutError' } })
  const running =
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_sleep(600)' AND state = 'active'"
  while ((await sql(running)).length > 0);
  t.same(await sql('SELECT amount FROM payments'), [{ amount: 5 }], 'cancelled on its own session, and undone')
})

/** Hears an execution from its first event on. */
function listen(engine: Awaited<ReturnType<typeof startEngine>>, id: string) {
  const seqs: number[] = []
  let heard = () => {}
  const unsubscribe = engine.subscribe(
    id,
    (message) => {
      if (message.type !== 'event') return
      seqs.push(message.seq)
      heard()
    },
    { after: 0 },
  )
  return {
    upTo: (seq: number): Promise<number[]> =>
      new Promise((resolve) => {
        heard = () => {
          if (seqs.at(-1) !== seq) return
          unsubscribe()
          resolve(seqs)
        }
        heard()
      }),
  }
}

import t from 'tap'
import { emptyHistogram, mean, mergeHistogram, quantile, record } from '../../src/repository/histogram.ts'
import type { StatisticsDelta } from '../../src/repository/statistics.ts'
import { appendOf, createTestStore, executionRow, registerTestNode, startOf } from '../harness/rows.ts'

t.test('a quantile of the histogram is within 5 % of the exact one, from microseconds to weeks', (t) => {
  for (const scale of [1, 1000, 1e6, 1e9]) {
    const histogram = emptyHistogram()
    const values = Array.from({ length: 1000 }, (_, index) => (1 + index) * scale)
    for (const value of values) record(histogram, value)
    for (const q of [0.01, 0.5, 0.95, 0.99, 1]) {
      const exact = values[Math.ceil(q * 1000) - 1]!
      const found = quantile(histogram, q)!
      t.ok(Math.abs(found / exact - 1) < 0.05, `${q} of ${scale}: ${found} for ${exact}`)
    }
    t.equal(mean(histogram), 500.5 * scale)
  }
  const fast = emptyHistogram()
  record(fast, 0)
  record(fast, 0.2)
  t.equal(quantile(fast, 0.99), 0.5)
  t.equal(quantile(emptyHistogram(), 0.5), null)
  t.equal(mean(emptyHistogram()), null)
  t.end()
})

t.test('merging histograms is recording into one', (t) => {
  const [one, two, both] = [emptyHistogram(), emptyHistogram(), emptyHistogram()]
  for (let ms = 0; ms < 300; ms += 1) {
    record(ms % 3 === 0 ? one : two, ms)
    record(both, ms)
  }
  mergeHistogram(one, two)
  t.same(JSON.parse(JSON.stringify(one)), JSON.parse(JSON.stringify(both)))
  t.end()
})

const workflowId = '00000000-0000-7000-8000-00000000000a'
const delta = (given: Partial<StatisticsDelta>): StatisticsDelta => ({ workflowId, version: 1, ...given })

/** A store and a function that flushes what is to be counted. */
async function createCounter(t: import('tap').Test) {
  const { store, database } = await createTestStore(t)
  const node = await registerTestNode(store)
  const lane = store.openLane(node, 0)
  t.teardown(() => lane.close())
  const flush = async (...deltas: StatisticsDelta[]) => {
    const row = executionRow({ owner: node })
    t.equal(
      await lane.flush([startOf(row), appendOf(executionRow().id, 1, 1, { statistics: deltas })], false),
      'committed',
    )
  }
  return { store, database, flush }
}

t.test('statistics count present statuses and every end', async (t) => {
  const { store, flush } = await createCounter(t)
  t.same(await store.readStatistics(workflowId), {
    totalExecutions: 0,
    completedExecutions: 0,
    failedExecutions: 0,
    cancelledExecutions: 0,
    runningExecutions: 0,
    successRate: null,
    averageExecutionTimeMs: null,
    p50Ms: null,
    p95Ms: null,
    p99Ms: null,
    steps: [],
  })
  for (let index = 0; index < 4; index += 1) await flush(delta({ status: { from: null, to: 'running' } }))
  await flush(delta({ version: 2, status: { from: null, to: 'pending' } }))
  await flush(
    delta({ status: { from: 'running', to: 'completed', durationMs: 100 } }),
    delta({ status: { from: 'running', to: 'failed', durationMs: 200 } }),
    delta({ status: { from: 'running', to: 'waiting' } }),
  )
  // Retried, then completed: the failure is an end of its own, but no present status any more.
  await flush(delta({ status: { from: 'failed', to: 'running' } }))
  await flush(delta({ status: { from: 'running', to: 'completed', durationMs: 300 } }))
  const statistics = await store.readStatistics(workflowId)
  t.match(statistics, {
    totalExecutions: 5,
    completedExecutions: 2,
    failedExecutions: 0,
    cancelledExecutions: 0,
    runningExecutions: 3,
    successRate: 2 / 3,
    averageExecutionTimeMs: 200,
  })
  t.ok(Math.abs(statistics.p50Ms! - 200) < 10)
})

t.test('steps count executions, failures, retries and the durations of completed attempts', async (t) => {
  const { store, flush } = await createCounter(t)
  await flush(
    delta({
      steps: [
        { stepId: 'constructor', outcome: 'retried', durationMs: 9999 },
        { stepId: 'constructor', outcome: 'completed', durationMs: 10 },
        { stepId: '__proto__', outcome: 'failed', durationMs: 9999 },
      ],
    }),
  )
  await flush(delta({ steps: [{ stepId: 'constructor', outcome: 'completed', durationMs: 30 }] }))
  const { steps } = await store.readStatistics(workflowId)
  t.match(steps, [
    { id: '__proto__', executions: 1, failures: 1, retries: 0, averageMs: null, p95Ms: null },
    { id: 'constructor', executions: 2, failures: 0, retries: 1, averageMs: 20 },
  ])
  const medians = await store.stepMedians(workflowId)
  t.same([...medians.keys()], ['constructor'])
  t.ok(Math.abs(medians.get('constructor')! - 10) < 1)
})

t.test('folding changes nothing that can be read, from however many nodes at once', async (t) => {
  const { store, database, flush } = await createCounter(t)
  const other = '00000000-0000-7000-8000-00000000000b'
  for (let index = 0; index < 40; index += 1) {
    const of = index % 4 === 0 ? { workflowId: other } : { version: 1 + (index % 2) }
    await flush(
      delta({ ...of, status: { from: null, to: 'running' } }),
      delta({ ...of, status: { from: 'running', to: 'completed', durationMs: index * 7 } }),
      delta({ ...of, steps: [{ stepId: `s${index % 3}`, outcome: 'completed', durationMs: index }] }),
    )
  }
  const before = [
    await store.readStatistics(),
    await store.readStatistics(workflowId),
    await store.readStatistics(other),
  ]
  const folded = await Promise.all([store.foldStatistics(), store.foldStatistics(), store.foldStatistics()])
  t.equal(folded[0] + folded[1] + folded[2], 40)
  t.equal(await store.foldStatistics(), 0)
  const read = async () => [
    await store.readStatistics(),
    await store.readStatistics(workflowId),
    await store.readStatistics(other),
  ]
  t.same(await read(), before)
  await flush(delta({ status: { from: null, to: 'running' } }))
  const more = await read()
  t.equal(await store.foldStatistics(), 1)
  t.same(await read(), more)
  const { rows } = await database.pool.query('SELECT count(*)::integer AS rows FROM fresh_statistics')
  t.same(rows, [{ rows: 0 }])
  // As a node of a release before has left it.
  await database.pool.query(
    `INSERT INTO execution_statistics (workflow_id, version, counts)
     SELECT workflow_id, version, counts FROM execution_statistics LIMIT 1`,
  )
  const twice = await read()
  t.notSame(twice, more, 'it counts')
  t.equal(await store.foldStatistics(), 1)
  t.same(await read(), twice)
  const unfolded = await database.pool.query('SELECT FROM execution_statistics WHERE NOT folded')
  t.equal(unfolded.rowCount, 0)
})

t.test('counts are folded in a database that is published for logical replication too', async (t) => {
  const { store, database, flush } = await createCounter(t)
  await database.pool.query('CREATE PUBLICATION everything FOR ALL TABLES')
  await flush(delta({ status: { from: null, to: 'running' } }))
  t.equal(await store.foldStatistics(), 1)
  const { rows } = await database.pool.query(
    `SELECT t.typname FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
     WHERE a.attrelid = 'fresh_statistics'::regclass AND a.attnum > 0 AND t.typname = 'json'`,
  )
  t.same(rows, [], 'who subscribes finds a row by what it holds, which json cannot be compared by')
})

t.test('hours that are over become one row, also those that an earlier release has left', async (t) => {
  const { store, database, flush } = await createCounter(t)
  for (const version of [1, 2, 2]) await flush(delta({ version, status: { from: null, to: 'running' } }))
  await store.foldStatistics()
  // As if that had been an hour and two ago, and something is still to be folded of then.
  await database.pool.query(
    `INSERT INTO execution_statistics (workflow_id, version, hour, folded, counts)
     SELECT workflow_id, version, hour - 3600000 * ago, true, counts FROM execution_statistics, generate_series(1, 2) AS ago`,
  )
  await database.pool.query(
    `INSERT INTO fresh_statistics (workflow_id, version, hour, counts)
     SELECT workflow_id, version, hour, counts FROM execution_statistics WHERE version = 1`,
  )
  const before = await store.readStatistics(workflowId)
  t.equal(before.totalExecutions, 12)
  await store.foldStatistics()
  t.same(await store.readStatistics(workflowId), before)
  const { rows } = await database.pool.query(
    'SELECT version, hour = 0 AS over FROM execution_statistics ORDER BY version, hour',
  )
  const one = (version: number) => [
    { version, over: true },
    { version, over: false },
  ]
  t.same(rows, [...one(1), ...one(2)])
})

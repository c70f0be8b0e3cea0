import t from 'tap'
import { v7 } from 'uuid'
import { classify } from '../../src/repository/classify.ts'
import { createTestStore, executionRow, registerTestNode, startOf } from '../harness/rows.ts'

t.test('a heartbeat renews the lease of a living node and tells the time of the database', async (t) => {
  const { store, database } = await createTestStore(t)
  const node = await registerTestNode(store, { leaseMs: 10_000 })
  const beat = await store.heartbeat(node, 600_000)
  const { rows } = await database.pool.query("SELECT expires_at > now() + interval '5 minutes' AS renewed FROM nodes")
  t.same(rows, [{ renewed: true }])
  t.ok(beat.alive && Math.abs(beat.databaseNow - (await store.databaseNow())) < 60_000)
})

t.test('a lease that has run out cannot be renewed, and an id that is gone never revives', async (t) => {
  const { store } = await createTestStore(t)
  const expired = await registerTestNode(store, { leaseMs: -1 })
  t.same(await store.heartbeat(expired, 10_000), { alive: false })
  t.same(await store.heartbeat(v7(), 10_000), { alive: false })
})

t.test('a sweep deletes expired nodes with their lanes, and no others', async (t) => {
  const { store, database } = await createTestStore(t)
  const alive = await registerTestNode(store, { lanes: 2 })
  const dead = [
    await registerTestNode(store, { leaseMs: -1, lanes: 3 }),
    await registerTestNode(store, { leaseMs: -1 }),
  ]
  t.same((await store.sweep()).toSorted(), dead.toSorted())
  t.same(await store.sweep(), [])
  const { rows } = await database.pool.query('SELECT node_id, lane FROM node_lanes ORDER BY lane')
  t.same(rows, [
    { node_id: alive, lane: 0 },
    { node_id: alive, lane: 1 },
  ])
})

t.test(
  'a node that was alone on the data folder declares those from before dead, and nobody who came after',
  async (t) => {
    const { store } = await createTestStore(t)
    const before = await registerTestNode(store)
    const aloneAt = await store.databaseNow()
    const after = await registerTestNode(store)
    const me = await registerTestNode(store)
    t.same(await store.removeOtherNodes(me, aloneAt), [before])
    for (const alive of [after, me]) t.match(await store.heartbeat(alive, 10_000), { alive: true })
  },
)

t.test('a sweep waits for a flush that runs, and that flush still counts', async (t) => {
  const { store, database } = await createTestStore(t)
  const dead = await registerTestNode(store, { leaseMs: -1 })
  const flushing = await database.pool.connect()
  await flushing.query('BEGIN')
  await flushing.query('SELECT FROM node_lanes WHERE node_id = $1 FOR KEY SHARE', [dead])
  let isSwept = false
  const sweep = store.sweep().finally(() => {
    isSwept = true
  })
  const waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
  while ((await database.pool.query(waiting)).rowCount === 0);
  t.equal(isSwept, false)
  await flushing.query('COMMIT')
  flushing.release()
  t.same(await sweep, [dead])
})

t.test('a backend that blocks a sweep is terminated, and its flush never happened', async (t) => {
  const { store, database } = await createTestStore(t)
  const dead = await registerTestNode(store, { leaseMs: -1 })
  const stuck = (await database.connectLane(60_000)).client
  await stuck.query('BEGIN')
  await stuck.query('SELECT FROM node_lanes WHERE node_id = $1 FOR KEY SHARE', [dead])
  t.same(await store.sweep(), [dead])
  const error = await stuck.query('COMMIT').catch((thrown: unknown) => thrown)
  t.equal(classify(error), 'retry')
  await stuck.end().catch(() => {})
  const lane = store.openLane(dead, 0)
  t.equal(await lane.flush([startOf(executionRow({ owner: dead }))], true), 'fenced')
  await lane.close()
})

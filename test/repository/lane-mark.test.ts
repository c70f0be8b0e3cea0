/** What a lane's fence rests on when its last event may be removed: docs/adr/0017. */
import t, { type Test } from 'tap'
import type { LaneConnection } from '../../src/repository/connection.ts'
import { Lane } from '../../src/repository/lane.ts'
import { appendOf, createTestStore, executionRow, registerTestNode, startOf } from '../harness/rows.ts'

async function openLane(t: Test) {
  const { store, database } = await createTestStore(t)
  const node = await registerTestNode(store)
  const severed = { next: null as 'before' | 'after' | null }
  const connect = async (): Promise<LaneConnection> => {
    const { client, server } = await database.connectLane(60_000)
    const query = client.query.bind(client) as (...given: unknown[]) => Promise<unknown>
    const cut = async (...given: unknown[]): Promise<unknown> => {
      const when = severed.next
      severed.next = null
      if (when === 'before') throw new Error('Connection terminated unexpectedly')
      const result = await query(...given)
      if (when === 'after') throw new Error('Connection terminated unexpectedly')
      return result
    }
    return { client: Object.assign(client, { query: cut }), server }
  }
  const lane = new Lane({ connect, node, lane: 0, prepare: true })
  t.teardown(() => lane.close())
  const row = executionRow({ owner: node })
  t.equal(await lane.flush([startOf(row)], false), 'committed')
  const next = () => lane.flush([startOf(executionRow({ owner: node }))], false)
  return { store, database, node, lane, row, severed, next }
}

t.test('a lane with a mark does not need its last event any more', async (t) => {
  const { database, lane, next } = await openLane(t)
  t.equal(await lane.mark(), 'committed')
  await database.pool.query('DELETE FROM execution_events')
  t.equal(await next(), 'committed')
  await database.pool.query('DELETE FROM execution_events')
  t.equal(await next(), 'fenced', 'the next flush leans on its own event again')
})

t.test('a database that has lost the mark has lost what came before it', async (t) => {
  const { database, lane, next } = await openLane(t)
  await lane.mark()
  await database.pool.query('UPDATE node_lanes SET mark = mark - 1')
  t.equal(await next(), 'fenced')
})

t.test('a mark is not set on a database that has lost the event, nor by a dead node', async (t) => {
  const { store, database, node, lane } = await openLane(t)
  await database.pool.query('UPDATE execution_events SET seq = seq + 1')
  t.equal(await lane.mark(), 'fenced')
  await database.pool.query('UPDATE execution_events SET seq = seq - 1')
  t.equal(await lane.mark(), 'committed')
  await store.removeNode(node)
  t.equal(await lane.mark(), 'fenced')
})

t.test('an event of another node under the same seq is none of ours', async (t) => {
  const { database, next } = await openLane(t)
  await database.pool.query('UPDATE execution_events SET at = at + 1')
  t.equal(await next(), 'fenced')
})

for (const when of ['before', 'after'] as const) {
  t.test(`a mark whose connection breaks ${when} it was set leaves the lane as it was`, async (t) => {
    const { database, node, lane, row, severed, next } = await openLane(t)
    severed.next = when
    await t.rejects(lane.mark(), /terminated/)
    t.equal(await lane.flush([appendOf(row.id, 2)], false), 'committed')
    t.equal(await next(), 'committed')
    t.equal(await lane.mark(), 'committed', 'and the next try sets the same mark')
    const { rows } = await database.pool.query('SELECT mark FROM node_lanes WHERE node_id = $1', [node])
    t.same(rows, [{ mark: 1 }])
    await database.pool.query('DELETE FROM execution_events')
    t.equal(await next(), 'committed')
  })
}

/** What a node finds lost after a failover, before any of its flushes tells it. */
import t, { type Test } from 'tap'
import { lossOf } from '../../src/engine/failover.ts'
import { appendOf, createTestStore, executionRow, registerTestNode, startOf } from '../harness/rows.ts'

/** A node with a lane on which nothing was acknowledged yet, and an execution that it has just claimed. */
async function claimed(t: Test) {
  const { store, database } = await createTestStore(t)
  const [node, starter] = [await registerTestNode(store), await registerTestNode(store)]
  const lane = store.openLane(node, 0)
  const starting = store.openLane(starter, 0)
  t.teardown(() => Promise.all([lane.close(), starting.close()]))
  const row = executionRow({ status: 'pending', wakeAt: 1 })
  t.equal(await starting.flush([startOf(row)], false), 'committed')
  const claims = await store.claim(node, { limit: 10, room: 10, formats: [1] })
  t.same(claims, [{ executionId: row.id, from: null }])
  const sql = (text: string) => database.pool.query(text)
  const loses = (held: () => string[]) => lossOf(store, node, [lane], { idsHeld: held })
  return { lane, row, sql, loses, held: () => [row.id] }
}

t.test('a claim that no flush has followed is compared with the table', async (t) => {
  const { sql, loses, held } = await claimed(t)
  t.equal(await loses(held), null)
  // The replica has all but the claim: nothing that was acknowledged to a lane is missing.
  await sql('UPDATE workflow_executions SET owner = NULL')
  t.equal(await loses(held), 'a failover lost its claims')
})

t.test('a claim that somebody else has made since is lost as well', async (t) => {
  const { sql, loses, held } = await claimed(t)
  await sql('UPDATE workflow_executions SET owner = gen_random_uuid()')
  t.equal(await loses(held), 'a failover lost its claims')
})

t.test('what was given away while the table was read is no loss', async (t) => {
  const { sql, loses, row } = await claimed(t)
  await sql('UPDATE workflow_executions SET owner = NULL')
  const answers = [[row.id], []]
  t.equal(await loses(() => answers.shift()!), null)
})

t.test('what the table says is ours and is not in memory is no loss: it is found and loaded', async (t) => {
  const { loses } = await claimed(t)
  t.equal(await loses(() => []), null)
})

t.test('a commit that was acknowledged to a lane tells even when every claim is there', async (t) => {
  const { lane, row, sql, loses, held } = await claimed(t)
  t.equal(await lane.flush([appendOf(row.id, 2)], false), 'committed')
  t.equal(await loses(held), null)
  await sql('DELETE FROM execution_events WHERE seq = 2')
  t.equal(await loses(held), 'a failover lost commits that were acknowledged to it')
})

t.test('a node whose row the replica does not know is lost with all its lanes', async (t) => {
  const { sql, loses, held } = await claimed(t)
  await sql('DELETE FROM nodes')
  t.equal(await loses(held), 'a failover lost commits that were acknowledged to it')
})

/** A business key belongs to one live execution of its workflow, whoever starts it and wherever. */
import t from 'tap'
import type { ExecutionStatus } from '../../src/engine/core/state.ts'
import { retireExecutions } from '../../src/repository/retention.ts'
import { idempotency, keyedStart, keyOf } from '../harness/keyed-starts.ts'
import { createTestStore } from '../harness/rows.ts'

t.test('a start under a key that nobody has is stored with it, and the key is live', async (t) => {
  const { store, database } = await createTestStore(t)
  const append = keyedStart()
  t.same(await store.startUnderKey(keyOf(), null, append), { type: 'started', executionId: append.executionId })
  t.same(await store.findExecution(append.executionId), append.insert)
  t.equal((await store.eventsAfter(append.executionId, 0, 10)).length, 1)
  const counted = await database.pool.query('SELECT FROM fresh_statistics')
  t.equal(counted.rowCount, 1)
  await t.rejects(store.startUnderKey(keyOf(), null, keyedStart()), {
    code: 'EXECUTION_KEY_LIVE',
    details: { executionId: append.executionId, executionStatus: 'pending' },
  })
  const listed = await store.listExecutions({ executionKey: 'order-1' }, 10)
  t.same(
    listed.items.map(({ id, executionKey }) => ({ id, executionKey })),
    [{ id: append.executionId, executionKey: 'order-1' }],
  )
  t.same((await store.listExecutions({ executionKey: 'order-2' }, 10)).items, [])
})

t.test('of starts that race one wins, and the others learn of its execution', async (t) => {
  const { store, database } = await createTestStore(t)
  const starts = Array.from({ length: 8 }, () => keyedStart())
  const answers = await Promise.all(
    starts.map((append) => store.startUnderKey(keyOf({ conflict: 'use_existing' }), null, append)),
  )
  t.equal(new Set(answers.map(({ executionId }) => executionId)).size, 1)
  t.equal(answers.filter(({ type }) => type === 'started').length, 1)
  t.equal(answers.filter(({ type }) => type === 'existing').length, 7)
  const rows = await database.pool.query('SELECT id FROM workflow_executions')
  t.equal(rows.rowCount, 1)
})

t.test('the same key means another execution in another workflow', async (t) => {
  const { store } = await createTestStore(t)
  await store.startUnderKey(keyOf(), null, keyedStart())
  const elsewhere = keyedStart({ workflowId: '00000000-0000-7000-8000-000000000002' })
  t.match(await store.startUnderKey(keyOf(), null, elsewhere), { type: 'started' })
})

t.test('what an ended execution allows depends on how it ended and on the reuse policy', async (t) => {
  const { store, database } = await createTestStore(t)
  const endAs = (id: string, status: ExecutionStatus) =>
    database.pool.query('UPDATE workflow_executions SET status = $2 WHERE id = $1', [id, status])
  for (const status of ['completed', 'failed', 'cancelled'] as const) {
    for (const reuse of ['allow', 'failed_only', 'reject'] as const) {
      const key = `${status} ${reuse}`
      const first = keyedStart({ executionKey: key })
      await store.startUnderKey(keyOf({ key }), null, first)
      await endAs(first.executionId, status)
      const again = store.startUnderKey(keyOf({ key, reuse }), null, keyedStart({ executionKey: key }))
      const isAllowed = reuse === 'allow' || (reuse === 'failed_only' && status !== 'completed')
      if (isAllowed) t.match(await again, { type: 'started' }, key)
      else await t.rejects(again, { code: 'EXECUTION_KEY_USED', details: { executionId: first.executionId } }, key)
    }
  }
})

t.test('a live execution that is to be cancelled first is named, and nothing is done', async (t) => {
  const { store } = await createTestStore(t)
  const [first, second] = [keyedStart(), keyedStart()]
  await store.startUnderKey(keyOf(), null, first)
  const outcome = await store.startUnderKey(keyOf({ conflict: 'cancel_existing' }), idempotency, second)
  t.same(outcome, { type: 'occupied', executionId: first.executionId, status: 'pending' })
  t.equal(await store.findExecution(second.executionId), null)
  t.equal(await store.findKey(idempotency), null, 'the idempotency key is unused')
})

t.test('an idempotency key beside it stands for what the first request got', async (t) => {
  const { store } = await createTestStore(t)
  const [first, second] = [keyedStart(), keyedStart()]
  t.match(await store.startUnderKey(keyOf(), idempotency, first), { type: 'started' })
  t.same(await store.startUnderKey(keyOf(), idempotency, second), { type: 'replayed', executionId: first.executionId })
  const other = { ...idempotency, key: 'i-2' }
  t.match(await store.startUnderKey(keyOf({ conflict: 'use_existing' }), other, second), { type: 'existing' })
  t.match(await store.findKey(other), { resourceId: first.executionId, replayed: true })
  await t.rejects(store.startUnderKey(keyOf(), { ...idempotency, key: 'i-3' }, second), { code: 'EXECUTION_KEY_LIVE' })
  t.equal(await store.findKey({ ...idempotency, key: 'i-3' }), null, 'a refusal leaves the idempotency key unused')
})

t.test('an execution that is removed frees its key, also when a release removed it that knows no keys', async (t) => {
  const { store, database } = await createTestStore(t)
  const rowsOf = async () => (await database.pool.query('SELECT FROM execution_keys')).rowCount
  const [first, second] = [keyedStart({ workflowVersion: 1 }), keyedStart()]
  await store.startUnderKey(keyOf(), null, first)
  await database.pool.query("UPDATE workflow_executions SET status = 'completed', updated_at = 1")
  t.same(await retireExecutions(database, [{ workflowId: first.insert.workflowId, before: 2 }], 10), [
    first.executionId,
  ])
  t.equal(await rowsOf(), 0)
  t.match(await store.startUnderKey(keyOf({ reuse: 'reject' }), null, second), { type: 'started' })
  await database.pool.query('DELETE FROM workflow_executions')
  t.equal(await rowsOf(), 1)
  t.match(await store.startUnderKey(keyOf({ reuse: 'reject' }), null, keyedStart()), { type: 'started' })
  t.equal(await rowsOf(), 1)
})

t.test('an ended execution learns of the live one that has its key now', async (t) => {
  const { store, database } = await createTestStore(t)
  const [first, second] = [keyedStart(), keyedStart()]
  await store.startUnderKey(keyOf(), null, first)
  t.equal(await store.findLiveUnderKey(first.insert), null, 'it has it itself')
  await database.pool.query("UPDATE workflow_executions SET status = 'failed'")
  await store.startUnderKey(keyOf(), null, second)
  t.same(await store.findLiveUnderKey(first.insert), { id: second.executionId, status: 'pending', ended: false })
  await database.pool.query("UPDATE workflow_executions SET status = 'completed'")
  t.equal(await store.findLiveUnderKey(first.insert), null)
})

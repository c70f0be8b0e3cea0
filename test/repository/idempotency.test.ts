import t from 'tap'
import { v7 } from 'uuid'
import type { Append } from '../../src/repository/append.ts'
import type { Database } from '../../src/repository/connection.ts'
import type { NewInboxItem } from '../../src/repository/inbox.ts'
import { createTestStore, executionRow, registerTestNode, startOf } from '../harness/rows.ts'

const key = { namespace: 'default', route: 'POST /api/workflows/executions', key: 'k-1', requestHash: 'h', at: 1 }

type Start = Append & Required<Pick<Append, 'insert'>>
function start(owner: string): Start {
  const row = executionRow({ owner, input: { a: '\u0000' }, tags: ['x'] })
  const delta = { workflowId: row.workflowId, version: 1, status: { from: null, to: 'running' } } as const
  return { ...startOf(row, { statistics: [delta] }), insert: row }
}

async function count(database: Database, table: string): Promise<number> {
  const { rows } = await database.pool.query(`SELECT count(*)::integer AS count FROM ${table}`)
  return rows[0].count
}

t.test('a keyed start writes row, events and statistics like any other', async (t) => {
  const { store, database } = await createTestStore(t)
  const node = await registerTestNode(store)
  const append = start(node)
  t.same(await store.startKeyed(key, append), { resourceId: append.executionId, requestId: null, replayed: false })
  t.same(await store.findExecution(append.executionId), append.insert)
  t.equal((await store.eventsAfter(append.executionId, 0, 10)).length, 1)
  t.equal(await count(database, 'fresh_statistics'), 1)
})

t.test('of keyed starts that race exactly one happens, and all learn of that one', async (t) => {
  const { store, database } = await createTestStore(t)
  const node = await registerTestNode(store)
  const answers = await Promise.all(Array.from({ length: 8 }, () => store.startKeyed(key, start(node))))
  t.equal(new Set(answers.map((answer) => answer.resourceId)).size, 1)
  t.equal(answers.filter((answer) => !answer.replayed).length, 1)
  t.equal(await count(database, 'workflow_executions'), 1)
  t.equal(await count(database, 'execution_events'), 1)
  t.equal(await count(database, 'fresh_statistics'), 1)
})

t.test('a key is refused with another request, and means another one under another route or namespace', async (t) => {
  const { store, database } = await createTestStore(t)
  const node = await registerTestNode(store)
  await store.startKeyed(key, start(node))
  await t.rejects(store.startKeyed({ ...key, requestHash: 'other' }, start(node)), { code: 'IDEMPOTENCY_KEY_REUSED' })
  await t.rejects(store.findKey({ ...key, requestHash: 'other' }), { code: 'IDEMPOTENCY_KEY_REUSED' })
  t.equal((await store.startKeyed({ ...key, route: 'POST /other' }, start(node))).replayed, false)
  t.equal((await store.startKeyed({ ...key, namespace: 'other' }, start(node))).replayed, false)
  t.equal(await count(database, 'workflow_executions'), 3)
  t.equal(await store.findKey({ ...key, key: 'unused' }), null)
})

t.test('a start that is sent again after its answer was lost finds itself and is no replay', async (t) => {
  const { store } = await createTestStore(t)
  const append = start(await registerTestNode(store))
  await store.startKeyed(key, append)
  t.same(await store.startKeyed(key, append), { resourceId: append.executionId, requestId: null, replayed: false })
})

t.test('a keyed signal is put in the inbox once; its replay tells of the first request', async (t) => {
  const { store } = await createTestStore(t)
  const { executionId, insert } = start(await registerTestNode(store))
  const item = (): NewInboxItem => ({ executionId, kind: 'signal', name: 'go', payload: [1], requestId: v7(), at: 5 })
  t.equal(await store.insertInboxKeyed(key, item()), null, 'there is no such execution yet')
  await store.startKeyed({ ...key, key: 'start' }, { ...startOf(insert), insert })
  const [first, second] = [item(), item()]
  t.same(await store.insertInboxKeyed(key, first), {
    resourceId: executionId,
    requestId: first.requestId,
    replayed: false,
  })
  t.same(await store.insertInboxKeyed(key, second), {
    resourceId: executionId,
    requestId: first.requestId,
    replayed: true,
  })
  t.match(await store.inboxOf([executionId]), [{ ...first }])
})

t.test('a keyed workflow is created once, and a name that is taken leaves the key unused', async (t) => {
  const { store } = await createTestStore(t)
  const workflow = (name: string) => {
    const definition = { name, steps: [] } as never
    return { id: v7(), namespace: 'default', name, description: null, tags: [], definition, at: 1 }
  }
  const [first, again] = [workflow('one'), workflow('one')]
  t.equal((await store.insertWorkflowKeyed(key, first)).replayed, false)
  t.same(await store.insertWorkflowKeyed(key, again), { resourceId: first.id, requestId: null, replayed: true })
  t.match(await store.findWorkflow(first.id), { name: 'one', version: 1 })
  const other = { ...key, key: 'k-2' }
  await t.rejects(store.insertWorkflowKeyed(other, workflow('one')), {
    code: 'WORKFLOW_NAME_TAKEN',
    message: new RegExp(first.id),
  })
  t.equal((await store.insertWorkflowKeyed(other, workflow('two'))).replayed, false)
})

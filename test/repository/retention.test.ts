import t, { type Test } from 'tap'
import { v7 } from 'uuid'
import type { Definition } from '../../src/definition/schema.ts'
import type { ExecutionRow } from '../../src/repository/execution-row.ts'
import { createUpkeep } from '../../src/repository/upkeep.ts'
import { appendOf, createTestStore, executionRow, registerTestNode, startOf } from '../harness/rows.ts'

const workflowId = '00000000-0000-7000-8000-000000000001'
const old = 1_700_000_000_000
const due = [{ workflowId, before: old + 1 }]
const done = { status: 'completed', completedAt: old, updatedAt: old } as const

/** Puts executions in the tables as some node's flush would, each with its first event. */
async function openTables(t: Test) {
  const { store, database } = await createTestStore(t)
  const upkeep = createUpkeep(database)
  const insert = async (...given: Partial<ExecutionRow>[]): Promise<string[]> => {
    const lane = store.openLane(await registerTestNode(store), 0)
    const rows = given.map((row) => executionRow(row))
    t.equal(
      await lane.flush(
        rows.map((row) => startOf(row)),
        false,
      ),
      'committed',
    )
    await lane.close()
    return rows.map(({ id }) => id)
  }
  const idsIn = async (table: string, column = 'execution_id'): Promise<string[]> => {
    const { rows } = await database.pool.query(`SELECT DISTINCT ${column} AS id FROM ${table} ORDER BY 1`)
    return rows.map(({ id }) => id)
  }
  return { store, database, upkeep, insert, idsIn }
}

t.test('what has ended and is due goes, whatever its end; the live and the young stay', async (t) => {
  const { upkeep, insert, idsIn } = await openTables(t)
  const gone = await insert(done, { ...done, status: 'failed' }, { ...done, status: 'cancelled' })
  const kept = await insert(
    { ...done, updatedAt: old + 1 },
    { status: 'running', wakeAt: old },
    { status: 'waiting' },
    { status: 'paused' },
    { status: 'pending', wakeAt: old },
    { ...done, owner: v7() },
    { ...done, workflowId: v7() },
  )
  t.same((await upkeep.retireExecutions(due, 100))!.toSorted(), gone.toSorted())
  t.same(await idsIn('workflow_executions', 'id'), kept.toSorted())
  t.same(await idsIn('retired_executions'), gone.toSorted())
  t.same(await upkeep.purgeRetired(100), { events: 3, isDone: true })
  t.same(await idsIn('execution_events'), kept.toSorted())
  t.same(await idsIn('retired_executions'), [])
})

t.test('what waits in an inbox keeps its execution, and what a living parent awaits stays', async (t) => {
  const { store, upkeep, insert } = await openTables(t)
  const [parent, ended, asked] = await insert({ status: 'waiting' }, { ...done, updatedAt: old + 9 }, done)
  const [, orphan, childOfEnded] = await insert(
    { ...done, parentExecutionId: parent! },
    { ...done, parentExecutionId: v7() },
    { ...done, parentExecutionId: ended! },
  )
  const item = { executionId: asked!, kind: 'retry', name: null, payload: null, requestId: v7(), at: old } as const
  t.ok(await store.insertInbox(item))
  t.same((await upkeep.retireExecutions(due, 100))!.toSorted(), [orphan!, childOfEnded!].toSorted())
})

t.test('a request that comes while an execution is being retired is refused, never lost', async (t) => {
  const { store, database, upkeep, insert } = await openTables(t)
  const [id] = await insert(done)
  const item = { executionId: id!, kind: 'signal', name: 'go', payload: 1, requestId: v7(), at: old } as const
  const request = await database.pool.connect()
  await request.query('BEGIN')
  // As insertInbox does, before its commit.
  await request.query('SELECT FROM workflow_executions WHERE id = $1 FOR KEY SHARE', [id])
  t.same(await upkeep.retireExecutions(due, 100), [], 'it is passed over')
  await request.query('COMMIT')
  request.release()

  const retiring = await database.pool.connect()
  await retiring.query('BEGIN')
  await retiring.query('SELECT FROM workflow_executions WHERE id = $1 FOR UPDATE', [id])
  const plain = store.insertInbox(item)
  const keyed = store.insertInboxKeyed({ namespace: 'default', route: 'r', key: 'k', requestHash: 'h', at: old }, item)
  await waitingFor(database, 2)
  await retiring.query('DELETE FROM workflow_executions WHERE id = $1', [id])
  await retiring.query('COMMIT')
  retiring.release()
  t.same(await Promise.all([plain, keyed]), [null, null])
  t.equal(await store.findKey({ namespace: 'default', route: 'r', key: 'k', requestHash: 'h', at: old }), null)
})

/** Until so many statements wait for a lock. */
async function waitingFor(database: Awaited<ReturnType<typeof openTables>>['database'], count: number): Promise<void> {
  for (;;) {
    const { rows } = await database.pool.query(
      "SELECT count(*)::integer AS waiting FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
    )
    if (rows[0].waiting >= count) return
  }
}

t.test('keys go with their execution, those of others stay', async (t) => {
  const { store, upkeep, database } = await openTables(t)
  const key = (name: string) => ({
    namespace: 'default',
    route: 'POST executions',
    key: name,
    requestHash: 'h',
    at: old,
  })
  const [gone, kept] = [executionRow(done), executionRow({ status: 'waiting' })]
  await store.startKeyed(key('gone'), { ...startOf(gone), insert: gone })
  await store.startKeyed(key('kept'), { ...startOf(kept), insert: kept })
  const item = { executionId: gone.id, kind: 'signal', name: 'go', payload: 1, requestId: v7(), at: old } as const
  await store.insertInboxKeyed({ ...key('signal'), route: `signal ${gone.id}` }, item)
  await database.pool.query('DELETE FROM execution_inbox')
  t.same(await upkeep.retireExecutions(due, 100), [gone.id])
  const { rows } = await database.pool.query('SELECT key FROM idempotency_keys')
  t.same(rows, [{ key: 'kept' }])
  const again = executionRow(done)
  t.match(await store.startKeyed(key('gone'), { ...startOf(again), insert: again }), { replayed: false })
})

t.test('tags go with their execution', async (t) => {
  const { upkeep, insert, idsIn } = await openTables(t)
  const tags = ['red', 'blue', 'red']
  const [, kept] = await insert({ ...done, tags }, { status: 'waiting', tags })
  t.equal((await idsIn('execution_tags')).length, 2)
  t.equal((await upkeep.retireExecutions(due, 100))!.length, 1)
  t.same(await idsIn('execution_tags'), [kept])
})

t.test('approvals go with their execution', async (t) => {
  const { store, database, upkeep, insert } = await openTables(t)
  const [gone, kept] = await insert(done, { status: 'waiting' })
  const ask = (executionId: string) =>
    database.pool.query(
      "INSERT INTO approvals (id, workflow_id, execution_id, path, status, title, requested_at) VALUES ($1, $1, $2, 'ask', 'open', 'x', 1)",
      [v7(), executionId],
    )
  for (const id of [gone!, kept!]) await ask(id)
  t.same(await upkeep.retireExecutions(due, 100), [gone])
  const { rows } = await database.pool.query('SELECT execution_id FROM approvals')
  t.same(rows, [{ execution_id: kept }])
  t.same((await store.listApprovals({ executionId: gone! }, 10)).items, [])
})

t.test('batches are bounded, and a long journal goes in as many as it takes', async (t) => {
  const { store, database, upkeep, insert, idsIn } = await openTables(t)
  const ids = await insert(...Array.from({ length: 5 }, () => done))
  const lane = store.openLane(await registerTestNode(store), 0)
  await lane.flush([appendOf(ids[0]!, 2, 20)], false)
  await lane.close()
  await database.pool.query("INSERT INTO execution_snapshots VALUES ($1, 9, 1, '{}')", [ids[0]])
  t.equal((await upkeep.retireExecutions(due, 3))!.length, 3)
  t.equal((await upkeep.retireExecutions(due, 3))!.length, 2)
  t.same(await upkeep.retireExecutions(due, 3), [])
  const batches = []
  for (let isDone = false; !isDone; ) {
    const purged = await upkeep.purgeRetired(7)
    batches.push(purged!.events)
    isDone = purged!.isDone
  }
  t.same(batches, [7, 7, 7, 3])
  t.same(await idsIn('execution_snapshots'), [])
  t.same(await idsIn('retired_executions'), [])
})

t.test('one node at a time retires and purges; the others leave it to that one', async (t) => {
  const { database, upkeep, insert } = await openTables(t)
  const ids = await insert(...Array.from({ length: 40 }, () => done))
  const other = await database.pool.connect()
  await other.query('BEGIN')
  await other.query('SELECT pg_advisory_xact_lock(4269704551)')
  t.same([await upkeep.retireExecutions(due, 3), await upkeep.purgeRetired(3)], [null, null])
  await other.query('COMMIT')
  other.release()
  const gone: string[] = []
  while (gone.length < ids.length) {
    const batches = await Promise.all([1, 2, 3].map(() => upkeep.retireExecutions(due, 4)))
    gone.push(...batches.flatMap((batch) => batch ?? []))
  }
  t.same(gone.toSorted(), ids.toSorted(), 'each once')
})

t.test('an active version says how long its workflow keeps, null for ever, or nothing', async (t) => {
  const { store, upkeep } = await openTables(t)
  const define = async (name: string, retention?: object) => {
    const steps = [{ id: 'a', type: 'action', config: { type: 'echo' } }]
    const definition = { name, steps, ...(retention && { retention }) }
    const definitionOf = definition as unknown as Definition
    const rest = { namespace: 'default', description: null, tags: [], at: old }
    await store.insertWorkflow({ id: v7(), name, ...rest, definition: definitionOf })
  }
  await define('short', { days: 0.5 })
  await define('for ever', { days: null })
  await define('silent')
  const stated = await upkeep.retentionOf(await upkeep.activeVersions())
  t.same(stated.map(({ days }) => days).toSorted(), [0.5, null, undefined].toSorted())
})

t.test(
  'compaction removes what the snapshot has, in batches, and nothing from a database that lost commits',
  async (t) => {
    const { store, upkeep, insert } = await openTables(t)
    const [executionId] = await insert({ status: 'waiting' })
    const lane = store.openLane(await registerTestNode(store), 0)
    await lane.flush([appendOf(executionId!, 2, 20)], false)
    await lane.close()
    const seen = { seq: 18, at: old + 18 }
    const compactable = { executionId: executionId!, through: 10, seen, pinned: [] }
    const none = { events: 0, last: 0 }
    t.same(await upkeep.compactEvents(compactable, 0, 100), none, 'without the snapshot')
    await store.insertSnapshot({ executionId: executionId!, seq: 10, at: old + 10, state: {}, createdAt: 1 })
    t.same(await upkeep.compactEvents({ ...compactable, seen: { seq: 21, at: old + 21 } }, 0, 100), none)
    t.same(await upkeep.compactEvents({ ...compactable, seen: { seq: 18, at: old } }, 0, 100), none)
    t.same(await upkeep.compactEvents({ ...compactable, pinned: [4] }, 0, 100), none, 'without that of a checkpoint')
    await store.insertSnapshot({ executionId: executionId!, seq: 4, at: old + 4, state: {}, createdAt: 1 })
    await store.insertSnapshot({ executionId: executionId!, seq: 7, at: old + 7, state: {}, createdAt: 1 })
    t.same(await upkeep.compactEvents({ ...compactable, pinned: [4] }, 0, 6), { events: 6, last: 6 })
    t.same(await upkeep.compactEvents(compactable, 6, 6), { events: 4, last: 10 })
    t.same(await upkeep.compactEvents(compactable, 10, 6), none)
    t.same(
      (await store.eventsAfter(executionId!, 0, 3)).map(({ seq }) => seq),
      [11, 12, 13],
    )
    await upkeep.deleteSnapshotsBefore(executionId!, 10, [4])
    const found = await Promise.all([9, 20].map((seq) => store.newestSnapshot(executionId!, seq)))
    t.same(
      found.map((snapshot) => snapshot?.seq),
      [4, 10],
      'a checkpoint keeps its own',
    )
  },
)

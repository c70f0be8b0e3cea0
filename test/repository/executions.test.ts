import t from 'tap'
import { v7 } from 'uuid'
import type { ExecutionRow } from '../../src/repository/executions.ts'
import { appendedEvent, appendOf, createTestStore, executionRow, registerTestNode, startOf } from '../harness/rows.ts'

async function createExecutions(t: import('tap').Test, given: Partial<ExecutionRow>[]) {
  const { store } = await createTestStore(t)
  const node = await registerTestNode(store)
  const lane = store.openLane(node, 0)
  t.teardown(() => lane.close())
  const rows = given.map((row) => executionRow({ owner: node, ...row }))
  await lane.flush(
    rows.map((row) => startOf(row)),
    false,
  )
  return { store, lane, rows }
}

t.test('an unknown execution is null', async (t) => {
  const { store } = await createTestStore(t)
  t.equal(await store.findExecution(v7()), null)
  t.equal(await store.findExecutionView(v7()), null)
})

t.test('a list goes through all pages, newest first, without gap or repeat, also among equal times', async (t) => {
  const { store, rows } = await createExecutions(
    t,
    Array.from({ length: 25 }, (_, index) => ({ createdAt: 1_700_000_000_000 + Math.floor(index / 7) })),
  )
  const expected = rows.toSorted((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? 1 : -1)).map((row) => row.id)
  const seen: string[] = []
  let cursor: string | undefined
  do {
    const page = await store.listExecutions({}, 4, cursor)
    t.ok(page.items.length === 4 || page.nextCursor === null)
    seen.push(...page.items.map((item) => item.id))
    cursor = page.nextCursor ?? undefined
  } while (cursor !== undefined)
  t.same(seen, expected)
  t.equal((await store.listExecutions({}, 25)).nextCursor, null, 'a last page that is full has no next')
})

t.test('a cursor that no list gave out is refused', async (t) => {
  const { store } = await createTestStore(t)
  for (const cursor of [
    '',
    'x',
    Buffer.from('[1]').toString('base64url'),
    Buffer.from('[1,"\' OR 1"]').toString('base64url'),
  ]) {
    await t.rejects(store.listExecutions({}, 10, cursor), { code: 'CURSOR_INVALID' }, cursor)
    await t.rejects(store.listWorkflows({}, 10, cursor), { code: 'CURSOR_INVALID' })
  }
})

t.test('filters are combined with "and"', async (t) => {
  const workflowId = v7()
  const wanted = {
    workflowId,
    status: 'failed',
    triggeredBy: 'ann',
    correlationId: 'c-1',
    parentExecutionId: '00000000-0000-7000-8000-00000000000a',
    tags: ['red', 'it\'s "odd"'],
    createdAt: 1_700_000_000_500,
    owner: null,
  } as const
  const { store, rows } = await createExecutions(t, [
    wanted,
    { ...wanted, workflowId: v7() },
    { ...wanted, status: 'completed' },
    { ...wanted, triggeredBy: 'bob' },
    { ...wanted, correlationId: null },
    { ...wanted, parentExecutionId: v7() },
    { ...wanted, tags: ['red'] },
    { ...wanted, createdAt: 1_700_000_000_400 },
    { ...wanted, namespace: 'other' },
  ])
  const filter = {
    workflowId,
    status: 'failed',
    triggeredBy: 'ann',
    correlationId: 'c-1',
    parentExecutionId: wanted.parentExecutionId,
    tag: 'it\'s "odd"',
    createdAfter: 1_700_000_000_400,
    createdBefore: 1_700_000_000_501,
  } as const
  const { items } = await store.listExecutions(filter, 10)
  t.same(
    items.map((item) => item.id),
    [rows[0]!.id],
  )
  t.notOk('input' in items[0]! || 'output' in items[0]!, 'payloads stay out of lists')
  const { input: _input, output: _output, ...summary } = rows[0]!
  t.same(items[0], { ...summary, percentage: 0, path: null })
  t.equal((await store.listExecutions({ tag: 'red' }, 10)).items.length, 8)
  t.equal((await store.listExecutions({ createdBefore: 1_700_000_000_500 }, 10)).items.length, 1)
})

t.test('views and lists show the newest event, while the row stays as it was', async (t) => {
  const { store, lane, rows } = await createExecutions(t, [{}])
  const { id } = rows[0]!
  const step = appendedEvent(id, 2, { path: 'fan.b', percentage: 40 })
  await lane.flush([appendOf(id, 2, 2, { events: [step] })], false)
  t.match(await store.findExecutionView(id), { lastSeq: 2, percentage: 40, path: 'fan.b', input: {} })
  t.match((await store.listExecutions({}, 1)).items[0], { lastSeq: 2, percentage: 40, path: 'fan.b' })
  t.equal((await store.findExecution(id))!.lastSeq, 1)
})

t.test('changes of a workflow are found by the time that they carry, as of the change', async (t) => {
  const workflowId = v7()
  const { store, lane, rows } = await createExecutions(t, [
    { workflowId, updatedAt: 10 },
    { workflowId, updatedAt: 20 },
    { updatedAt: 30 },
  ])
  t.same(
    (await store.executionsChangedSince([workflowId], 10, 10)).map((change) => change.id),
    [rows[0]!.id, rows[1]!.id],
  )
  const { id } = rows[0]!
  const done = { ...rows[0]!, status: 'completed', owner: null, lastSeq: 2, updatedAt: 40 } as const
  await lane.flush([appendOf(id, 2, 2, { row: done, events: [appendedEvent(id, 2, { percentage: 100 })] })], false)
  await lane.flush([appendOf(id, 3)], false)
  t.same(await store.executionsChangedSince([workflowId, v7()], 21, 10), [
    { id, workflowId, status: 'completed', lastSeq: 2, percentage: 100, updatedAt: 40 },
  ])
})

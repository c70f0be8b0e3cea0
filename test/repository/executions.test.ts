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

t.test(
  'lists of a tag, of a workflow and of a time go through all pages, and through cursors of earlier releases',
  async (t) => {
    const { store, rows } = await createExecutions(
      t,
      Array.from({ length: 30 }, (_, index) => ({
        createdAt: 1_700_000_000_000 + index,
        tags: index % 2 === 0 ? ['even', `${index}`, 'even'] : [],
      })),
    )
    const between = { createdAfter: rows[5]!.createdAt, createdBefore: rows[25]!.createdAt }
    const unknownWorkflow = v7({ msecs: 0 })
    const isEven = (_: unknown, index: number) => index % 2 === 0
    for (const [filter, expected] of [
      [{ tag: 'even' }, rows.filter(isEven)],
      [{ tag: 'odd' }, []],
      [{ workflowId: rows[0]!.workflowId }, rows],
      [{ workflowId: rows[0]!.workflowId, status: 'completed' }, []],
      [{ workflowId: rows[0]!.workflowId, ...between }, rows.slice(6, 25)],
      [{ workflowId: unknownWorkflow }, []],
      [between, rows.slice(6, 25)],
      [{ tag: 'even', ...between }, rows.filter(isEven).slice(3, 13)],
      [{ tag: 'even', status: 'running', workflowId: rows[0]!.workflowId }, rows.filter(isEven)],
    ] as const) {
      const seen: string[] = []
      let cursor: string | undefined
      do {
        const page = await store.listExecutions(filter, 4, cursor)
        seen.push(...page.items.map((item) => item.id))
        cursor = page.nextCursor ?? undefined
      } while (cursor !== undefined)
      t.same(seen, expected.map((row) => row.id).reverse())
    }
    const earlier = Buffer.from(JSON.stringify([rows[2]!.createdAt, rows[2]!.id])).toString('base64url')
    t.same(
      (await store.listExecutions({}, 10, earlier)).items.map((item) => item.id),
      [rows[1]!.id, rows[0]!.id],
    )
  },
)

t.test('a list of a time is exact where the time of an id is a minute off', async (t) => {
  const at = 1_700_000_000_000
  const made = [-60_000, -1, 0, 1, 60_000].map((off) => ({ id: v7({ msecs: at + off }), createdAt: at }))
  const { store } = await createExecutions(t, made)
  const count = async (filter: object) => (await store.listExecutions(filter, 10)).items.length
  t.equal(await count({ createdAfter: at - 1, createdBefore: at + 1 }), 5)
  t.equal(await count({ createdAfter: at }), 0)
  t.equal(await count({ createdBefore: at }), 0)
  t.equal(await count({ createdAfter: -1 }), 5, 'before 1970')
  t.equal(await count({ createdBefore: 8_640_000_000_000_000 }), 5, 'the last day that a date can name')
})

t.test('a cursor that no list gave out is refused', async (t) => {
  const { store } = await createTestStore(t)
  for (const cursor of [
    '',
    'x',
    Buffer.from('[1]').toString('base64url'),
    Buffer.from('[1,"\' OR 1"]').toString('base64url'),
    Buffer.from('[1,""]').toString('base64url'),
    Buffer.from(JSON.stringify([1, '-'.repeat(36)])).toString('base64url'),
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

t.test('changes of what has ended and what has not come in one order, at most as many as asked for', async (t) => {
  const [one, two] = [v7(), v7()]
  const { store, rows } = await createExecutions(t, [
    { workflowId: one, updatedAt: 40, status: 'failed' },
    { workflowId: two, updatedAt: 20, status: 'waiting', wakeAt: 1 },
    { workflowId: one, updatedAt: 30 },
    { workflowId: two, updatedAt: 30, status: 'cancelled' },
    { workflowId: one, updatedAt: 10, status: 'completed' },
    { workflowId: two, updatedAt: 40, status: 'paused' },
    { updatedAt: 30 },
  ])
  const changes = async (since: number, limit: number) =>
    (await store.executionsChangedSince([one, two], since, limit)).map((change) => change.id)
  const order = [4, 1, 2, 3, 0, 5].map((index) => rows[index]!.id)
  t.same(await changes(10, 10), order)
  t.same(await changes(10, 4), order.slice(0, 4))
  t.same(await changes(30, 3), order.slice(2, 5))
  t.same(await changes(41, 10), [])
})

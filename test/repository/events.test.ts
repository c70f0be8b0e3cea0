import t from 'tap'
import { v7 } from 'uuid'
import { appendedEvent, appendOf, createTestStore, executionRow, registerTestNode, startOf } from '../harness/rows.ts'

t.test('journals are read in order, in pages, within bounds', async (t) => {
  const { store } = await createTestStore(t)
  const node = await registerTestNode(store)
  const lane = store.openLane(node, 0)
  t.teardown(() => lane.close())
  const [one, two] = [executionRow({ owner: node }), executionRow({ owner: node })]
  await lane.flush([startOf(one), startOf(two)], false)
  await lane.flush([appendOf(one.id, 2, 9), appendOf(two.id, 2, 3)], false)

  const seqs = async (after: number, limit: number, through?: number) =>
    (await store.eventsAfter(one.id, after, limit, through === undefined ? {} : { through })).map((event) => event.seq)
  t.same(await seqs(0, 100), [1, 2, 3, 4, 5, 6, 7, 8, 9])
  t.same(await seqs(3, 2), [4, 5])
  t.same(await seqs(3, 100, 5), [4, 5])
  t.same(await seqs(9, 100), [])
  t.same(await store.eventsAfter(v7(), 0, 10), [])

  const tails = await store.tailMany(
    [
      { executionId: one.id, after: 7 },
      { executionId: two.id, after: 0 },
      { executionId: v7(), after: 0 },
    ],
    100,
  )
  const of = (id: string) => tails.filter((event) => event.executionId === id).map((event) => event.seq)
  t.same(
    [of(one.id), of(two.id)],
    [
      [8, 9],
      [1, 2, 3],
    ],
  )
  t.equal(
    (
      await store.tailMany(
        [
          { executionId: one.id, after: 0 },
          { executionId: two.id, after: 0 },
        ],
        4,
      )
    ).length,
    4,
  )
  t.same(await store.tailMany([], 10), [])
})

t.test('rollbacks are read without the rest of the journal', async (t) => {
  const { store } = await createTestStore(t)
  const node = await registerTestNode(store)
  const lane = store.openLane(node, 0)
  t.teardown(() => lane.close())
  const row = executionRow({ owner: node })
  const rollback = (seq: number) =>
    appendedEvent(row.id, seq, { type: 'execution.rolled_back', path: null, attempt: null })
  await lane.flush([startOf(row)], false)
  t.same(await store.rollbacksOf(row.id), [])
  await lane.flush([appendOf(row.id, 2, 2, { events: [rollback(2), appendedEvent(row.id, 3), rollback(4)] })], false)
  t.same(
    (await store.rollbacksOf(row.id)).map((event) => event.seq),
    [2, 4],
  )
})

t.test(
  'the newest snapshot at or before a seq is found, and deletion spares the one that is still needed',
  async (t) => {
    const { store } = await createTestStore(t)
    const node = await registerTestNode(store)
    const lane = store.openLane(node, 0)
    t.teardown(() => lane.close())
    const row = executionRow({ owner: node })
    const executionId = row.id
    await lane.flush([startOf(row)], false)
    await lane.flush([appendOf(executionId, 2, 30)], false)
    const at = (seq: number): number => row.createdAt + seq
    for (const seq of [10, 20, 30])
      await store.insertSnapshot({ executionId, seq, at: at(seq), state: { b: seq, a: '\u0000' }, createdAt: 1 })
    await store.insertSnapshot({ executionId, seq: 30, at: at(30), state: 'another', createdAt: 2 })
    await store.insertSnapshot({ executionId, seq: 31, at: at(31), state: 'of an event that was lost', createdAt: 2 })
    await store.insertSnapshot({ executionId, seq: 29, at: at(30), state: 'of another event 29', createdAt: 2 })
    const seqAt = async (through: number) => (await store.newestSnapshot(executionId, through))?.seq ?? null
    t.same(await store.newestSnapshot(executionId, 1000), {
      executionId,
      seq: 30,
      state: { b: 30, a: '\u0000' },
      createdAt: 1,
    })
    t.same([await seqAt(30), await seqAt(29), await seqAt(10), await seqAt(9)], [30, 20, 10, null])
    await store.deleteSnapshotsBefore(executionId, 9)
    t.equal(await seqAt(19), 10)
    await store.deleteSnapshotsBefore(executionId, 25)
    t.same([await seqAt(19), await seqAt(25), await seqAt(30)], [null, 20, 30])
  },
)

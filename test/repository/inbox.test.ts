import t from 'tap'
import { v7 } from 'uuid'
import { appendOf, createTestStore, executionRow, registerTestNode, startOf } from '../harness/rows.ts'

t.test(
  'items are taken in order by the owner that polls, and are gone with the append that answers them',
  async (t) => {
    const { store } = await createTestStore(t)
    const [node, other] = [await registerTestNode(store), await registerTestNode(store)]
    const lane = store.openLane(node, 0)
    t.teardown(() => lane.close())
    const [mine, theirs] = [executionRow({ owner: node }), executionRow({ owner: other })]
    await lane.flush([startOf(mine), startOf(theirs)], false)
    const item = (executionId: string, name: string | null, kind: 'signal' | 'pause' = 'signal') => ({
      executionId,
      kind,
      name,
      payload: { b: 1, a: ['\u0000'] },
      requestId: v7(),
      at: 7,
    })
    const sent = [item(mine.id, 'first'), item(theirs.id, 'x'), item(mine.id, null, 'pause'), item(mine.id, 'second')]
    const ids: (string | null)[] = []
    for (const one of sent) ids.push(await store.insertInbox(one))

    const polled = await store.inboxOfOwner(node, 10)
    t.same(polled, [
      { ...sent[0], id: ids[0] },
      { ...sent[2], id: ids[2] },
      { ...sent[3], id: ids[3] },
    ])
    t.equal((await store.inboxOfOwner(node, 1)).length, 1)
    t.same(await store.inboxOf([mine.id]), polled)
    t.equal((await store.inboxOf([mine.id, theirs.id])).length, 4)
    t.same(await store.inboxOf([]), [])
    t.equal(await store.countSignals(mine.id), 2)

    await lane.flush([appendOf(mine.id, 2, 3, { inboxKeys: [polled[0]!, polled[1]!] })], false)
    t.same(
      (await store.inboxOf([mine.id])).map((one) => one.id),
      [ids[3]],
    )
    t.equal(await store.countSignals(mine.id), 1)
  },
)

t.test('nothing is sent to an execution that does not exist', async (t) => {
  const { store } = await createTestStore(t)
  const item = { executionId: v7(), kind: 'cancel', name: null, payload: null, requestId: v7(), at: 7 } as const
  t.equal(await store.insertInbox(item), null)
  t.same(await store.inboxOf([item.executionId]), [])
})

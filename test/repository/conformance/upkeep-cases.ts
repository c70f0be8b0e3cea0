import { v7 } from 'uuid'
import { appendOf, registerTestNode } from '../../harness/rows.ts'
import { type Cases, future, inserted, laneOf, past, registered } from './cases.ts'

const workflowId = '00000000-0000-7000-8000-000000000001'
const due = [{ workflowId, before: past + 1 }]
const done = { status: 'completed', completedAt: past, updatedAt: past } as const

export const upkeepCases: Cases = {
  'what has ended and is due goes, and its journal follows in batches': async (t, { store, upkeep }) => {
    const gone = await inserted(t, store, done, { ...done, status: 'failed' }, { ...done, status: 'cancelled' })
    const kept = await inserted(
      t,
      store,
      { ...done, updatedAt: past + 1 },
      { status: 'running', wakeAt: past },
      { status: 'waiting' },
      { status: 'paused' },
      { ...done, owner: v7() },
      { ...done, workflowId: v7() },
    )
    t.equal((await upkeep.retireExecutions(due, 2))!.length, 2)
    t.equal((await upkeep.retireExecutions(due, 2))!.length, 1)
    t.same(await upkeep.retireExecutions(due, 2), [])
    t.same((await store.missingExecutions([...gone, ...kept])).toSorted(), gone.toSorted())
    t.equal((await store.eventsAfter(gone[0]!, 0, 10)).length, 1, 'not yet')
    t.same(await upkeep.purgeRetired(2), { events: 2, isDone: false })
    t.same(await upkeep.purgeRetired(2), { events: 1, isDone: true })
    t.same(await upkeep.purgeRetired(2), { events: 0, isDone: true })
    for (const id of gone) t.same(await store.eventsAfter(id, 0, 10), [])
    for (const id of kept) t.equal((await store.eventsAfter(id, 0, 10)).length, 1)
  },

  'what waits in an inbox, and what a living parent awaits, stays': async (t, { store, upkeep }) => {
    const [parent, ended, asked] = await inserted(
      t,
      store,
      { status: 'waiting' },
      { ...done, updatedAt: past + 9 },
      done,
    )
    const [, orphan] = await inserted(
      t,
      store,
      { ...done, parentExecutionId: parent! },
      { ...done, parentExecutionId: v7() },
      { ...done, parentExecutionId: ended! },
    )
    const item = { executionId: asked!, kind: 'signal', name: 'go', payload: 1, requestId: v7(), at: past } as const
    await store.insertInbox(item)
    const retired = await upkeep.retireExecutions(due, 10)
    t.equal(retired!.length, 2)
    t.ok(retired!.includes(orphan!))
  },

  'a key goes with its execution': async (t, { store, upkeep }) => {
    const [id] = await inserted(t, store, done)
    const key = { namespace: 'default', route: 'r', key: 'k', requestHash: 'h', at: 1 }
    const request = { executionId: id!, kind: 'signal', name: 'go', payload: 1, requestId: v7(), at: past } as const
    await store.insertInboxKeyed(key, request)
    const [item] = await store.inboxOf([id!])
    const { lane } = await registered(t, store)
    await lane.flush([appendOf(id!, 2, 2, { inboxKeys: [item!] })], false)
    t.not(await store.findKey(key), null)
    t.same(await upkeep.retireExecutions(due, 10), [id])
    t.equal(await store.findKey(key), null)
  },

  'compaction removes up to the snapshot, where the proof of it stands': async (t, { store, upkeep }) => {
    const { node, lane } = await registered(t, store)
    const [id] = await inserted(t, store, { owner: node })
    await lane.flush([appendOf(id!, 2, 9)], false)
    const events = await store.eventsAfter(id!, 0, 20)
    const snapshot = (seq: number) => {
      const { at } = events[seq - 1]!
      return store.insertSnapshot({ executionId: id!, seq, at, state: { seq }, createdAt: past })
    }
    for (const seq of [2, 3, 6]) await snapshot(seq)
    const last = events.at(-1)!
    const what = { executionId: id!, through: 6, seen: { seq: last.seq, at: last.at }, pinned: [3] }
    const nothing = { events: 0, last: 0 }
    t.same(await upkeep.compactEvents({ ...what, seen: { seq: last.seq, at: last.at + 1 } }, 0, 10), nothing)
    t.same(await upkeep.compactEvents({ ...what, through: 5 }, 0, 10), nothing, 'no snapshot there')
    t.same(await upkeep.compactEvents({ ...what, pinned: [4] }, 0, 10), nothing, 'a pinned one is missing')
    t.same(await upkeep.compactEvents(what, 0, 4), { events: 4, last: 4 })
    t.same(await upkeep.compactEvents(what, 4, 4), { events: 2, last: 6 })
    t.same(await upkeep.compactEvents(what, 6, 4), nothing)
    t.equal((await store.eventsAfter(id!, 0, 20))[0]!.seq, 7)
    await upkeep.deleteSnapshotsBefore(id!, 6, [3])
    t.equal((await store.newestSnapshot(id!, 2))?.seq ?? null, null)
    t.equal((await store.newestSnapshot(id!, 5))?.seq, 3)
    t.equal((await store.newestSnapshot(id!, 9))?.seq, 6)
  },

  'the horizon is that of the slowest node, and never goes back': async (t, { store, upkeep }) => {
    t.equal(await upkeep.settledHorizon(), Number.NEGATIVE_INFINITY)
    const before = await upkeep.databaseNow()
    const [first, second] = [await registerTestNode(store), await registerTestNode(store)]
    t.ok((await upkeep.settledHorizon()) >= before - 1, 'what came before a node is nothing that it leans on')
    await upkeep.settleNode(first, future)
    t.ok((await upkeep.settledHorizon()) < future)
    await upkeep.settleNode(second, future + 5)
    await upkeep.settleNode(first, past)
    t.equal(Math.round(await upkeep.settledHorizon()), future)
    laneOf(t, store, first)
  },

  'what an active version says of retention': async (t, { store, upkeep }) => {
    const workflow = (name: string, more: object) => {
      const definition = { name, steps: [{ id: 'a', type: 'action', config: { type: 'echo' } }], ...more }
      const id = v7()
      const stored = {
        id,
        namespace: 'default',
        name,
        description: null,
        tags: [],
        definition: definition as never,
        at: past,
      }
      return store.insertWorkflow(stored).then(() => id)
    }
    const ids = [
      await workflow('silent', {}),
      await workflow('short', { retention: { days: 1.5 } }),
      await workflow('for ever', { retention: { days: null } }),
    ]
    const versions = await upkeep.activeVersions()
    t.same(versions.map((one) => one.workflowId).toSorted(), ids.toSorted())
    const read = await upkeep.retentionOf(versions)
    t.same(
      ids.map((id) => read.find((one) => one.workflowId === id)?.days),
      [undefined, 1.5, null],
    )
    t.same(await upkeep.retentionOf([{ workflowId: v7(), version: 1 }]), [])
  },
}

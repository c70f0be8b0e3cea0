import { v7 } from 'uuid'
import { appendOf, executionRow, registerTestNode, startOf } from '../../harness/rows.ts'
import { type Cases, caught, laneOf, registered } from './cases.ts'

export const nodeCases: Cases = {
  'a lease that has run out cannot be renewed, and an id lives once': async (t, { store }) => {
    const [alive, expired] = [await registerTestNode(store), await registerTestNode(store, { leaseMs: -1 })]
    t.match(await store.heartbeat(alive, 60_000), { alive: true, databaseNow: Number })
    t.same(await store.heartbeat(expired, 60_000), { alive: false })
    t.same(await store.heartbeat(v7(), 60_000), { alive: false })
    const again = store.registerNode({ id: alive, host: 'test', lanes: 1, leaseMs: 60_000 })
    t.match(await caught(again), { code: '23505' })
  },

  'a sweep deletes the expired nodes and no others; what was swept commits nothing': async (t, { store }) => {
    const { node, lane } = await registered(t, store)
    const dead = [
      await registerTestNode(store, { leaseMs: -1, lanes: 2 }),
      await registerTestNode(store, { leaseMs: -1 }),
    ]
    const deadLane = laneOf(t, store, dead[0]!, 1)
    t.equal(await deadLane.flush([startOf(executionRow({ owner: dead[0]! }))], false), 'committed', 'not swept yet')
    t.same((await store.sweep()).toSorted(), dead.toSorted())
    t.same(await store.sweep(), [])
    const append = startOf(executionRow({ owner: node }))
    for (const id of dead) t.equal(await laneOf(t, store, id).flush([append], false), 'fenced')
    t.equal(await deadLane.flush([append], true), 'fenced')
    t.equal(await lane.flush([append], false), 'committed')
  },

  'those who were there before a time are removed, and nobody who came after': async (t, { store }) => {
    const before = await registerTestNode(store)
    const aloneAt = await store.databaseNow()
    const [after, me] = [await registerTestNode(store), await registerTestNode(store)]
    t.same(await store.removeOtherNodes(me, aloneAt), [before])
    t.same(await store.heartbeat(before, 60_000), { alive: false })
    for (const alive of [after, me]) t.match(await store.heartbeat(alive, 60_000), { alive: true })
  },

  'a sweep waits for a flush that runs, and the flush counts': async (t, { store, hold, waiting }) => {
    const dead = await registerTestNode(store, { leaseMs: -1 })
    const lane = laneOf(t, store, dead)
    const row = executionRow({ owner: dead })
    await lane.flush([startOf(row)], false)
    const release = await hold({ table: 'execution', id: row.id })
    const flush = lane.flush([appendOf(row.id, 2, 2, { row: { ...row, status: 'waiting', lastSeq: 2 } })], false)
    await waiting(1)
    let isSwept = false
    const sweep = store.sweep().finally(() => {
      isSwept = true
    })
    await waiting(2)
    t.equal(isSwept, false)
    await release()
    t.equal(await flush, 'committed')
    t.same(await sweep, [dead])
    t.match(await store.findExecution(row.id), { status: 'waiting', lastSeq: 2 })
    t.equal(await lane.flush([appendOf(row.id, 3)], false), 'fenced')
  },

  'a flush that waits for the deletion of its lane is fenced': async (t, { store, hold, waiting }) => {
    const dead = await registerTestNode(store, { leaseMs: -1 })
    const lane = laneOf(t, store, dead)
    const row = executionRow({ owner: dead })
    await lane.flush([startOf(row)], false)
    // The deletion has the node's row and waits for the lane's, and the flush stands in line behind it.
    const release = await hold({ table: 'lane', id: dead })
    const sweep = store.sweep()
    await waiting(1)
    const flush = lane.flush([appendOf(row.id, 2)], false)
    await waiting(2)
    await release()
    t.same(await sweep, [dead])
    t.equal(await flush, 'fenced')
    t.equal((await store.eventsAfter(row.id, 0, 10)).length, 1)
  },
}

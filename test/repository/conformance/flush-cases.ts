import { v7 } from 'uuid'
import { classify } from '../../../src/repository/classify.ts'
import type { LaneWriter } from '../../../src/repository/lane.ts'
import { appendOf, executionRow, registerTestNode, startOf } from '../../harness/rows.ts'
import { all, type Cases, caught, laneOf, past, registered } from './cases.ts'

const counted = (workflowId: string) => ({ workflowId, version: 1, status: { from: null, to: 'running' } }) as const

/** What a flush that failed means for its appends. */
const verdict = async (flush: ReturnType<LaneWriter['flush']>) => classify(await caught(flush))

export const flushCases: Cases = {
  'a flush commits all or nothing': async (t, { store, counted: count }) => {
    const { node, lane } = await registered(t, store)
    const good = startOf(executionRow({ owner: node }), { statistics: [counted(v7())] })
    const bad = startOf(executionRow({ status: 'pending' }))
    t.equal(await verdict(lane.flush([good, bad], false)), 'data', 'nobody would ever wake it')
    t.same(await store.eventsAfter(good.executionId, 0, 10), [])
    t.equal(await store.findExecution(good.executionId), null)
    t.equal(await count(), 0)
    t.equal(await lane.flush([good], false), 'committed')
    t.same(await store.findExecution(good.executionId), good.insert)
    t.equal((await store.eventsAfter(good.executionId, 0, 10)).length, 1)
    t.equal(await count(), 1)
  },

  'a node or lane that is not known is fenced, and so is a node that was removed': async (t, { store }) => {
    const { node, lane } = await registered(t, store)
    const append = startOf(executionRow({ owner: node }))
    t.equal(await laneOf(t, store, v7()).flush([append], false), 'fenced')
    t.equal(await laneOf(t, store, node, 1).flush([append], false), 'fenced')
    await store.removeNode(node)
    t.equal(await lane.flush([append], false), 'fenced')
    t.equal(await lane.flush([append], true), 'fenced')
    t.equal(await lane.mark(), 'fenced')
    t.equal(await store.findExecution(append.executionId), null)
  },

  'a lane is fenced by a database that has lost its last acknowledged event, unless a mark stands for it': async (
    t,
    { store, loseEvent },
  ) => {
    const { node, lane } = await registered(t, store)
    const [first, second, third] = [1, 2, 3].map(() => startOf(executionRow({ owner: node })))
    t.equal(await lane.flush([first!], false), 'committed')
    t.equal(await lane.mark(), 'committed')
    await loseEvent(first!.executionId, 1)
    t.equal(await lane.flush([second!], false), 'committed')
    await loseEvent(second!.executionId, 1)
    t.equal(await lane.flush([third!], false), 'fenced')
    t.equal(await lane.mark(), 'fenced')
    t.equal(await store.findExecution(third!.executionId), null)
  },

  'a lane is fenced by a database that has lost its mark': async (t, { store, loseMarks }) => {
    const { node, lane } = await registered(t, store)
    t.equal(await lane.mark(), 'committed')
    t.equal(await lane.mark(), 'committed')
    await loseMarks(node)
    t.equal(await lane.flush([startOf(executionRow({ owner: node }))], false), 'fenced')
    t.equal(await lane.mark(), 'fenced')
  },

  'a lane whose mark somebody else has set is fenced': async (t, { store }) => {
    const { node, lane } = await registered(t, store)
    const other = laneOf(t, store, node)
    t.equal(await other.mark(), 'committed')
    t.equal(await lane.flush([startOf(executionRow({ owner: node }))], false), 'fenced')
    t.equal(await other.flush([startOf(executionRow({ owner: node }))], false), 'committed')
  },

  'a resend of what never arrived writes it, and of what is there changes nothing': async (
    t,
    { store, counted: count },
  ) => {
    const { node, lane } = await registered(t, store)
    const row = executionRow({ owner: node })
    t.equal(await lane.flush([startOf(row)], true), 'committed')
    await store.insertInbox({ executionId: row.id, kind: 'pause', name: null, payload: null, requestId: v7(), at: 1 })
    const [item] = await store.inboxOf([row.id])
    const given = { ...row, status: 'paused', owner: null, wakeAt: past, lastSeq: 2 } as const
    const flush = [
      appendOf(row.id, 2, 2, { row: given, inboxKeys: [item!], statistics: [counted(row.workflowId)] }),
      startOf(executionRow({ owner: node })),
    ]
    t.equal(await lane.flush(flush, false), 'committed')
    const other = await registerTestNode(store)
    t.same(await store.claim(other, all), [{ executionId: row.id, from: null }])
    t.equal(await laneOf(t, store, node).flush(flush, true), 'committed')
    t.equal((await store.findExecution(row.id))!.owner, other, 'it is the next owner that has it')
    t.equal((await store.eventsAfter(row.id, 0, 10)).length, 2)
    t.same(await store.inboxOf([row.id]), [])
    t.equal(await count(), 1)
  },

  'a resend that stands in part fails as data, and writes nothing': async (t, { store }) => {
    const { node, lane } = await registered(t, store)
    const [one, two] = [startOf(executionRow({ owner: node })), startOf(executionRow({ owner: node }))]
    await lane.flush([one], false)
    const error = await caught(lane.flush([one, two], true))
    t.match(error, { code: '22P02' })
    t.equal(classify(error), 'data')
    t.equal(await store.findExecution(two.executionId), null)
    t.equal(await lane.flush([one], true), 'committed')
    t.equal(await lane.flush([two], true), 'committed')
    t.same(await store.findExecution(two.executionId), two.insert)
  },

  'a first send onto events that are there alarms, and writes nothing': async (t, { store }) => {
    const { node, lane } = await registered(t, store)
    const row = executionRow({ owner: node })
    await lane.flush([startOf(row)], false)
    const other = startOf(executionRow({ owner: node }))
    const error = await caught(lane.flush([appendOf(row.id, 1, 2), other], false))
    t.match(error, { code: '23505', constraint: 'execution_events_pkey' })
    t.equal(classify(error), 'alarm')
    t.equal((await store.eventsAfter(row.id, 0, 10)).length, 1)
    t.equal(await store.findExecution(other.executionId), null)
  },

  'the first append since a claim stands on the claim and on what was read': async (t, { store }) => {
    const { lane } = await registered(t, store)
    const { node: other, lane: others } = await registered(t, store)
    const row = executionRow({ owner: null, wakeAt: past })
    const start = startOf(row)
    await lane.flush([start], false)
    const basis = { seq: 1, at: start.events[0]!.at }
    const next = (given = basis) => [appendOf(row.id, given.seq + 1, given.seq + 1, { basis: given })]
    t.equal(await lane.flush(next(), false), 'fenced', 'nobody has it')
    await store.claim(other, all)
    t.equal(await lane.flush(next(), false), 'fenced', 'another node has it')
    t.equal(await others.flush(next({ ...basis, at: basis.at + 1 }), false), 'fenced', 'another event was read')
    t.equal(await others.flush(next({ ...basis, seq: 2 }), false), 'fenced', 'what was read is not there')
    t.equal((await store.eventsAfter(row.id, 0, 10)).length, 1)
    const given = [{ ...next()[0]!, row: { ...row, status: 'paused', owner: null, lastSeq: 2 } }] as const
    t.equal(await others.flush(given, false), 'committed')
    t.equal(await laneOf(t, store, other).flush(given, true), 'committed', 'it gave the execution away itself')
  },

  'a flush that commits after its connection broke is found by its resend': async (t, side) => {
    const { store } = side
    const { node, lane } = await registered(t, store)
    const row = executionRow({ owner: node })
    await lane.flush([startOf(row)], false)
    const flush = [appendOf(row.id, 2, 2, { row: { ...row, status: 'paused', owner: null, wakeAt: past, lastSeq: 2 } })]
    const late = await side.cutOff({ table: 'execution', id: row.id }, (severed) =>
      laneOf(t, severed, node).flush(flush, false),
    )
    t.equal(classify(late.error), 'retry')
    t.equal((await store.eventsAfter(row.id, 0, 10)).length, 1)
    t.equal((await store.findExecution(row.id))!.status, 'running')
    await late.commit()
    t.equal((await store.eventsAfter(row.id, 0, 10)).length, 2)
    const other = await registerTestNode(store)
    await store.claim(other, all)
    t.equal(await lane.flush(flush, true), 'committed')
    t.match(await store.findExecution(row.id), { status: 'paused', owner: other })
  },
}

import { v7 } from 'uuid'
import { classify } from '../../../src/repository/classify.ts'
import type { NewInboxItem } from '../../../src/repository/inbox.ts'
import { appendOf, executionRow, registerTestNode, startOf } from '../../harness/rows.ts'
import { all, type Cases, caught, inserted, laneOf, past, registered } from './cases.ts'

const itemFor = (executionId: string, given: Partial<NewInboxItem> = {}): NewInboxItem => ({
  executionId,
  kind: 'signal',
  name: 'news, "quoted"',
  payload: { text: 'a\nb', none: null },
  requestId: v7(),
  at: past,
  ...given,
})

const counted = (workflowId: string) => ({ workflowId, version: 1, status: { from: null, to: 'pending' } }) as const

/** A start that waits for a node. */
const scheduledStart = (id = v7()) => {
  const row = executionRow({ id, status: 'pending', owner: null, wakeAt: past })
  return startOf(row, { statistics: [counted(row.workflowId)] })
}

/** What an execution's append does to others. */
export const sendCases: Cases = {
  'a start comes with the append that brings it, or not at all': async (t, { store, counted: count }) => {
    const { node, lane } = await registered(t, store)
    const parent = startOf(executionRow({ owner: node }))
    const [child, other] = [scheduledStart(), scheduledStart()]
    t.equal(await lane.flush([{ ...parent, also: [child, other] }], false), 'committed')
    t.same(await store.findExecution(child.executionId), child.insert)
    t.equal((await store.eventsAfter(other.executionId, 0, 10)).length, 1)
    t.equal(await count(), 1, 'their statistics are one row of the flush')
    const claimed = await store.claim(await registerTestNode(store), all)
    t.same(claimed.map(({ executionId }) => executionId).sort(), [child.executionId, other.executionId].sort())

    const bad = startOf(executionRow({ status: 'pending' }))
    const next = appendOf(parent.executionId, 2)
    t.equal(classify(await caught(lane.flush([{ ...next, also: [scheduledStart(), bad] }], false))), 'data')
    t.equal((await store.eventsAfter(parent.executionId, 0, 10)).length, 1)
    t.equal(await store.findExecution(bad.executionId), null)
  },

  'what an append sends is in the inboxes of executions that have not ended, in its order': async (t, { store }) => {
    const { node, lane } = await registered(t, store)
    const statuses = ['pending', 'running', 'waiting', 'paused', 'completed', 'failed', 'cancelled'] as const
    const receivers = await inserted(t, store, ...statuses.map((status) => ({ status, wakeAt: past })))
    const sent = [...receivers, v7(), ...receivers].map((id) => itemFor(id))
    const sender = startOf(executionRow({ owner: node }), { sends: sent })
    t.equal(await lane.flush([sender], false), 'committed')
    const live = receivers.slice(0, 4)
    const found = await store.inboxOf([...new Set(sent.map(({ executionId }) => executionId))])
    t.same(
      found.map(({ id: _, ...item }) => item),
      sent.filter(({ executionId }) => live.includes(executionId)),
    )
  },

  'receivers are the live executions that an address means, with the signals in their inboxes': async (
    t,
    { store },
  ) => {
    const given = ['pending', 'running', 'waiting', 'paused', 'completed', 'failed', 'cancelled'] as const
    const rows = given.map((status) => ({ status, wakeAt: past, correlationId: 'c-1' }))
    const ids = await inserted(t, store, ...rows, { status: 'paused', correlationId: 'c-2' })
    const [first, second, third, fourth] = ids as [string, string, string, string]
    const other = ids.at(-1)!
    await store.insertInbox(itemFor(second))
    await store.insertInbox(itemFor(second, { kind: 'pause', name: null }))
    const live = [first, second, third, fourth].sort().map((id) => ({ id, signals: id === second ? 1 : 0 }))
    const self = v7()
    t.same(await store.receivers('default', { correlationId: 'c-1', except: self }, 10), live)
    t.same(await store.receivers('default', { correlationId: 'c-1', except: self }, 2), live.slice(0, 2))
    t.same(
      await store.receivers('default', { correlationId: 'c-1', except: first }, 10),
      live.filter(({ id }) => id !== first),
    )
    t.same(
      await store.receivers('default', { executionIds: [...ids, v7()] }, 10),
      [...live, { id: other, signals: 0 }].sort((a, b) => (a.id < b.id ? -1 : 1)),
    )
    t.same(await store.receivers('default', { executionIds: [] }, 10), [])
    t.same(await store.receivers('elsewhere', { executionIds: ids }, 10), [])
    t.same(await store.receivers('default', { correlationId: 'c-1', workflow: 'nobody', except: self }, 10), [])
    t.same(await store.receivers('default', { correlationId: 'c-1', executionKey: 'nobody', except: self }, 10), [])
  },

  'an append sends to what it starts, and to who changes in the same flush': async (t, { store }) => {
    const { node, lane } = await registered(t, store)
    const parent = executionRow({ owner: node })
    await lane.flush([startOf(parent)], false)
    const child = scheduledStart()
    const cancel = itemFor(child.executionId, { kind: 'cancel', name: null })
    const parked = { ...parent, status: 'waiting', owner: null, lastSeq: 2 } as const
    const news = itemFor(parent.id)
    const flush = [
      appendOf(parent.id, 2, 2, { row: parked, also: [child], sends: [cancel] }),
      startOf(executionRow({ owner: node }), { sends: [news] }),
    ]
    t.equal(await lane.flush(flush, false), 'committed')
    t.match(await store.inboxOf([child.executionId]), [{ kind: 'cancel', requestId: cancel.requestId }])
    t.match(await store.inboxOf([parent.id]), [{ requestId: news.requestId }], 'who parks meanwhile hears of it')
    const claimed = await store.claim(node, all)
    t.ok(
      claimed.some(({ executionId }) => executionId === parent.id),
      'and is claimed for it',
    )
  },

  'what starts and sends is there once, however often it is sent': async (t, { store, counted: count }) => {
    const { node, lane } = await registered(t, store)
    const [receiver] = await inserted(t, store, { status: 'paused' })
    const child = scheduledStart()
    const flush = [startOf(executionRow({ owner: node }), { also: [child], sends: [itemFor(receiver!)] })]
    t.equal(await lane.flush(flush, true), 'committed', 'a resend of what never arrived')
    const [item] = await store.inboxOf([receiver!])
    const other = await registerTestNode(store)
    await store.claim(other, all)
    const taken = appendOf(receiver!, 2, 2, { inboxKeys: [item!] })
    t.equal(await laneOf(t, store, other).flush([taken], false), 'committed')
    t.equal(await laneOf(t, store, node).flush(flush, true), 'committed', 'and one of what has been taken')
    t.same(await store.inboxOf([receiver!]), [])
    t.equal((await store.findExecution(child.executionId))!.owner, other)
    t.equal(await count(), 1)
    const two = [...flush, startOf(executionRow({ owner: node }), { sends: [itemFor(receiver!)] })]
    t.match(await caught(laneOf(t, store, node).flush(two, true)), { code: '22P02' })
    t.same(await store.inboxOf([receiver!]), [])
  },

  'a resend stands though what it started was run and compacted away': async (t, side) => {
    const { store } = side
    const { node, lane } = await registered(t, store)
    const [gone, kept] = [scheduledStart(), scheduledStart()]
    const parent = startOf(executionRow({ owner: node }), { also: [gone, kept] })
    const other = startOf(executionRow({ owner: node }))
    t.equal(await lane.flush([parent], false), 'committed')
    await side.loseEvent(gone.executionId, 1)
    t.equal(await laneOf(t, store, node).flush([parent], true), 'committed')
    t.same(await store.eventsAfter(gone.executionId, 0, 10), [], 'nothing is written again')
    t.equal((await store.eventsAfter(kept.executionId, 0, 10)).length, 1)
    t.match(await caught(laneOf(t, store, node).flush([parent, other], true)), { code: '22P02' })
    t.equal(await laneOf(t, store, node).flush([other], true), 'committed')
    t.equal(await laneOf(t, store, node).flush([parent, other], true), 'committed')
  },

  'a fenced flush starts and sends nothing': async (t, { store }) => {
    const { node, lane } = await registered(t, store)
    const [receiver] = await inserted(t, store, { status: 'paused' })
    await store.removeNode(node)
    const child = scheduledStart()
    const flush = [startOf(executionRow({ owner: node }), { also: [child], sends: [itemFor(receiver!)] })]
    t.equal(await lane.flush(flush, false), 'fenced')
    t.same(await store.inboxOf([receiver!]), [])
    t.equal(await store.findExecution(child.executionId), null)
  },

  'a flush that commits late has started and sent once': async (t, side) => {
    const { store } = side
    const { node, lane } = await registered(t, store)
    const row = executionRow({ owner: node })
    await lane.flush([startOf(row)], false)
    const [receiver] = await inserted(t, store, { status: 'paused' })
    const child = scheduledStart()
    const given = { ...row, status: 'waiting', owner: null, lastSeq: 2 } as const
    const flush = [appendOf(row.id, 2, 2, { row: given, also: [child], sends: [itemFor(receiver!)] })]
    const late = await side.cutOff({ table: 'execution', id: row.id }, (severed) =>
      laneOf(t, severed, node).flush(flush, false),
    )
    t.equal(classify(late.error), 'retry')
    t.same(await store.inboxOf([receiver!]), [])
    await late.commit()
    t.equal(await lane.flush(flush, true), 'committed')
    t.equal((await store.inboxOf([receiver!])).length, 1)
    t.same(await store.findExecution(child.executionId), child.insert)
  },
}

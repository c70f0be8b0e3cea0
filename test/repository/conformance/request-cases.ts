import { v7 } from 'uuid'
import type { NewInboxItem } from '../../../src/repository/inbox.ts'
import { appendOf, executionRow, registerTestNode, startOf } from '../../harness/rows.ts'
import { type Cases, inserted, registered } from './cases.ts'

const key = { namespace: 'default', route: 'POST /api/workflows/executions', key: 'k-1', requestHash: 'h', at: 1 }

const signal = (executionId: string, name = 'go'): NewInboxItem => ({
  ...{ executionId, kind: 'signal', name, payload: { b: 1, a: ['\u0000'] }, requestId: v7(), at: 7 },
})

function start(owner: string) {
  const row = executionRow({ owner, input: { a: '\u0000' }, tags: ['x'] })
  const delta = { workflowId: row.workflowId, version: 1, status: { from: null, to: 'running' } } as const
  return { ...startOf(row, { statistics: [delta] }), insert: row }
}

export const requestCases: Cases = {
  'inbox items are read in order by their owner, and go with the append that answers them': async (t, { store }) => {
    const { node, lane } = await registered(t, store)
    const [mine] = await inserted(t, store, { owner: node })
    const [theirs] = await inserted(t, store, { owner: await registerTestNode(store) })
    const sent = [signal(mine!, 'first'), signal(theirs!), { ...signal(mine!), kind: 'pause' as const }, signal(mine!)]
    const ids: string[] = []
    for (const item of sent) ids.push((await store.insertInbox(item))!)
    const polled = await store.inboxOfOwner(node, 10)
    t.same(
      polled,
      [0, 2, 3].map((index) => ({ ...sent[index], id: ids[index] })),
    )
    t.same(await store.inboxOfOwner(node, 1), polled.slice(0, 1))
    t.same(await store.inboxOf([mine!]), polled)
    t.equal((await store.inboxOf([mine!, theirs!])).length, 4)
    t.same(await store.inboxOf([]), [])
    t.equal(await store.countSignals(mine!), 2)
    const stranger = { ...polled[2]!, requestId: v7() }
    const inboxKeys = [polled[0]!, polled[1]!, stranger]
    t.equal(await lane.flush([appendOf(mine!, 2, 3, { inboxKeys })], false), 'committed')
    t.same(await store.inboxOf([mine!]), [polled[2]], "another request's row stays")
    t.equal(await store.countSignals(mine!), 1)
  },

  'nothing is sent to an execution that does not exist': async (t, { store }) => {
    const item = signal(v7())
    t.equal(await store.insertInbox(item), null)
    t.equal(await store.insertInboxKeyed(key, item), null)
    t.equal(await store.findKey(key), null)
    t.same(await store.inboxOf([item.executionId]), [])
  },

  'a keyed start happens once, and its replay learns of the first': async (t, { store, counted }) => {
    const node = await registerTestNode(store)
    const [first, second] = [start(node), start(node)]
    const made = { resourceId: first.executionId, requestId: null }
    t.same(await store.startKeyed(key, first), { ...made, replayed: false })
    t.same(await store.startKeyed(key, second), { ...made, replayed: true })
    t.same(await store.startKeyed(key, first), { ...made, replayed: false }, 'it was sent again itself')
    t.same(await store.findKey(key), { ...made, replayed: true })
    t.same(await store.findExecution(first.executionId), first.insert)
    t.equal(await store.findExecution(second.executionId), null)
    t.equal((await store.eventsAfter(first.executionId, 0, 10)).length, 1)
    t.equal(await counted(), 1)
  },

  'of keyed starts that race one happens': async (t, { store, counted }) => {
    const node = await registerTestNode(store)
    const starts = Array.from({ length: 4 }, () => start(node))
    const answers = await Promise.all(starts.map((one) => store.startKeyed(key, one)))
    t.equal(new Set(answers.map(({ resourceId }) => resourceId)).size, 1)
    t.equal(answers.filter(({ replayed }) => !replayed).length, 1)
    const found = await Promise.all(starts.map(({ executionId }) => store.findExecution(executionId)))
    t.equal(found.filter((row) => row !== null).length, 1)
    t.equal(await counted(), 1)
  },

  'a key is refused with another request, and means another one elsewhere': async (t, { store }) => {
    const node = await registerTestNode(store)
    const first = start(node)
    await store.startKeyed(key, first)
    const reused = { code: 'IDEMPOTENCY_KEY_REUSED' }
    await t.rejects(store.startKeyed({ ...key, requestHash: 'other' }, start(node)), reused)
    await t.rejects(store.insertInboxKeyed({ ...key, requestHash: 'other' }, signal(first.executionId)), reused)
    await t.rejects(store.findKey({ ...key, requestHash: 'other' }), reused)
    t.equal((await store.startKeyed({ ...key, route: 'POST /other' }, start(node))).replayed, false)
    t.equal((await store.startKeyed({ ...key, namespace: 'other' }, start(node))).replayed, false)
    t.same(await store.inboxOf([first.executionId]), [])
  },

  'a keyed item is put in the inbox once, and its replay tells of the first request': async (t, { store }) => {
    const [id] = await inserted(t, store, { owner: await registerTestNode(store) })
    const [first, second] = [signal(id!), signal(id!)]
    const made = { resourceId: id, requestId: first.requestId }
    t.same(await store.insertInboxKeyed(key, first), { ...made, replayed: false })
    t.same(await store.insertInboxKeyed(key, second), { ...made, replayed: true })
    t.same(await store.insertInboxKeyed(key, first), { ...made, replayed: false }, 'it was sent again itself')
    const items = await store.inboxOf([id!])
    t.same(items, [{ ...first, id: items[0]!.id }])
  },

  'a keyed workflow is created once, and a name that is taken leaves the key unused': async (t, { store }) => {
    const workflow = (name: string) => {
      const definition = { name, steps: [] } as never
      return { id: v7(), namespace: 'default', name, description: null, tags: [], definition, at: 1 }
    }
    const [first, again] = [workflow('one'), workflow('one')]
    const made = { resourceId: first.id, requestId: null }
    t.same(await store.insertWorkflowKeyed(key, first), { ...made, replayed: false })
    t.same(await store.insertWorkflowKeyed(key, again), { ...made, replayed: true })
    t.match(await store.findWorkflow(first.id), { name: 'one', version: 1 })
    t.equal(await store.findWorkflow(again.id), null)
    const other = { ...key, key: 'k-2' }
    await t.rejects(store.insertWorkflowKeyed(other, workflow('one')), { code: 'WORKFLOW_NAME_TAKEN' })
    t.equal(await store.findKey(other), null)
    t.equal((await store.insertWorkflowKeyed(other, workflow('two'))).replayed, false)
  },
}

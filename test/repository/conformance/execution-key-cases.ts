import { v7 } from 'uuid'
import { idempotency, keyedStart, keyOf } from '../../harness/keyed-starts.ts'
import { type Cases, caught } from './cases.ts'

export const executionKeyCases: Cases = {
  'a start under a key that nobody has is stored with it, and the key is live': async (t, { store, counted }) => {
    const append = keyedStart()
    t.same(await store.startUnderKey(keyOf(), null, append), { type: 'started', executionId: append.executionId })
    t.same(await store.findExecution(append.executionId), append.insert)
    t.equal((await store.eventsAfter(append.executionId, 0, 10)).length, 1)
    t.equal(await counted(), 1)
    t.match(await caught(store.startUnderKey(keyOf(), null, keyedStart())), {
      code: 'EXECUTION_KEY_LIVE',
      details: { executionId: append.executionId, executionStatus: 'pending' },
    })
    const occupied = { type: 'occupied', executionId: append.executionId, status: 'pending' }
    t.same(await store.startUnderKey(keyOf({ conflict: 'cancel_existing' }), idempotency, keyedStart()), occupied)
    t.equal(await store.findKey(idempotency), null, 'nothing was done')
    const elsewhere = keyedStart({ workflowId: v7() })
    t.match(await store.startUnderKey(keyOf(), null, elsewhere), { type: 'started' }, 'a key belongs to its workflow')
    t.equal(await store.findLiveUnderKey(append.insert), null)
    t.match(await store.findLiveUnderKey({ ...append.insert, id: v7() }), { id: append.executionId, status: 'pending' })
  },

  'of starts that race one wins, and the others learn of its execution': async (t, { store }) => {
    const key = keyOf({ conflict: 'use_existing' })
    const answers = await Promise.all([1, 2, 3, 4].map(() => store.startUnderKey(key, null, keyedStart())))
    t.equal(new Set(answers.map(({ executionId }) => executionId)).size, 1)
    t.equal(answers.filter(({ type }) => type === 'started').length, 1)
    t.equal(answers.filter(({ type }) => type === 'existing').length, 3)
  },

  'what an ended execution allows depends on how it ended': async (t, { store }) => {
    for (const status of ['completed', 'failed', 'cancelled'] as const) {
      for (const reuse of ['allow', 'failed_only', 'reject'] as const) {
        const key = { ...keyOf({ reuse }), key: `${status} ${reuse}` }
        const first = keyedStart({ executionKey: key.key, status, wakeAt: null })
        await store.startUnderKey(key, null, first)
        const again = store.startUnderKey(key, null, keyedStart({ executionKey: key.key }))
        const isAllowed = reuse === 'allow' || (reuse === 'failed_only' && status !== 'completed')
        if (isAllowed) t.match(await again, { type: 'started' }, key.key)
        else t.match(await caught(again), { code: 'EXECUTION_KEY_USED', details: { executionId: first.executionId } })
      }
    }
  },

  'an idempotency key goes before, and stands for what the first request was answered with': async (t, { store }) => {
    const holder = keyedStart()
    await store.startUnderKey(keyOf(), null, holder)
    const key = keyOf({ conflict: 'use_existing' })
    const existing = { type: 'existing', executionId: holder.executionId }
    t.same(await store.startUnderKey(key, idempotency, keyedStart()), existing)
    t.same(await store.startUnderKey(key, idempotency, keyedStart()), { ...existing, type: 'replayed' })
    const other = { ...idempotency, requestHash: 'other' }
    t.match(await caught(store.startUnderKey(key, other, keyedStart())), { code: 'IDEMPOTENCY_KEY_REUSED' })
    const unused = { ...idempotency, key: 'i-2' }
    t.match(await caught(store.startUnderKey(keyOf(), unused, keyedStart())), { code: 'EXECUTION_KEY_LIVE' })
    t.equal(await store.findKey(unused), null, 'a refusal leaves it unused')
  },
}

import type { Test } from 'tap'
import type { Append } from '../../../src/repository/append.ts'
import type { SlotAsk, SlotRelease } from '../../../src/repository/concurrency-slots.ts'
import { idempotency, keyedStart, keyOf } from '../../harness/keyed-starts.ts'
import { appendOf, executionRow, startOf } from '../../harness/rows.ts'
import type { ModelStore } from '../../simulation/model/store.ts'
import { all, type Cases, caught, laneOf, past, registered } from './cases.ts'

const line = { namespace: 'default', scope: 'shared:it\'s "quoted"\\', key: 'a,{b}\n"c"' }

const askOf = (executionId: string, given: Partial<SlotAsk> = {}): SlotAsk => ({
  ...line,
  ...{ executionId, path: 'fan.b', ticket: 1, limit: 1, onLimit: 'queue', turn: past, at: past },
  ...given,
})

const releaseOf = (executionId: string, given: Partial<SlotRelease> = {}): SlotRelease => ({
  ...line,
  ...{ executionId, path: 'fan.b', ticket: 1, at: past },
  ...given,
})

/** One execution after another asks; all that asked are settled then. Answers their ids. */
async function asked(t: Test, store: ModelStore, ...given: Partial<SlotAsk>[]): Promise<string[]> {
  const { node, lane } = await registered(t, store)
  const ids: string[] = []
  for (const ask of given) {
    const row = executionRow({ owner: node })
    t.equal(await lane.flush([startOf(row, { asks: [askOf(row.id, ask)], releases: [] })], false), 'committed')
    ids.push(row.id)
  }
  return ids
}

async function released(t: Test, store: ModelStore, ...ids: string[]): Promise<void> {
  const { lane } = await registered(t, store)
  const appends = ids.map((id): Append => appendOf(id, 2, 2, { asks: [], releases: [releaseOf(id)] }))
  t.equal(await lane.flush(appends, false), 'committed')
}

const none = { granted: [], refused: [], cancelled: [] }

/** What becomes of slots, which flushes ask for and give back. */
export const slotCases: Cases = {
  'as many hold a key as its limit says, and the next is who came first': async (t, { store }) => {
    const [first, second, third, fourth] = await asked(t, store, { limit: 2 }, { limit: 2 }, { limit: 2 }, { limit: 2 })
    t.same(await store.settleSlots([line]), { ...none, granted: [first, second] })
    t.match(await store.inboxOf([first!]), [{ kind: 'slot', payload: { path: 'fan.b', ticket: 1 } }])
    t.same(await store.settleSlots([line]), none, 'it is settled')
    t.same(await store.inboxOf([third!]), [])
    await released(t, store, second!)
    t.same(await store.settleSlots([line]), { ...none, granted: [third] })
    await released(t, store, first!, fourth!)
    t.same(await store.settleSlots([line]), none, 'who waits no longer is not given it')
    const [fifth] = await asked(t, store, { limit: 2 })
    t.same(await store.settleSlots([line]), { ...none, granted: [fifth] })
  },

  'a key, a scope and a namespace have lines of their own': async (t, { store }) => {
    const others = [{ key: 'other' }, { scope: 'shared:other' }, { namespace: 'other' }]
    const ids = await asked(t, store, {}, ...others)
    const { granted } = await store.settleSlots([line, line, ...others.map((other) => ({ ...line, ...other }))])
    t.same(granted.toSorted(), ids.toSorted())
  },

  'who is more urgent goes first, and age counts': async (t, { store }) => {
    const [holder, old, urgent, young] = await asked(t, store, {}, { turn: past - 5 }, { turn: past - 9 }, {})
    t.same((await store.settleSlots([line])).granted, [urgent])
    for (const [gone, next] of [
      [urgent, old],
      [old, holder],
      [holder, young],
    ]) {
      await released(t, store, gone!)
      t.same((await store.settleSlots([line])).granted, [next])
    }
  },

  'the limit of who asked last counts for all': async (t, { store }) => {
    const [first, second] = await asked(t, store, {}, {})
    t.same((await store.settleSlots([line])).granted, [first])
    const [third] = await asked(t, store, { limit: 3 })
    t.same((await store.settleSlots([line])).granted, [second, third])
  },

  'who may not wait is told who holds the key, and stands in no line': async (t, { store }) => {
    const [holder] = await asked(t, store, {})
    await store.settleSlots([line])
    const [rejected, cancelled, patient] = await asked(t, store, { onLimit: 'reject' }, { onLimit: 'cancel_new' }, {})
    const { granted, refused } = await store.settleSlots([line])
    t.same([granted, refused.toSorted()], [[], [rejected!, cancelled!].toSorted()])
    const holders = [holder]
    t.match(await store.inboxOf([rejected!]), [{ kind: 'slot', payload: { ticket: 1, outcome: 'fail', holders } }])
    t.match(await store.inboxOf([cancelled!]), [{ kind: 'slot', payload: { ticket: 1, outcome: 'cancel', holders } }])
    await released(t, store, holder!)
    t.same((await store.settleSlots([line])).granted, [patient])
    await released(t, store, patient!)
    const [alone] = await asked(t, store, { onLimit: 'reject' })
    t.same(await store.settleSlots([line]), { ...none, granted: [alone] }, 'a free slot is nobody refused')
  },

  'who takes a place has as many cancelled as stand in the way, once': async (t, { store }) => {
    const [oldest, other] = await asked(t, store, { limit: 2 }, { limit: 2 })
    await store.settleSlots([line])
    const [waits, taker] = await asked(t, store, { limit: 2 }, { limit: 2, onLimit: 'cancel_running' })
    const { granted, refused, cancelled } = await store.settleSlots([line])
    t.same([granted, refused, cancelled.toSorted()], [[], [], [oldest!, other!].toSorted()])
    for (const id of [oldest!, other!])
      t.match((await store.inboxOf([id])).at(-1), {
        kind: 'cancel',
        payload: { reason: `execution ${taker} takes its slot` },
      })
    t.same((await store.inboxOf([waits!])).length, 0)
    t.same(await store.settleSlots([line]), none, 'nobody is cancelled twice')
    await released(t, store, oldest!, other!)
    t.same((await store.settleSlots([line])).granted, [waits, taker])
  },

  'a start has its slot at once, or is refused and writes nothing': async (t, { store }) => {
    const start = () => keyedStart({ executionKey: null })
    const ask = (executionId: string) => askOf(executionId, { path: '', ticket: 2, limit: 2, onLimit: 'reject' })
    const first = start()
    const started = { type: 'started', executionId: first.executionId }
    t.same(await store.startUnderKey(null, null, first, ask(first.executionId)), started)
    const [waits] = await asked(t, store, { limit: 2 })
    const refused = start()
    const once = store.startUnderKey(null, idempotency, refused, ask(refused.executionId))
    const details = { scope: line.scope, key: line.key, limit: 2, holders: [first.executionId, waits!] }
    t.match(await caught(once), { code: 'CONCURRENCY_LIMIT', details }, 'who waits goes before it')
    t.equal(await store.findExecution(refused.executionId), null)
    t.equal(await store.findKey(idempotency), null)
    t.same((await store.settleSlots([line])).granted, [waits])
    t.match(await caught(store.startUnderKey(keyOf(), null, refused, ask(refused.executionId))), { details })
    await released(t, store, waits!)
    const again = { type: 'started', executionId: refused.executionId }
    t.same(await store.startUnderKey(keyOf(), idempotency, refused, ask(refused.executionId)), again)
    t.match(await store.startUnderKey(keyOf(), idempotency, start(), ask(refused.executionId)), { type: 'replayed' })
    t.same(await store.settleSlots([line]), none, 'both are held')
    const successor = start()
    const taking = keyOf({ conflict: 'cancel_existing' })
    const occupied = { type: 'occupied', executionId: refused.executionId, status: 'pending' }
    t.same(await store.startUnderKey(taking, null, successor, ask(successor.executionId)), occupied)
    const narrow = { ...ask(successor.executionId), limit: 1 }
    const limited = {
      code: 'CONCURRENCY_LIMIT',
      details: { limit: 1, holders: [first.executionId, refused.executionId] },
    }
    t.match(await caught(store.startUnderKey(taking, null, successor, narrow)), limited, 'nobody is cancelled in vain')
    const racing = Array.from({ length: 4 }, start)
    const { lane } = await registered(t, store)
    await lane.flush(
      [appendOf(first.executionId, 2, 2, { asks: [], releases: [releaseOf(first.executionId, { ticket: null })] })],
      false,
    )
    const answers = await Promise.allSettled(
      racing.map((append) => store.startUnderKey(null, null, append, ask(append.executionId))),
    )
    t.equal(answers.filter(({ status }) => status === 'fulfilled').length, 1)
  },

  'a slot is asked for with its event, once, or not at all': async (t, { store }) => {
    const { node, lane } = await registered(t, store)
    const row = executionRow({ owner: node })
    const flush = [startOf(row, { asks: [askOf(row.id)], releases: [] })]
    t.equal(await lane.flush(flush, true), 'committed', 'a resend of what never arrived')
    await store.settleSlots([line])
    t.equal(await laneOf(t, store, node).flush(flush, true), 'committed')
    t.same(await store.settleSlots([line]), none)
    t.match(await caught(lane.flush(flush, false)), { code: '23505' })
    await store.removeNode(node)
    const late = executionRow({ owner: node })
    t.equal(await lane.flush([startOf(late, { asks: [askOf(late.id)], releases: [] })], false), 'fenced')
    t.same(await store.settleSlots([line]), none)
    t.match(await store.unsettledKeys(0, 10), [])
  },

  'a slot is given back with its event, or all of an execution are': async (t, { store }) => {
    const { node, lane } = await registered(t, store)
    const row = executionRow({ owner: node })
    const paths = ['a', 'b', 'c']
    const asks = paths.map((path) => askOf(row.id, { path, limit: 2 }))
    await lane.flush([startOf(row, { asks, releases: [] })], false)
    const [next, last] = await asked(t, store, { limit: 2 }, { limit: 2 })
    t.same((await store.settleSlots([line])).granted, [row.id, row.id])
    const back = appendOf(row.id, 2, 2, { asks: [], releases: [releaseOf(row.id, { ticket: null })] })
    t.equal(await lane.flush([back], false), 'committed')
    t.same((await store.settleSlots([line])).granted, [next, last])
    t.equal(await laneOf(t, store, node).flush([back], true), 'committed')
    t.same(await store.settleSlots([line]), none)
  },

  'what a node left unsettled says so, until it is settled': async (t, { store }) => {
    t.same(await store.unsettledKeys(0, 10), [])
    const [id] = await asked(t, store, {}, { key: 'other' })
    const keys = await store.unsettledKeys(0, 10)
    t.same(keys.map(({ key }) => key).sort(), [line.key, 'other'].sort())
    t.equal((await store.unsettledKeys(0, 1)).length, 1)
    await store.settleSlots(keys)
    t.same(await store.unsettledKeys(0, 10), [])
    await released(t, store, id!)
    t.same(await store.unsettledKeys(0, 10), [line])
    await store.settleSlots([line])
    t.same(await store.unsettledKeys(0, 10), [])
  },

  'who is given a slot while nobody runs it is claimed': async (t, { store }) => {
    const { node, lane } = await registered(t, store)
    const row = executionRow({ status: 'waiting' })
    await lane.flush([startOf(row, { asks: [askOf(row.id)], releases: [] })], false)
    t.same(await store.claim(node, all), [])
    await store.settleSlots([line])
    t.same(await store.claim(node, all), [{ executionId: row.id, from: null }])
  },

  'nobody who settles waits for a flush that gives back, and what it gives back is settled after it': async (
    t,
    side,
  ) => {
    const { store } = side
    const [holder, waits, next] = await asked(t, store, {}, {}, {})
    await store.settleSlots([line])
    const { lane } = await registered(t, store)
    // The flush stands at the execution's row while it has the slot's.
    const row = executionRow({ id: waits!, status: 'cancelled' })
    const gone = appendOf(waits!, 2, 2, { row, asks: [], releases: [releaseOf(waits!)] })
    const release = await side.hold({ table: 'execution', id: waits! })
    const flushing = lane.flush([gone], false)
    await side.waiting(1)
    await released(t, store, holder!)
    const { granted } = await store.settleSlots([line])
    await release()
    t.equal(await flushing, 'committed')
    const later = await store.settleSlots([line])
    const isFirst = granted[0] === waits
    t.same([...granted, ...later.granted], isFirst ? [waits, next] : [next], 'the slot has one holder in the end')
    t.same(await store.settleSlots([line]), none)
  },
}

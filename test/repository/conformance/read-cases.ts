import { v7 } from 'uuid'
import { appendedEvent, appendOf, executionRow, startOf } from '../../harness/rows.ts'
import { type Cases, inserted, registered } from './cases.ts'

const megabyte = 1024 * 1024
const seqs = (events: readonly { readonly seq: number }[]): number[] => events.map(({ seq }) => seq)

export const readCases: Cases = {
  'rows and events come back as they were written': async (t, { store }) => {
    const { node, lane } = await registered(t, store)
    const row = executionRow({
      ...{ owner: node, tags: ['a,b', '"q"', ''], triggeredBy: '{me}', correlationId: 'NULL' },
      input: { b: 1, a: '\u0000 \ud800 \\ \n', list: [null, 1.5, '{}'] },
    })
    t.equal(await lane.flush([startOf(row)], false), 'committed')
    t.same(await store.findExecution(row.id), row)
    const data = { output: 'line\nbreak, "quote", \\, NULL, {}', nothing: null }
    const step = appendedEvent(row.id, 2, {
      path: 'fan.b',
      attempt: 3,
      percentage: 50,
      data,
      text: JSON.stringify(data),
    })
    await lane.flush([appendOf(row.id, 2, 2, { events: [step] })], false)
    const { text: _, ...event } = step
    t.same(await store.eventsAfter(row.id, 1, 10), [event])
    t.match(await store.findExecutionView(row.id), { lastSeq: 2, percentage: 50, path: 'fan.b' })
    const error = { type: 'TimeoutError', message: 'too "late"' }
    const end = { ...row, status: 'failed', owner: null, lastSeq: 3, completedAt: 5, updatedAt: 6, error } as const
    await lane.flush([appendOf(row.id, 3, 3, { row: { ...end, output: ['x'] } })], false)
    t.same(await store.findExecution(row.id), { ...end, output: ['x'] })
    t.same(await store.missingExecutions([row.id]), [])
    const missing = v7()
    t.same(await store.missingExecutions([row.id, missing]), [missing])
  },

  'events are read after a cursor, through a last one, at most so many, of one execution or several': async (
    t,
    { store },
  ) => {
    const { node, lane } = await registered(t, store)
    const [a, b] = await inserted(t, store, { owner: node }, { owner: node })
    const rolledBack = appendedEvent(b!, 3, { type: 'execution.rolled_back' })
    const ofB = [appendedEvent(b!, 2), rolledBack, appendedEvent(b!, 4)]
    await lane.flush([appendOf(a!, 2, 5), appendOf(b!, 2, 4, { events: ofB })], false)
    t.same(seqs(await store.eventsAfter(a!, 1, 2)), [2, 3])
    t.same(seqs(await store.eventsAfter(a!, 1, 10, { through: 4 })), [2, 3, 4])
    t.same(await store.eventsAfter(a!, 5, 10), [])
    t.same(seqs(await store.rollbacksOf(b!)), [3])
    t.same(await store.rollbacksOf(a!), [])
    t.same(await store.rollbacksOfMany([a!, b!]), await store.rollbacksOf(b!))
    const cursors = [
      { executionId: b!, after: 2 },
      { executionId: a!, after: 3 },
    ]
    const tail = await store.tailMany(cursors, 10)
    t.same(
      tail.filter((event) => event.executionId === a),
      await store.eventsAfter(a!, 3, 10),
    )
    t.same(
      tail.filter((event) => event.executionId === b),
      await store.eventsAfter(b!, 2, 10),
    )
    t.equal(tail.length, 4)
    t.equal((await store.tailMany(cursors, 3)).length, 3)
    t.same(await store.tailMany([], 10), [])
    const ranges = cursors.map((cursor) => ({ ...cursor, through: 4 }))
    t.same(seqs((await store.eventsOfMany(ranges, 10, megabyte)).items), [3, 4, 4])
    t.same(seqs((await store.eventsOfMany(ranges, 1, megabyte)).items), [3, 4])
    t.match(await store.eventsOfMany(ranges, 10, 1), { items: [{ seq: 3 }], isCut: true })
  },

  'a snapshot is kept once, and only while its last event is there': async (t, { store, loseEvent }) => {
    const { node, lane } = await registered(t, store)
    const [id] = await inserted(t, store, { owner: node })
    const append = appendOf(id!, 2, 3)
    await lane.flush([append], false)
    const given = { executionId: id!, state: { b: 1, a: '\u0000' }, createdAt: 7 }
    const [second, third] = append.events.map(({ seq, at }) => ({ ...given, seq, at }))
    await store.insertSnapshot({ ...second!, at: second!.at + 1 })
    await store.insertSnapshot({ ...second!, seq: 4 })
    await loseEvent(id!, 3)
    await store.insertSnapshot(third!)
    t.equal(await store.newestSnapshot(id!, 9), null)
    await store.insertSnapshot(second!)
    await store.insertSnapshot({ ...second!, state: 'another' })
    t.same(await store.newestSnapshot(id!, 9), { ...given, seq: 2 })
  },

  'the newest snapshot is read, and older ones go': async (t, { store }) => {
    const { node, lane } = await registered(t, store)
    const [id] = await inserted(t, store, { owner: node })
    const append = appendOf(id!, 2, 6)
    await lane.flush([append], false)
    const snapshot = (seq: number) => ({ executionId: id!, seq, state: { seq }, createdAt: 7 })
    for (const { seq, at } of append.events) if (seq % 2 === 0) await store.insertSnapshot({ ...snapshot(seq), at })
    t.same(await store.newestSnapshot(id!, 5), snapshot(4))
    t.equal(await store.newestSnapshot(id!, 1), null)
    const range = { executionId: id!, after: 0, through: 9 }
    t.same((await store.newestSnapshots([range], megabyte)).items, [snapshot(6)])
    t.same((await store.newestSnapshots([{ ...range, after: 6 }], megabyte)).items, [])
    await store.deleteSnapshotsBefore(id!, 5)
    t.equal(await store.newestSnapshot(id!, 3), null)
    t.same(await store.newestSnapshot(id!, 5), snapshot(4))
    t.same(await store.newestSnapshot(id!, 9), snapshot(6))
  },

  'the rows that a node owns are read in the order asked for': async (t, { store }) => {
    const { node } = await registered(t, store)
    const [a, b, theirs] = await inserted(t, store, { owner: node }, { owner: node }, { owner: v7() })
    t.same((await store.findOwned(node)).toSorted(), [a, b].toSorted())
    const rows = [await store.findExecution(b!), await store.findExecution(a!)]
    t.same(await store.ownedRows(node, [b!, theirs!, a!], megabyte), { items: rows, isCut: false })
    t.same(await store.ownedRows(node, [b!, theirs!, a!], 1), { items: rows.slice(0, 1), isCut: true })
  },
}

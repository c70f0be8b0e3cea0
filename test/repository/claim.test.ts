import { randomBytes } from 'node:crypto'
import t from 'tap'
import { v7 } from 'uuid'
import type { ExecutionRow } from '../../src/repository/executions.ts'
import type { Store } from '../../src/repository/store.ts'
import { createTestStore, executionRow, registerTestNode, startOf } from '../harness/rows.ts'

const all = { limit: 100, room: 100, formats: [1] }
const past = 1_700_000_000_000
const future = 4_000_000_000_000

/** Puts rows in the table as some node's flush would. */
async function insert(t: import('tap').Test, store: Store, ...given: Partial<ExecutionRow>[]): Promise<ExecutionRow[]> {
  const writer = await registerTestNode(store)
  const lane = store.openLane(writer, 0)
  const rows = given.map((row) => executionRow(row))
  t.equal(
    await lane.flush(
      rows.map((row) => startOf(row)),
      false,
    ),
    'committed',
  )
  await lane.close()
  return rows
}

const idsOf = (rows: readonly ExecutionRow[]): string[] => rows.map((row) => row.id)

async function claim(store: Store, node: string, limits = all): Promise<string[]> {
  return (await store.claim(node, limits)).map((claimed) => claimed.executionId)
}

const megabyte = 1024 * 1024

t.test('an execution without owner is claimed when it is due, and only then', async (t) => {
  const { store } = await createTestStore(t)
  const node = await registerTestNode(store)
  const [start, parked, released] = await insert(
    t,
    store,
    { status: 'pending', wakeAt: past },
    { status: 'waiting', wakeAt: past + 1 },
    { status: 'running', wakeAt: past + 2 },
    { status: 'pending', wakeAt: future },
    { status: 'waiting', wakeAt: future },
    { status: 'waiting', wakeAt: null },
    { status: 'paused', wakeAt: null },
    { status: 'completed', wakeAt: null },
  )
  const claimed = await claim(store, node)
  t.same(claimed, idsOf([start!, parked!, released!]), 'the longest due first')
  t.same(
    await store.ownedRows(node, [parked!.id], megabyte),
    { items: [{ ...parked!, owner: node }], isCut: false },
    'nothing but the owner changes',
  )
  t.same(await claim(store, node), [], 'once')
  t.same((await store.findOwned(node)).toSorted(), claimed.toSorted())
})

t.test('an inbox row wakes an execution that nobody owns, whatever its status, on a full node too', async (t) => {
  const { store } = await createTestStore(t)
  const node = await registerTestNode(store)
  const owner = await registerTestNode(store)
  const rows = await insert(
    t,
    store,
    { status: 'waiting', wakeAt: null },
    { status: 'paused', wakeAt: null },
    { status: 'completed', wakeAt: null },
    { status: 'pending', wakeAt: future },
    { status: 'running', owner },
  )
  for (const row of rows) {
    const item = { executionId: row.id, kind: 'signal', name: 'go', payload: null, requestId: v7(), at: past } as const
    await store.insertInbox(item)
    await store.insertInbox({ ...item, requestId: v7() })
  }
  t.same((await claim(store, node, { ...all, room: 0 })).toSorted(), idsOf(rows.slice(0, 4)).toSorted())
})

t.test('an execution whose owner is gone is claimed, whatever it waits for', async (t) => {
  const { store } = await createTestStore(t)
  const node = await registerTestNode(store)
  const alive = await registerTestNode(store)
  const [dead, other] = [v7(), v7()]
  const [, one, two, three] = await insert(
    t,
    store,
    { owner: alive },
    { owner: dead },
    { owner: dead, status: 'waiting', wakeAt: future },
    { owner: other, status: 'paused' },
  )
  const claimed = await store.claim(node, { ...all, room: 0 })
  t.same(claimed.map(({ executionId }) => executionId).toSorted(), idsOf([one!, two!, three!]).toSorted())
  t.equal(claimed.find(({ executionId }) => executionId === three!.id)!.from, other, 'and it is told from whom')
})

t.test('claims go by priority, then by how long they are due', async (t) => {
  const { store } = await createTestStore(t)
  const node = await registerTestNode(store)
  const given = [
    { status: 'pending', wakeAt: past + 3, priority: 0 },
    { status: 'waiting', wakeAt: past + 2, priority: 0 },
    { status: 'pending', wakeAt: past + 9, priority: 5 },
    { status: 'waiting', wakeAt: past + 1, priority: -1 },
    { status: 'pending', wakeAt: past + 1, priority: 0 },
  ] as const
  const rows = await insert(t, store, ...given)
  const order = []
  for (let batch = 0; batch < 5; batch += 1) order.push(...(await claim(store, node, { ...all, limit: 1 })))
  t.same(order, idsOf([rows[2]!, rows[4]!, rows[1]!, rows[0]!, rows[3]!]))
})

t.test('a full node takes over, but leaves starts and wakes where they are', async (t) => {
  const { store } = await createTestStore(t)
  const node = await registerTestNode(store)
  const [, , , orphan] = await insert(
    t,
    store,
    { status: 'pending', wakeAt: past },
    { status: 'pending', wakeAt: past },
    { status: 'waiting', wakeAt: past },
    { owner: v7(), status: 'running' },
  )
  t.same(await claim(store, node, { ...all, room: 0 }), [orphan!.id])
  t.equal((await claim(store, node, { ...all, room: 2 })).length, 2, 'both kinds share the room')
  t.equal((await claim(store, node, { ...all, room: 2 })).length, 1)
})

t.test('rows that are owned are read in the order asked for, and no more bytes of them than wanted', async (t) => {
  const { store } = await createTestStore(t)
  const node = await registerTestNode(store)
  const input = { noise: randomBytes(50_000).toString('base64') }
  const rows = await insert(t, store, ...[{}, { input }, { input }, {}].map((row) => ({ ...row, owner: node })))
  const [stranger] = await insert(t, store, { owner: v7() })
  const ids = [rows[2]!.id, stranger!.id, rows[0]!.id, rows[1]!.id, rows[3]!.id]
  t.same(await store.ownedRows(node, ids, megabyte), { items: [rows[2], rows[0], rows[1], rows[3]], isCut: false })
  t.same(await store.ownedRows(node, ids, 90_000), { items: [rows[2], rows[0], rows[1]], isCut: true })
  t.same(await store.ownedRows(node, ids, 1), { items: [rows[2]], isCut: true }, 'one is always read')
})

t.test('a node claims only formats that it knows', async (t) => {
  const { store } = await createTestStore(t)
  const node = await registerTestNode(store)
  const rows = await insert(
    t,
    store,
    { format: 2, status: 'pending', wakeAt: past },
    { format: 2, status: 'waiting', wakeAt: past },
    { format: 2, owner: v7() },
    { format: 1, status: 'pending', wakeAt: past },
  )
  t.same(await claim(store, node), [rows[3]!.id])
  t.equal((await claim(store, node, { ...all, formats: [1, 2] })).length, 3)
})

t.test('nodes that claim at the same time share the work and lose none', async (t) => {
  const { store } = await createTestStore(t)
  const rows = await insert(
    t,
    store,
    ...Array.from({ length: 200 }, () => ({ status: 'pending', wakeAt: past }) as const),
  )
  const nodes = await Promise.all(Array.from({ length: 4 }, () => registerTestNode(store)))
  const claimed: string[] = []
  while (claimed.length < rows.length) {
    const batches = await Promise.all(nodes.map((node) => claim(store, node, { ...all, limit: 20 })))
    claimed.push(...batches.flat())
  }
  t.same(claimed.toSorted(), idsOf(rows).toSorted())
})

t.test('a node that was declared dead claims nothing', async (t) => {
  const { store } = await createTestStore(t)
  const node = await registerTestNode(store)
  await insert(t, store, { status: 'pending', wakeAt: past })
  await store.removeNode(node)
  t.same(await claim(store, node), [])
  const expired = await registerTestNode(store, { leaseMs: -1 })
  t.same(await claim(store, expired), [])
})

import fc from 'fast-check'
import t from 'tap'
import { v7 } from 'uuid'
import type { ExecutionRow } from '../../src/repository/executions.ts'
import { createTestStore, executionRow, registerTestNode, startOf } from '../harness/rows.ts'

const start = 1_700_000_000_000
const statuses = ['pending', 'running', 'waiting', 'paused', 'completed', 'failed', 'cancelled'] as const
const ended = new Set<string>(['completed', 'failed', 'cancelled'])
const strange = ['a', '\\N', '\\.', 'tab\there', 'cr\rlf\n', '\u2028', '\\', '', 'NULL', '{a,"b"}'] as const

t.test('a list holds what all of its filters let through, newest first, whichever they are', async (t) => {
  const { store } = await createTestStore(t)
  const node = await registerTestNode(store)
  const lane = store.openLane(node, 0)
  t.teardown(() => lane.close())
  const workflows = [v7(), v7(), v7()]
  const parents = [v7(), v7()]
  const one = <Value>(values: readonly Value[], index: number) => values[index % values.length]!
  const rows: ExecutionRow[] = Array.from({ length: 2_000 }, (_, index) => {
    const random = ((index * 2_654_435_761) % 4_294_967_296) >>> 8
    const status = one(statuses, random)
    return executionRow({
      workflowId: one(workflows, random >> 3),
      status,
      owner: status === 'running' ? node : null,
      wakeAt: status === 'pending' || status === 'waiting' ? start : null,
      completedAt: ended.has(status) ? start : null,
      createdAt: start + Math.floor(index / 3) * 100,
      triggeredBy: random % 5 < 2 ? null : one(strange, random >> 4),
      correlationId: random % 3 === 0 ? null : one(strange, random >> 5),
      parentExecutionId: random % 4 === 0 ? one(parents, random >> 6) : null,
      tags: random % 3 === 0 ? [] : [one(strange, random >> 7), one(strange, random >> 9)],
    })
  })
  for (let first = 0; first < rows.length; first += 500) {
    const appends = rows.slice(first, first + 500).map((row) => startOf(row))
    t.equal(await lane.flush(appends, false), 'committed')
  }
  const newest = rows.toSorted((a, b) => (a.id < b.id ? 1 : -1))
  const optional = { requiredKeys: [] }
  const time = fc.integer({ min: start - 100, max: start + 67_000 })
  const filters = fc.record(
    {
      workflowId: fc.constantFrom(...workflows),
      status: fc.constantFrom(...statuses),
      triggeredBy: fc.constantFrom(...strange),
      correlationId: fc.constantFrom(...strange),
      parentExecutionId: fc.constantFrom(...parents),
      tag: fc.constantFrom(...strange),
      createdAfter: time,
      createdBefore: time,
    },
    optional,
  )
  await fc.assert(
    fc.asyncProperty(filters, async (filter) => {
      const { tag, createdAfter = 0, createdBefore = Number.MAX_SAFE_INTEGER, ...equal } = filter
      const expected = newest.filter(
        (row) =>
          row.createdAt > createdAfter &&
          row.createdAt < createdBefore &&
          (tag === undefined || row.tags.includes(tag)) &&
          Object.entries(equal).every(([name, value]) => row[name as keyof ExecutionRow] === value),
      )
      const seen: string[] = []
      let cursor: string | undefined
      do {
        const page = await store.listExecutions(filter, 100, cursor)
        for (const item of page.items) seen.push(item.id)
        cursor = page.nextCursor ?? undefined
      } while (cursor !== undefined)
      if (seen.join() !== expected.map((row) => row.id).join())
        throw new Error(`${seen.length}, not ${expected.length}`)
    }),
    { numRuns: 150 },
  )
})

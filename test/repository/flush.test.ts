import t from 'tap'
import { v7 } from 'uuid'
import { classify } from '../../src/repository/classify.ts'
import type { Database } from '../../src/repository/connection.ts'
import { Lane } from '../../src/repository/lane.ts'
import { appendedEvent, appendOf, createTestStore, executionRow, registerTestNode, startOf } from '../harness/rows.ts'

const counted = (workflowId: string) => ({ workflowId, version: 1, status: { from: null, to: 'running' } }) as const

async function count(database: Database, table: string): Promise<number> {
  const { rows } = await database.pool.query(`SELECT count(*)::integer AS count FROM ${table}`)
  return rows[0].count
}

t.test('a start, its steps and its end come back as they were written', async (t) => {
  const { store } = await createTestStore(t)
  const node = await registerTestNode(store)
  const lane = store.openLane(node, 0)
  t.teardown(() => lane.close())
  const row = executionRow({
    owner: node,
    tags: ['a,b', '"quoted"', 'back\\slash', 'null', ''],
    triggeredBy: "it's {me}\n, NULL",
    correlationId: 'NULL',
    traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    input: { b: 1, a: '\u0000 \ud800 "quotes" \\ \n', list: [null, 1.5, '{}'] },
  })
  t.equal(await lane.flush([startOf(row)], false), 'committed')
  t.same(await store.findExecution(row.id), row)
  t.same(Object.keys((await store.findExecution(row.id))!.input as object), ['b', 'a', 'list'], 'keys keep their order')

  const data = { output: 'line\nbreak, "quote", \\, NULL, {}', nothing: null }
  const step = appendedEvent(row.id, 2, { path: 'fan.b', attempt: 3, percentage: 50, data, text: JSON.stringify(data) })
  await lane.flush([appendOf(row.id, 2, 2, { events: [step] })], false)
  const [read] = await store.eventsAfter(row.id, 1, 10)
  const { text: _text, ...event } = step
  t.same(read, event)

  const end = { ...row, status: 'failed', owner: null, lastSeq: 3, completedAt: 5, updatedAt: 6 } as const
  const error = { type: 'TimeoutError', message: 'too "late"' }
  await lane.flush([appendOf(row.id, 3, 3, { row: { ...end, error, output: ['x'] } })], false)
  t.same(await store.findExecution(row.id), { ...end, error, output: ['x'] })
  const view = await store.findExecutionView(row.id)
  t.match(view, { lastSeq: 3, percentage: 0, path: 'fetch' })
})

t.test('a flush writes many executions, with and without values, at once', async (t) => {
  const { store, database } = await createTestStore(t)
  const node = await registerTestNode(store)
  const lane = store.openLane(node, 0)
  t.teardown(() => lane.close())
  const rows = Array.from({ length: 50 }, (_, index) =>
    executionRow({
      owner: node,
      triggeredBy: index % 2 === 0 ? null : `user ${index}`,
      requested: index % 3 === 0 ? 'pause' : null,
    }),
  )
  const order = rows.toSorted(() => 0.5 - Math.random())
  t.equal(
    await lane.flush(
      order.map((row) => startOf(row)),
      false,
    ),
    'committed',
  )
  for (const row of rows) t.same(await store.findExecution(row.id), row)
  t.equal(await count(database, 'execution_events'), 50)
})

t.test('an execution that is written alone is written as it would be among others', async (t) => {
  const { store, database } = await createTestStore(t)
  const node = await registerTestNode(store)
  const lane = store.openLane(node, 0)
  t.teardown(() => lane.close())
  const odd = '\u2028 \ud800 "quotes" \\ \n \r \t {} , NULL \u{1f600}'
  const data = { output: odd, '': [0.1, -1e-7, 1e21, null], long: 'é"\\'.repeat(100_000) }
  const rows: unknown[][] = []
  for (const others of [[], [startOf(executionRow({ owner: node }))]]) {
    const row = executionRow({
      owner: node,
      namespace: '',
      tags: ['', 'NULL', '{}', 'a,b', '\\', odd],
      triggeredBy: '',
      correlationId: odd,
      input: data,
      priority: -1000,
      createdAt: Number.MAX_SAFE_INTEGER,
    })
    const begun = { ...row, status: 'paused', owner: null, output: odd, error: { type: '', message: odd } } as const
    const request = { executionId: row.id, kind: 'pause', requestId: v7(), name: null, payload: null, at: 1 } as const
    const id = await store.insertInbox(request)
    const step = { path: `each["${odd.replace('\n', '')}"].a`, attempt: 2_147_483_647, percentage: 100, data }
    const last = appendedEvent(row.id, 2, { ...step, at: -1, text: JSON.stringify(data) })
    const basis = { seq: 1, at: 1_700_000_000_001 }
    const steps = [{ stepId: odd, outcome: 'completed', durationMs: 0.5 }] as const
    const statistics = [{ ...counted(row.workflowId), steps }]
    t.equal(await lane.flush([startOf(row, { statistics }), ...others], false), 'committed')
    const inboxKeys = [{ id: id!, requestId: request.requestId }]
    const more = others.map(({ executionId }) => appendOf(executionId, 2))
    const next = appendOf(row.id, 2, 2, { events: [last], row: { ...begun, wakeAt: -1 }, inboxKeys, basis, statistics })
    t.equal(await lane.flush([next, ...more], false), 'committed')
    t.same(await store.inboxOf([row.id]), [])
    const { rows: written } = await database.pool.query(
      `SELECT replace(e::text, $1::text, '') AS written FROM workflow_executions e WHERE id = $1::uuid
       UNION ALL SELECT replace(v::text, $1::text, '') FROM execution_events v WHERE execution_id = $1::uuid
       UNION ALL SELECT s::text FROM fresh_statistics s`,
      [row.id],
    )
    rows.push(written)
    await database.pool.query('DELETE FROM fresh_statistics')
  }
  t.equal(rows[0]!.length, 5)
  t.strictSame(rows[0], rows[1])
})

t.test('the fence refuses a node whose row is gone, and nothing of the flush is written', async (t) => {
  const { store, database } = await createTestStore(t)
  const node = await registerTestNode(store)
  const lane = store.openLane(node, 0)
  t.teardown(() => lane.close())
  const row = executionRow({ owner: node })
  await lane.flush([startOf(row)], false)
  await store.removeNode(node)
  const more = executionRow({ owner: node })
  const flush = [appendOf(row.id, 2), startOf(more, { statistics: [counted(more.workflowId)] })]
  t.equal(await lane.flush(flush, false), 'fenced')
  t.equal(await lane.flush(flush, true), 'fenced')
  t.equal(await count(database, 'execution_events'), 1)
  t.equal(await count(database, 'workflow_executions'), 1)
  t.equal(await count(database, 'fresh_statistics'), 0)
})

t.test('a lane that was never registered is fenced', async (t) => {
  const { store } = await createTestStore(t)
  const node = await registerTestNode(store, { lanes: 1 })
  const lane = store.openLane(node, 1)
  t.teardown(() => lane.close())
  t.equal(await lane.flush([startOf(executionRow({ owner: node }))], false), 'fenced')
})

t.test('the fence refuses a database that has lost what it acknowledged to this lane', async (t) => {
  const { store, database } = await createTestStore(t)
  const node = await registerTestNode(store)
  const lane = store.openLane(node, 0)
  t.teardown(() => lane.close())
  const row = executionRow({ owner: node })
  await lane.flush([startOf(row)], false)
  await database.pool.query('DELETE FROM execution_events')
  t.equal(await lane.flush([startOf(executionRow({ owner: node }))], false), 'fenced')
})

t.test('a row that somebody else wrote in the place of the last acknowledged one does not stand for it', async (t) => {
  const { store, database } = await createTestStore(t)
  const node = await registerTestNode(store)
  const lane = store.openLane(node, 0)
  t.teardown(() => lane.close())
  const row = executionRow({ owner: node })
  await lane.flush([startOf(row)], false)
  await database.pool.query('UPDATE execution_events SET at = at + 1')
  t.equal(await lane.flush([startOf(executionRow({ owner: node }))], false), 'fenced')
})

t.test(
  'the first append since a claim is refused when the database has lost the claim, or what was read',
  async (t) => {
    const { store, database } = await createTestStore(t)
    const node = await registerTestNode(store)
    const [other, mine] = [await registerTestNode(store), store.openLane(node, 0)]
    const lane = () => {
      const opened = store.openLane(node, 0)
      t.teardown(() => opened.close())
      return opened
    }
    const row = executionRow({ owner: node })
    const first = startOf(row)
    await mine.flush([first], false)
    await mine.close()
    const basis = { seq: 1, at: first.events[0]!.at }
    const next = appendOf(row.id, 2, 2, { basis })

    for (const owner of [other, null]) {
      await database.pool.query('UPDATE workflow_executions SET owner = $1, wake_at = 0', [owner])
      t.equal(await lane().flush([next], false), 'fenced', 'it is not ours')
    }
    await database.pool.query('UPDATE workflow_executions SET owner = $1', [node])
    for (const wrong of [
      { seq: 1, at: basis.at + 1 },
      { seq: 2, at: basis.at },
    ]) {
      const onWrong = appendOf(row.id, wrong.seq + 1, wrong.seq + 1, { basis: wrong })
      t.equal(await lane().flush([onWrong], false), 'fenced', 'its history is another one')
    }
    t.equal((await store.eventsAfter(row.id, 0, 10)).length, 1)

    const others = Array.from({ length: 20 }, () => startOf(executionRow({ owner: node })))
    const given = { ...next, row: { ...row, status: 'paused', owner: null, lastSeq: 2 } } as const
    t.equal(await lane().flush([...others, given], false), 'committed')
    t.equal(
      await lane().flush([...others, given], true),
      'committed',
      'that it gave the execution away itself is no loss',
    )
  },
)

t.test('a resend after a commit that went unnoticed changes nothing and reports committed', async (t) => {
  const { store, database } = await createTestStore(t)
  const node = await registerTestNode(store)
  const first = store.openLane(node, 0)
  t.teardown(() => first.close())
  const row = executionRow({ owner: node })
  const at = { name: null, payload: null, at: 1 }
  await first.flush([startOf(row)], false)
  const requestId = v7()
  const inboxId = await store.insertInbox({ executionId: row.id, kind: 'pause', requestId, ...at })
  const image = { ...row, status: 'paused', owner: null, lastSeq: 2 } as const
  const flush = [
    appendOf(row.id, 2, 2, {
      row: image,
      inboxKeys: [{ id: inboxId!, requestId }],
      statistics: [counted(row.workflowId)],
    }),
    startOf(executionRow({ owner: node })),
  ]
  await first.flush(flush, false)
  // The answer was lost; meanwhile another node claimed the execution and changed it.
  const other = await registerTestNode(store)
  await database.pool.query('UPDATE workflow_executions SET owner = $1 WHERE id = $2', [other, row.id])
  const second = store.openLane(node, 0)
  t.teardown(() => second.close())
  t.equal(await second.flush(flush, true), 'committed')
  t.equal((await store.findExecution(row.id))!.owner, other)
  t.equal(await count(database, 'execution_events'), 3)
  t.equal(await count(database, 'workflow_executions'), 2)
  t.equal(await count(database, 'fresh_statistics'), 1)
})

t.test('an inbox row goes with its answer, and one that has got its id since a failover stays', async (t) => {
  const { store, database } = await createTestStore(t)
  const node = await registerTestNode(store)
  const lane = store.openLane(node, 0)
  t.teardown(() => lane.close())
  const row = executionRow({ owner: node })
  await lane.flush([startOf(row)], false)
  const item = { executionId: row.id, kind: 'signal', name: 'a', payload: null, at: 1 } as const
  for (const requestId of [v7(), v7()]) await store.insertInbox({ ...item, requestId })
  const [lost, read] = await store.inboxOf([row.id])
  const requestId = v7()
  await database.pool.query('UPDATE execution_inbox SET request_id = $1 WHERE id = $2', [requestId, lost!.id])
  t.equal(await lane.flush([appendOf(row.id, 2, 3, { inboxKeys: [lost!, read!] })], false), 'committed')
  t.same(await store.inboxOf([row.id]), [{ ...lost!, requestId }])
})

t.test('a resend of what never arrived writes all of it', async (t) => {
  const { store, database } = await createTestStore(t)
  const node = await registerTestNode(store)
  const lane = store.openLane(node, 0)
  t.teardown(() => lane.close())
  const row = executionRow({ owner: node })
  t.equal(await lane.flush([startOf(row, { statistics: [counted(row.workflowId)] })], true), 'committed')
  t.same(await store.findExecution(row.id), row)
  t.equal(await count(database, 'fresh_statistics'), 1)
})

t.test(
  'a resend of which one append stands and another does not is refused as data, so that it is halved',
  async (t) => {
    const { store, database } = await createTestStore(t)
    const node = await registerTestNode(store)
    const lane = store.openLane(node, 0)
    t.teardown(() => lane.close())
    const [one, two] = [startOf(executionRow({ owner: node })), startOf(executionRow({ owner: node }))]
    await lane.flush([one], false)
    const error = await lane.flush([one, two], true).catch((thrown: unknown) => thrown)
    t.equal(classify(error), 'data')
    t.equal(await count(database, 'execution_events'), 1)
    t.equal(await lane.flush([one], true), 'committed')
    t.equal(await lane.flush([two], true), 'committed')
    t.equal(await count(database, 'workflow_executions'), 2)
  },
)

t.test('one bad row refuses the whole flush', async (t) => {
  const { store, database } = await createTestStore(t)
  const node = await registerTestNode(store)
  const lane = store.openLane(node, 0)
  t.teardown(() => lane.close())
  const good = startOf(executionRow({ owner: node }))
  const text = executionRow({ owner: node, triggeredBy: 'a \u0000' })
  const orphan = executionRow({ owner: null, wakeAt: null })
  for (const bad of [startOf(text), startOf(orphan)]) {
    const error = await lane.flush([good, bad], false).catch((thrown: unknown) => thrown)
    t.equal(classify(error), 'data')
  }
  const broken = appendOf(good.executionId, 2, 2, {
    events: [appendedEvent(good.executionId, 2, { text: '{"a":\n1}' })],
  })
  t.equal(classify(await lane.flush([good, broken], false).catch((thrown: unknown) => thrown)), 'data')
  t.equal(await count(database, 'execution_events'), 0)
  t.equal(await count(database, 'workflow_executions'), 0)
  t.equal(await lane.flush([good], false), 'committed', 'the connection goes on')
})

t.test('an event that somebody else wrote is an alarm on a first send', async (t) => {
  const { store } = await createTestStore(t)
  const node = await registerTestNode(store)
  const lane = store.openLane(node, 0)
  t.teardown(() => lane.close())
  const row = executionRow({ owner: node })
  await lane.flush([startOf(row)], false)
  const other = startOf(executionRow({ owner: node }))
  for (const beside of [[], [other]]) {
    const outcome = await lane.flush([appendOf(row.id, 1), ...beside], false).catch((thrown: unknown) => thrown)
    t.equal(classify(outcome), 'alarm')
  }
  t.equal(await store.findExecution(other.executionId), null)
})

t.test('flushes are written and fenced alike whether or not their statements are prepared', async (t) => {
  const { store, database } = await createTestStore(t)
  for (const prepare of [true, false]) {
    const node = await registerTestNode(store)
    const lane = new Lane({ connect: database.connectLane, node, lane: 0, prepare })
    t.teardown(() => lane.close())
    const rows = Array.from({ length: 3 }, () => executionRow({ owner: node, correlationId: 'a\tb\r\\N' }))
    t.equal(await lane.flush([appendOf(v7(), 1), ...rows.map((row) => startOf(row))], false), 'committed')
    const change = { ...rows[0]!, status: 'completed', owner: null, output: 'a\tb\r\\N', lastSeq: 2 } as const
    const next = rows.map((row) => appendOf(row.id, 2, 3))
    t.equal(await lane.flush([{ ...next[0]!, row: change }, ...next.slice(1)], false), 'committed')
    t.same(await store.findExecution(rows[0]!.id), change)
    t.same(await store.findExecution(rows[1]!.id), rows[1]!)
    t.equal((await store.eventsAfter(rows[2]!.id, 0, 10)).length, 3)
    await store.removeNode(node)
    t.equal(await lane.flush([appendOf(rows[1]!.id, 4, 5)], false), 'fenced')
    t.equal((await store.eventsAfter(rows[1]!.id, 0, 10)).length, 3)
  }
})

t.test(
  'an error in any of its statements leaves nothing of a flush, and the connection fit for the next',
  async (t) => {
    const { store, database } = await createTestStore(t)
    const node = await registerTestNode(store)
    for (const prepare of [true, false]) {
      let connections = 0
      const connect = (silenceMs: number) => {
        connections += 1
        return database.connectLane(silenceMs)
      }
      const lane = new Lane({ connect, node, lane: 0, prepare })
      t.teardown(() => lane.close())
      const row = executionRow({ owner: node })
      const start = () => startOf(executionRow({ owner: node }))
      const step = (given: object) => {
        const id = v7()
        return appendOf(id, 1, 1, { events: [appendedEvent(id, 1, given)] })
      }
      t.equal(await lane.flush([startOf(row), start()], false), 'committed')
      // More than a socket holds: the server has failed long before it has read this.
      const long = Array.from({ length: 8 }, () => step({ text: JSON.stringify('x'.repeat(2 ** 20)) }))
      for (const bad of [
        appendOf(row.id, 2, 2, { row: { ...row, status: '\0' as 'running' } }),
        startOf(row),
        startOf(executionRow({ owner: node, correlationId: '\0' })),
        step({ path: '\0' }),
        step({ text: '{"cut' }),
      ]) {
        const before = [await count(database, 'workflow_executions'), await count(database, 'execution_events')]
        const outcome = await lane.flush([start(), bad, ...long], false).catch((thrown: unknown) => thrown)
        t.equal(classify(outcome), 'data')
        t.same([await count(database, 'workflow_executions'), await count(database, 'execution_events')], before)
        t.equal(await lane.flush([start(), start()], false), 'committed')
      }
      t.equal(await lane.flush([start(), ...long], false), 'committed')
      t.equal(connections, 1)
      await lane.close()
    }
  },
)

t.test('a broken connection is replaced by the next flush', async (t) => {
  const { store, database } = await createTestStore(t)
  const node = await registerTestNode(store)
  const lane = store.openLane(node, 0)
  t.teardown(() => lane.close())
  const row = executionRow({ owner: node })
  await lane.flush([startOf(row)], false)
  const { rowCount } = await database.pool.query(
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%complete%' AND pid <> pg_backend_pid()",
  )
  t.equal(rowCount, 1)
  const outcome = await lane.flush([appendOf(row.id, 2)], false).catch((error: unknown) => classify(error))
  t.match(outcome, /^(committed|retry)$/)
  if (outcome === 'retry') t.equal(await lane.flush([appendOf(row.id, 2)], true), 'committed')
  t.equal((await store.eventsAfter(row.id, 0, 10)).length, 2)
})

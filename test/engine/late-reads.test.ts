import t from 'tap'
import type { WorkflowEngine } from '../../src/engine/engine.ts'
import { openStorage } from '../../src/engine/storage.ts'
import type { InboxItem } from '../../src/repository/inbox.ts'
import type { Store } from '../../src/repository/store.ts'
import { until } from '../harness/condition.ts'
import { createTestDatabase } from '../harness/database.ts'
import { echo, journalOf, latch, run, seen, startEngine, typesOf } from './running-engine.ts'

/** Nodes that never poll: they look when they are made to. */
const never = 3_600_000
/** It fails again and again, and is parked in between. */
const failing = echo(
  'failing',
  { fail: { untilAttempt: 90, retryable: true } },
  { retryPolicy: { maxAttempts: 99, initialIntervalMs: 2_000, maxIntervalMs: 2_000, jitter: 0 } },
)

/** What a store reads from the inbox: the first answer that has items comes only when the next read is sent. */
function heldBack(store: Store) {
  const held = latch()
  const next = latch()
  const late = latch()
  let reads = 0
  const inboxOf = async (executionIds: readonly string[]): Promise<InboxItem[]> => {
    const items = await store.inboxOf(executionIds)
    if (items.length === 0) return items
    reads += 1
    if (reads === 1) {
      held.open()
      await next.promise
      // What awaits the answer has gone on when the loop has turned.
      setImmediate(late.open)
      return items
    }
    next.open()
    await late.promise
    return items
  }
  return { store: { ...store, inboxOf }, held: held.promise }
}

t.test(
  'a read of the inbox from before an execution came back is not heard: others may have answered it',
  async (t) => {
    const { url: databaseUrl } = await createTestDatabase(t)
    let read = Promise.resolve()
    const storage: typeof openStorage = async (settings) => {
      const opened = await openStorage(settings)
      const { store, held } = heldBack(opened.store)
      read = held
      return { ...opened, store }
    }
    const options = { databaseUrl, notify: false, pollMs: never }
    const first = await startEngine(t, {}, { ...options, parkAfterMs: 200 }, { openStorage: storage })
    const id = await run(first, [failing])
    await seen(first, id, 'execution.parked')
    await first.signal(id, 'one', 1)
    await read
    await parked(first, id, 2)
    const second = await startEngine(t, {}, options)
    await seen(second, id, 'signal.received')
    await second.stop()

    await first.signal(id, 'two', 2)
    await until('the second signal', async () => (await signalsOf(first, id)).includes('two'))
    t.same(await signalsOf(first, id), ['one', 'two'])
  },
)

const parked = (engine: WorkflowEngine, id: string, count: number): Promise<boolean> =>
  until('parked', async () => {
    const types = await typesOf(engine, id)
    return types.filter((type) => type === 'execution.parked').length >= count
  })

const signalsOf = async (engine: WorkflowEngine, id: string): Promise<string[]> =>
  (await journalOf(engine, id)).flatMap(({ type, data }) =>
    type === 'signal.received' ? (data as unknown as { signal: { name: string } }).signal.name : [],
  )

import type { Test } from 'tap'
import { v7 } from 'uuid'
import type { Append } from '../../src/repository/append.ts'
import { type Database, openDatabase } from '../../src/repository/connection.ts'
import type { AppendedEvent } from '../../src/repository/events.ts'
import type { ExecutionRow } from '../../src/repository/executions.ts'
import { createStore, type Store } from '../../src/repository/store.ts'
import { createTestDatabase } from './database.ts'

/** A store on a database of the test's own, closed at its end. */
export async function createTestStore(t: Test): Promise<{ store: Store; database: Database; url: string }> {
  const { url } = await createTestDatabase(t)
  const database = openDatabase({ url })
  t.teardown(database.close)
  return { store: createStore(database), database, url }
}

/** A registered node with a minute's lease. */
export async function registerTestNode(
  store: Pick<Store, 'registerNode'>,
  { lanes = 1, leaseMs = 60_000 } = {},
): Promise<string> {
  const id = v7()
  await store.registerNode({ id, host: 'test', lanes, leaseMs })
  return id
}

let made = 0

/** A running execution of some workflow; name what matters to the test. Its id has the time of its createdAt, as a node's has. */
export function executionRow(given: Partial<ExecutionRow> = {}): ExecutionRow {
  const { createdAt = 1_700_000_000_000 } = given
  return {
    id: v7({ msecs: createdAt, seq: made++ }),
    namespace: 'default',
    workflowId: '00000000-0000-7000-8000-000000000001',
    workflowVersion: 1,
    format: 1,
    status: 'running',
    requested: null,
    triggeredBy: null,
    correlationId: null,
    executionKey: null,
    traceparent: null,
    tags: [],
    priority: 0,
    input: {},
    output: null,
    error: null,
    owner: null,
    wakeAt: null,
    parentExecutionId: null,
    lastSeq: 1,
    createdAt,
    startedAt: 1_700_000_000_000,
    completedAt: null,
    updatedAt: 1_700_000_000_000,
    ...given,
  }
}

export function appendedEvent(executionId: string, seq: number, given: Partial<AppendedEvent> = {}): AppendedEvent {
  const { data = {} } = given
  return {
    executionId,
    seq,
    type: seq === 1 ? 'execution.started' : 'step.completed',
    path: seq === 1 ? null : 'fetch',
    attempt: seq === 1 ? null : 1,
    at: 1_700_000_000_000 + seq,
    percentage: 0,
    data,
    text: JSON.stringify(data),
    ...given,
  }
}

/** An append of the events `from`..`to`, with whatever else is given. */
export function appendOf(executionId: string, from: number, to = from, given: Partial<Append> = {}): Append {
  const events = Array.from({ length: to - from + 1 }, (_, index) => appendedEvent(executionId, from + index))
  return { executionId, events, inboxKeys: [], bytes: 0, statistics: [], ...given }
}

/** A start: the row and its first event. */
export function startOf(row: ExecutionRow, given: Partial<Append> = {}): Append {
  return appendOf(row.id, 1, 1, { insert: row, ...given })
}

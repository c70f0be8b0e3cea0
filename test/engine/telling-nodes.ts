import type { Test } from 'tap'
import type { WorkflowEngine } from '../../src/engine/engine.ts'
import type { EngineOptions } from '../../src/engine/engine-options.ts'
import type { Log } from '../../src/engine/log.ts'
import { silentLog } from '../../src/engine/log.ts'
import { createTestDatabase } from '../harness/database.ts'
import { withClient } from '../harness/server.ts'
import { type Calls, echo, journalOf, startEngine } from './running-engine.ts'

/** For nodes that never poll: what one of them hears of another, it was told. */
const never = 3_600_000
export const listeners =
  "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'cairn listener'"

/** Engines on a database of the test's own. */
export async function openNodes(t: Test) {
  const { url: databaseUrl } = await createTestDatabase(t)
  const start = (calls: Calls = {}, options: EngineOptions = {}): Promise<WorkflowEngine> =>
    startEngine(t, calls, { databaseUrl, pollMs: never, ...options })
  const sql = (text: string) => withClient(databaseUrl, async (client) => (await client.query(text)).rows)
  return { databaseUrl, start, sql }
}

/** An execution as a subscriber hears it. */
export function follow(engine: WorkflowEngine, executionId: string) {
  const seqs: number[] = []
  const types: string[] = []
  let changed = (): void => {}
  const unsubscribe = engine.subscribe(
    executionId,
    (message) => {
      types.push(message.type === 'event' ? message.event.type : message.type)
      if (message.type === 'event') seqs.push(message.seq)
      changed()
    },
    { after: 0 },
  )
  /** Resolves when it has heard so many of that type: of events, or `snapshot`. */
  const until = async (type: string, count = 1): Promise<void> => {
    while (types.filter((heard) => heard === type).length < count)
      await new Promise<void>((resolve) => (changed = resolve))
  }
  return { seqs, until, unsubscribe }
}

export const seqsOf = async (engine: WorkflowEngine, executionId: string): Promise<number[]> =>
  (await journalOf(engine, executionId)).map(({ seq }) => seq)

/** A log with which a test waits for what was logged. */
export function listeningLog(): Log & {
  until(message: string, count?: number): Promise<void>
  line(pattern: RegExp): Promise<string>
} {
  const lines: string[] = []
  let changed = (): void => {}
  const write = (_: object, message: string): void => {
    lines.push(message)
    changed()
  }
  return {
    ...silentLog,
    isLevelEnabled: () => true,
    debug: write,
    info: write,
    warn: write,
    async line(pattern) {
      for (;;) {
        const found = lines.find((line) => pattern.test(line))
        if (found !== undefined) return found
        await new Promise<void>((resolve) => (changed = resolve))
      }
    },
    async until(message, count = 1) {
      while (lines.filter((line) => line === message).length < count)
        await new Promise<void>((resolve) => (changed = resolve))
    },
  }
}

/** Waits for an hour between two attempts: parked, owned by nobody. */
export const sleeper = echo(
  'sleeper',
  { fail: { untilAttempt: 2, retryable: true } },
  {
    retryPolicy: {
      maxAttempts: 2,
      initialIntervalMs: 3_600_000,
      maxIntervalMs: 3_600_000,
      maxElapsedMs: 7_200_000,
      jitter: 0,
    },
  },
)

import type { Test } from 'tap'
import { type Circuits, createCircuits } from '../../../src/repository/circuit-breakers.ts'
import { openDatabase } from '../../../src/repository/connection.ts'
import { createStore } from '../../../src/repository/store.ts'
import { createUpkeep, type Upkeep } from '../../../src/repository/upkeep.ts'
import { until } from '../../harness/condition.ts'
import { startCutter } from '../../harness/cutter.ts'
import { createTestStore } from '../../harness/rows.ts'
import { modelCircuits } from '../../simulation/model/circuits.ts'
import type { LockMode } from '../../simulation/model/locks.ts'
import { Server } from '../../simulation/model/server.ts'
import { type ModelStore, modelStore } from '../../simulation/model/store.ts'
import { modelUpkeep } from '../../simulation/model/upkeep.ts'
import { type Fate, Wire } from '../../simulation/model/wire.ts'
import { type Body, World } from '../../simulation/world.ts'

/** A row that somebody else holds: an execution as a flush does, a node or its first lane as whoever deletes it does. */
export interface Held {
  readonly table: 'execution' | 'node' | 'lane'
  readonly id: string
}

/** A store under test, and what the cases need of its surroundings beside it. */
export interface Side {
  readonly store: ModelStore
  readonly circuits: Circuits
  readonly upkeep: Upkeep
  /** How many rows of statistics there are. */
  counted(): Promise<number>
  /** A failover: the database no longer has this event. */
  loseEvent(executionId: string, seq: number): Promise<void>
  /** A failover: the database no longer has the marks of the node's lanes. */
  loseMarks(node: string): Promise<void>
  /** Everything of rate limits happened so much earlier. */
  ageRateLimits(ms: number): Promise<void>
  /** Another transaction takes the row; resolves with what ends that transaction. */
  hold(row: Held): Promise<() => Promise<void>>
  /** Resolves when so many statements wait for locks. */
  waiting(count: number): Promise<void>
  /**
   * Performs a call that must wait for `row`. Its connection breaks meanwhile, and its backend does not notice: answers what
   * the client was told, and what lets the backend commit and resolves when it has.
   */
  cutOff(row: Held, call: (store: ModelStore) => Promise<unknown>): Promise<{ error: unknown; commit(): Promise<void> }>
}

const locking: Record<Held['table'], { readonly sql: string; readonly row: (id: string) => string; mode: LockMode }> = {
  execution: {
    sql: 'SELECT FROM workflow_executions WHERE id = $1 FOR NO KEY UPDATE',
    row: (id) => `execution ${id}`,
    mode: 'update',
  },
  node: { sql: 'SELECT FROM nodes WHERE id = $1 FOR UPDATE', row: (id) => `node ${id}`, mode: 'exclusive' },
  lane: {
    sql: 'SELECT FROM node_lanes WHERE node_id = $1 AND lane = 0 FOR UPDATE',
    row: (id) => `lane ${id}/0`,
    mode: 'exclusive',
  },
}

/** The statements of src/repository/ on a real server. */
export async function openPostgres(t: Test): Promise<Side> {
  const { store, database, url } = await createTestStore(t)
  const others = (state: string): string =>
    `SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND ${state}`
  const side: Side = {
    store,
    circuits: createCircuits(database),
    upkeep: createUpkeep(database),
    async counted() {
      const { rows } = await database.pool.query('SELECT count(*)::integer AS count FROM fresh_statistics')
      return rows[0].count
    },
    async loseEvent(executionId, seq) {
      await database.pool.query('DELETE FROM execution_events WHERE execution_id = $1 AND seq = $2', [executionId, seq])
    },
    async loseMarks(node) {
      await database.pool.query('UPDATE node_lanes SET mark = 0 WHERE node_id = $1', [node])
    },
    async ageRateLimits(ms) {
      const columns = ['tat', 'line_until', 'late_until', 'asked_at', 'granted_at']
      const aged = columns.map((column) => `${column} = ${column} - $1::bigint * 1000`)
      await database.pool.query(`UPDATE rate_limits SET ${aged.join(', ')}`, [ms])
    },
    async hold({ table, id }) {
      const client = await database.pool.connect()
      await client.query('BEGIN')
      const { rowCount } = await client.query(locking[table].sql, [id])
      if (rowCount !== 1) throw new Error(`no ${table} ${id} to hold`)
      return async () => {
        await client.query('COMMIT')
        client.release()
      }
    },
    async waiting(count) {
      const isWaiting = others("wait_event_type = 'Lock'")
      await until(`${count} wait`, async () => (await database.pool.query(isWaiting)).rowCount === count)
    },
    async cutOff(row, call) {
      const cutter = await startCutter(t, url)
      const severed = openDatabase({ url: cutter.url })
      t.teardown(severed.close)
      const release = await side.hold(row)
      const told = call(createStore(severed)).then(
        () => null,
        (error: unknown) => error,
      )
      await side.waiting(1)
      cutter.cut('WITH ')
      const error = await told
      return {
        error,
        async commit() {
          await release()
          await until('it commits', async () => (await database.pool.query(others("state = 'active'"))).rowCount === 0)
        },
      }
    },
  }
  return side
}

/** What a call that waits for nobody never takes, by the world's clock, ms. Less than the patience of a deletion. */
const CALL_MS = 500
/** A late statement arrives within this time, ms. */
const LATE_MS = 5_000

/** The simulation's model of PostgreSQL. Time is the world's: it goes on while something is asked. */
export async function openModel(): Promise<Side> {
  const world = new World(1)
  let fate: Fate = 'delivered'
  const server = new Server({
    after: (delayMs, run) => void world.after(delayMs, null, run),
    now: () => world.now,
    commitMs: () => 1,
  })
  const network = {
    random: world.random,
    fate: () => fate,
    transitMs: () => 0.1,
    after: (delayMs: number, body: Body | null, run: () => void) => void world.after(delayMs, body, run),
    note: (line: string) => world.note(line),
    committed: () => {},
  }
  const { tables, locks } = server
  const wire = new Wire(server, network, null)
  const { drive, elapse } = driving(world)
  const store = drive(modelStore(wire))
  const waiting = async (count: number, withinMs = CALL_MS): Promise<void> => {
    const came = await world.run(() => locks.waiting === count, world.now + withinMs)
    if (!came) throw new Error(`this did not come about: ${count} wait`)
  }
  const side: Side = {
    store,
    circuits: drive(modelCircuits(wire)),
    upkeep: drive(modelUpkeep(wire)),
    counted: async () => tables.statistics.length,
    loseEvent: async (executionId, seq) => void tables.events.get(executionId)!.delete(seq),
    loseMarks: async (node) => {
      for (const lane of tables.lanes.keys()) if (lane.startsWith(node)) tables.lanes.set(lane, 0)
    },
    async ageRateLimits(ms) {
      const earlier = (time: number): number => time - ms * 1000
      for (const [name, row] of tables.rateLimits) {
        const { tat, lineUntil, lateUntil, askedAt, grantedAt } = row
        tables.rateLimits.set(name, {
          ...row,
          ...{ tat: earlier(tat), lineUntil: earlier(lineUntil), lateUntil: earlier(lateUntil) },
          ...{ askedAt: earlier(askedAt), grantedAt: earlier(grantedAt) },
        })
      }
    },
    async hold({ table, id }) {
      const { row, mode } = locking[table]
      return new Promise((resolve, reject) => {
        server.begin(
          function* hold() {
            yield { row: row(id), mode }
          },
          {
            executed: (_, commit) =>
              resolve(async () => {
                commit(() => {})
                await elapse()
              }),
            failed: reject,
          },
        )
      })
    },
    waiting: (count) => waiting(count),
    async cutOff(row, call) {
      const commit = await side.hold(row)
      fate = 'late'
      const told = call(store).then(
        () => null,
        (error: unknown) => error,
      )
      fate = 'delivered'
      const error = await told
      await waiting(1, LATE_MS)
      return { error, commit }
    },
  }
  return side
}

/** `drive` lets the world go on for whoever awaits an answer: until it is there, or waits for something else to happen. */
function driving(world: World) {
  const elapse = async (isOver = (): boolean => false): Promise<void> =>
    void (await world.run(isOver, world.now + CALL_MS))
  const drive = <Target extends object>(target: Target): Target =>
    new Proxy(target, {
      get(_, name) {
        const method: unknown = Reflect.get(target, name, target)
        if (typeof method !== 'function') return method
        return (...given: unknown[]) => {
          const answer: unknown = Reflect.apply(method, target, given)
          return answer instanceof Promise ? answered(answer) : drive(answer as object)
        }
      },
    })
  const answered = async (answer: Promise<unknown>): Promise<unknown> => {
    let isOver = false
    const end = (): void => {
      isOver = true
    }
    answer.then(end, end)
    await elapse(() => isOver)
    return answer
  }
  return { drive, elapse: () => elapse() }
}

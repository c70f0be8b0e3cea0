/**
 * A million sleeping executions that become due one after another: how fast one node wakes them, how late, and what they cost
 * while they sleep. Each wakes, performs its second attempt and ends; all of it durable.
 */
import { parseArgs } from 'node:util'
import type pg from 'pg'
import { WorkflowEngine } from '../src/engine/engine.ts'
import type { EngineOptions } from '../src/engine/engine-options.ts'
import { noObserver, type Observer } from '../src/engine/observer.ts'
import { connect, walBytes, withDatabase } from './database.ts'
import { spread, watchProcess } from './samples.ts'
import { insertSleepers, sleeperDefinition } from './sleeper-rows.ts'

const { values } = parseArgs({
  options: {
    count: { type: 'string' },
    rate: { type: 'string', default: '5000' },
    quick: { type: 'boolean', default: false },
    backup: { type: 'boolean', default: false },
    fill: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
})
const count = Number(values.count ?? (values.quick ? 20_000 : 1_000_000))
const overMs = (count / Number(values.rate)) * 1000
/** From the node's start to the first wake: what sleepers cost can be seen then. */
const QUIET_MS = 5_000

/** Counts wakes and ends as they are committed. */
class Wakes implements Observer {
  readonly lateness: number[] = []
  readonly flushed = noObserver.flushed
  readonly attemptStarted = noObserver.attemptStarted
  readonly attemptEnded = noObserver.attemptEnded
  readonly over = Promise.withResolvers<void>()
  #missing = count

  committed(row: Parameters<Observer['committed']>[0], { events }: Parameters<Observer['committed']>[1]): void {
    for (const { type, data } of events) {
      if (type === 'timer.fired') this.lateness.push(Date.now() - row.wakeAt!)
      if (type === 'execution.completed') this.#missing -= 1
      if (type === 'execution.failed') throw new Error(`An execution failed: ${JSON.stringify(data)}`)
    }
    if (this.#missing === 0) this.over.resolve()
  }
}

await withDatabase('sleepers', async (url) => {
  const wakes = new Wakes()
  const options = { databaseUrl: url, lanes: Number(process.env.PERF_LANES ?? 1), observer: wakes }
  const client = await connect(url)
  const dueFrom = await fill(client, await sleeperWorkflow(options))
  const engine = new WorkflowEngine(options)
  const startMs = await elapsed(() => engine.start())
  const claims = timeClaims(engine)
  // A transaction as a backup holds it open: what it might still see cannot be vacuumed.
  const backup = values.backup ? await connect(url) : null
  await backup?.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM nodes')
  const rssAsleepMiB = Math.round(process.memoryUsage.rss() / 1024 ** 2)
  const quietBefore = await transactionsOf(client)
  await until(dueFrom - 500)
  const transactionsAsleep = (await transactionsOf(client)) - quietBefore
  const [wal, transactions, done] = [await walBytes(client), await transactionsOf(client), watchProcess()]
  await wakes.over.promise
  const figures = {
    count,
    startMs,
    rssAsleepMiB,
    transactionsAsleep,
    wakesPerSecond: Math.round((count * 1000) / (Date.now() - dueFrom)),
    ...spread(wakes.lateness),
    ...done(),
    transactionsPerWake: ((await transactionsOf(client)) - transactions) / count,
    walBytesPerWake: Math.round(((await walBytes(client)) - wal) / count),
    claimMs: claims(),
    ...(await bloatOf(client)),
  }
  if (values.json) console.log(JSON.stringify(figures))
  else console.table(Object.entries(figures).map(([name, value]) => ({ name, value: JSON.stringify(value) })))
  await backup?.end()
  await engine.stop()
  await client.end()
})

async function sleeperWorkflow(options: EngineOptions): Promise<string> {
  const engine = new WorkflowEngine(options)
  await engine.start()
  const { id } = await engine.createWorkflow(sleeperDefinition(3_600_000))
  await engine.stop()
  return id
}

/** Puts them to sleep and answers when the first is due: soon after this. */
async function fill(client: pg.Client, workflowId: string): Promise<number> {
  const dueFrom = Date.now() + QUIET_MS + Number(values.fill ?? 10 + count / 5_000) * 1000
  const part = 100_000
  for (let first = 0; first < count; first += part) {
    const size = Math.min(part, count - first)
    const share = overMs / count
    const partFrom = Math.round(dueFrom + first * share)
    await insertSleepers(client, { workflowId, count: size, dueFrom: partFrom, overMs: size * share })
    console.error(`${first + size} of ${count} asleep`)
  }
  await client.query('VACUUM ANALYZE')
  if (Date.now() > dueFrom - QUIET_MS) throw new Error('The insertion took too long: give it more seconds with --fill')
  await until(dueFrom - QUIET_MS)
  return dueFrom
}

function until(time: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, time - Date.now()))
}

async function elapsed(task: () => Promise<void>): Promise<number> {
  const startedAt = performance.now()
  await task()
  return Math.round(performance.now() - startedAt)
}

/** Measures each claim that brought something; answers the spread of the first and of the last tenth of them. */
function timeClaims(engine: WorkflowEngine): () => object {
  const durations: number[] = []
  const { claim } = engine.store
  Object.assign(engine.store, {
    claim: async (...call: Parameters<typeof claim>) => {
      const startedAt = performance.now()
      const claimed = await claim(...call)
      if (claimed.length > 0) durations.push(performance.now() - startedAt)
      return claimed
    },
  })
  return () => {
    const tenth = Math.ceil(durations.length / 10)
    return { claims: durations.length, first: spread(durations.slice(0, tenth)), last: spread(durations.slice(-tenth)) }
  }
}

/** Each statement of ours is a transaction. */
async function transactionsOf(client: pg.Client): Promise<number> {
  await client.query('SELECT pg_stat_clear_snapshot()')
  const { rows } = await client.query(
    'SELECT xact_commit::float8 AS commits FROM pg_stat_database WHERE datname = current_database()',
  )
  return rows[0].commits
}

/** What the stream of wakes left in the table and in the index that claims read. */
async function bloatOf(client: pg.Client): Promise<object> {
  const { rows } = await client.query(
    `SELECT n_dead_tup::integer AS "deadRows", autovacuum_count::integer AS autovacuums,
       round(100.0 * n_tup_hot_upd / greatest(n_tup_upd, 1))::integer AS "hotPercent",
       pg_relation_size('workflow_executions') / 1024 ^ 2 AS "tableMiB",
       pg_relation_size('workflow_executions_wakes'::regclass) / 1024 ^ 2 AS "wakesIndexMiB"
     FROM pg_stat_user_tables WHERE relname = 'workflow_executions'`,
  )
  return rows[0]
}

/**
 * `npm run perf:history`: how quick everything stays with ten million events of a million executions. Fills a database, then asks
 * a service for lists, progress and statistics over HTTP at idle (goal: p99 of 20 ms), and then performs every statement that lists,
 * reads, claims, recovers, retains or compacts, as the engine sends it, and prints its plan's time, pages and indexes. A table of
 * history that is read from end to end is an error: the process ends with 1 (not with --quick).
 * With `--executions 10000000 --events 2` it is ten million executions. `--only latency` or `plans`; `--json` for the latencies.
 */
import os from 'node:os'
import { parseArgs } from 'node:util'
import { v7 as uuidv7 } from 'uuid'
import { openDatabase } from '../src/repository/connection.ts'
import { migrate } from '../src/repository/migrate.ts'
import { createStore, type Store } from '../src/repository/store.ts'
import { createUpkeep, type Upkeep } from '../src/repository/upkeep.ts'
import { connect, withDatabase } from './database.ts'
import { Explainer, type Plan } from './explain.ts'
import { fill, WORKFLOWS, workflowId } from './history-fill.ts'
import { type Latency, latencies } from './history-latency.ts'

const { values: given } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    executions: { type: 'string' },
    events: { type: 'string', default: '10' },
    plans: { type: 'boolean', default: false },
    only: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
})
const executions = Number(given.executions ?? (given.quick ? 20_000 : 1_000_000))
const events = Number(given.events)
/** Of each kind. */
const requests = given.quick ? 50 : 500
const GOAL_MS = 20

/** They grow with history; the others hold what is under way, or definitions. */
const big = new Set([
  'workflow_executions',
  'execution_events',
  'execution_snapshots',
  'execution_tags',
  'idempotency_keys',
])
const DAY_MS = 86_400_000
const log = (line: string): void => console.error(line)
const say = given.json ? log : (line: string): void => console.log(line)

/** One of each, somewhere in the middle. */
interface Samples {
  readonly node: string
  readonly completed: string
  readonly waiting: string
  readonly snapshotted: string
}

function casesOf(store: Store, upkeep: Upkeep, samples: Samples): Record<string, () => Promise<unknown>> {
  const { node, completed, waiting, snapshotted } = samples
  const one = workflowId(7)
  const now = Date.now()
  const list = (filter: object, cursor?: string) => () => store.listExecutions(filter, 50, cursor)
  const item = { executionId: waiting, kind: 'signal', name: 'go', payload: null, at: now } as const
  const due = (days: number) =>
    Array.from({ length: WORKFLOWS }, (_, i) => ({ workflowId: workflowId(i), before: now - days * DAY_MS }))
  const compactable = { executionId: snapshotted, through: 2, seen: { seq: 2, at: 0 }, pinned: [] }
  return {
    'list: newest': list({}),
    'list: a page in the middle': async () => {
      const middle = await store.listExecutions({ createdBefore: now - 50 * DAY_MS }, 50)
      await store.listExecutions({}, 50, middle.nextCursor!)
    },
    'list: one workflow': list({ workflowId: one }),
    'list: completed': list({ status: 'completed' }),
    'list: failed': list({ status: 'failed' }),
    'list: running (none)': list({ status: 'running' }),
    'list: failed of one workflow': list({ status: 'failed', workflowId: one }),
    'list: triggeredBy': list({ triggeredBy: 'user-500' }),
    'list: correlationId': list({ correlationId: `correlation-${Math.floor(executions / 20) * 10 + 1}` }),
    'list: tag': list({ tag: 'tag-12' }),
    'list: a day long ago': list({ createdAfter: now - 60 * DAY_MS, createdBefore: now - 59 * DAY_MS }),
    'read: execution': () => store.findExecutionView(completed),
    'read: journal': () => store.eventsAfter(completed, 0, 101),
    'progress: snapshot, rollbacks, events': async () => {
      await store.rollbacksOf(snapshotted)
      await store.newestSnapshot(snapshotted, Number.MAX_SAFE_INTEGER)
      await store.eventsAfter(snapshotted, 2, 32)
    },
    'statistics: one workflow': () => store.readStatistics(one),
    'statistics: all': () => store.readStatistics(),
    'statistics: fold': () => store.foldStatistics(),
    claim: () => store.claim(node, { limit: 100, room: 100, formats: [1] }),
    'recover: what a node owns': () => store.findOwned(node),
    'recover: many rollbacks at once': () => store.rollbacksOfMany([completed, waiting, snapshotted]),
    'inbox: put': () => store.insertInbox({ ...item, requestId: uuidv7() }),
    'inbox: of a node': () => store.inboxOfOwner(node, 1000),
    'streams: tail': () =>
      store.tailMany(
        [completed, waiting].map((executionId) => ({ executionId, after: 3 })),
        2000,
      ),
    'streams: workflows': () => store.executionsChangedSince([one], now - 5_000, 1000),
    'streams: what is gone': () => store.missingExecutions([completed, uuidv7()]),
    'retention: nothing due': () => upkeep.retireExecutions(due(1_000), 100),
    'retention: 100 due': () => upkeep.retireExecutions(due(30), 100),
    'retention: their journals': () => upkeep.purgeRetired(1000),
    'compaction: a batch': () => upkeep.compactEvents(compactable, 0, 1000),
  }
}

const explainer = new Explainer()
explainer.install()
const scans = await withDatabase('history', async (url) => {
  const database = openDatabase({ url })
  const client = await connect(url)
  try {
    await migrate(database)
    await fill(client, { executions, events }, log)
    const { rows: sizes } = await client.query('SELECT pg_size_pretty(pg_database_size(current_database())) AS size')
    say(
      `${executions} executions, ${executions * events} events, ${sizes[0].size}; ${os.cpus().length} × ${os.cpus()[0]?.model}, ` +
        `Node ${process.versions.node}, load ${os.loadavg()[0]!.toFixed(1)}, ${new Date().toISOString().slice(0, 10)}`,
    )
    if (given.only !== 'plans') print(await latencies(url, client, requests))
    if (given.only === 'latency') return 0
    const store = createStore(database)
    const node = uuidv7()
    await store.registerNode({ id: node, host: 'perf', lanes: 1, leaseMs: 3_600_000 })
    const sample = async (condition: string): Promise<string> =>
      (await client.query(`SELECT id FROM workflow_executions WHERE ${condition} LIMIT 1`)).rows[0].id
    const samples = {
      node,
      completed: await sample("status = 'completed'"),
      waiting: await sample("status = 'waiting'"),
      snapshotted: (await client.query('SELECT execution_id AS id FROM execution_snapshots LIMIT 1')).rows[0].id,
    }
    return await report(casesOf(store, createUpkeep(database), samples))
  } finally {
    await client.end()
    await database.close()
  }
}).finally(() => explainer.uninstall())
// A table of a few pages is rightly read whole: --quick shows that everything runs, not how it scales.
if (scans > 0 && !given.quick) process.exitCode = 1

function print(measured: readonly Latency[]): void {
  if (given.json) return console.log(JSON.stringify({ program: 'history', executions, events, figures: measured }))
  const tenths = (ms: number): number => Math.round(ms * 10) / 10
  console.table(
    measured.map(({ what, p50Ms, p99Ms, maxMs }) => ({
      ...{ what, 'p50 ms': tenths(p50Ms), 'p99 ms': tenths(p99Ms), 'max ms': tenths(maxMs) },
      [`p99 ≤ ${GOAL_MS} ms`]: p99Ms <= GOAL_MS ? 'yes' : 'no',
    })),
  )
}

/** Prints a row a statement; answers how many read a table of history from end to end. */
async function report(cases: Record<string, () => Promise<unknown>>): Promise<number> {
  const rows: object[] = []
  let scans = 0
  for (const [name, task] of Object.entries(cases)) {
    // Once to warm up, so that what is shown is the plan and not the disk.
    await task()
    for (const plan of await explainer.plansOf(task)) {
      const bad = plan.scanned.filter((table) => big.has(table))
      scans += bad.length
      rows.push(rowOf(name, plan, bad))
      if (given.plans) console.log(name, plan.text, JSON.stringify(plan.tree, null, 1))
    }
  }
  if (!given.json) console.table(rows)
  return scans
}

function rowOf(name: string, plan: Plan, bad: readonly string[]): object {
  return {
    what: name,
    ms: Math.round(plan.executionMs * 100) / 100,
    'planning ms': Math.round(plan.planningMs * 100) / 100,
    pages: plan.pages,
    'Seq Scan': bad.join(', '),
    indexes: plan.indexes.map((index) => index.replace(/^workflow_executions_/, 'e_')).join(', '),
  }
}

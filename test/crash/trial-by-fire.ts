import type pg from 'pg'
import type { JournalEvent } from '../../src/engine/core/event.ts'
import { openDatabase } from '../../src/repository/connection.ts'
import { createStore, type Store } from '../../src/repository/store.ts'
import { withClient } from '../harness/server.ts'
import { Cluster } from './cluster.ts'
import { violationsOf } from './comparison.ts'
import { type Fault, Faults } from './faults.ts'
import { type Entry, executionOf, openLedger } from './ledger.ts'
import { type Driven, definitions, driveOne, inputs, lostOf } from './load.ts'
import { randomOf } from './random.ts'
import { planOf } from './scenario.ts'

export interface TrialOptions {
  readonly databaseUrl: string
  readonly nodes: number
  readonly seed: number
  readonly leaseMs: number
  /** Clients that drive an execution at the same time. */
  readonly clients: number
  /** Asked before each fault whether there is to be one more. */
  readonly goesOn: (made: number) => boolean
  /** How likely a fault is that a node stands still instead of being killed. */
  readonly stopProbability: number
}

/** What came of it; nothing is lost when there are no violations. */
export interface Trial {
  readonly faults: readonly Fault[]
  readonly executions: number
  readonly events: number
  readonly ledgerEntries: number
  readonly acknowledged: number
  readonly violations: readonly string[]
  /** For each fault that left executions behind: how many, and until the last of them was taken over, ms after the fault. */
  readonly recoveries: readonly Recovery[]
}

interface Recovery {
  readonly how: Fault['how']
  readonly executions: number
  readonly ms: number
}

/**
 * Several nodes under load; nodes are killed and stand still, others take their place, and at the end every execution's
 * journal, what the ledger heard, what was acknowledged and the outcome of an undisturbed run are compared.
 */
export async function standTrial(options: TrialOptions): Promise<Trial> {
  const { databaseUrl, leaseMs, seed } = options
  const ledger = await openLedger()
  const cluster = new Cluster({ databaseUrl, ledgerUrl: ledger.url, leaseMs })
  try {
    return await withClient(databaseUrl, async (client) => {
      await Promise.all(Array.from({ length: options.nodes }, () => cluster.start().url))
      const workflows = await createWorkflows(cluster)
      const outcomes = await undisturbed(cluster, workflows, seed)
      const faults = new Faults(cluster, ledger, randomOf(seed), client)
      const driven = await underFire(options, cluster, workflows, faults)
      await cluster.stop()
      return await judge(databaseUrl, driven, outcomes, ledger.entries, faults.made, client)
    })
  } finally {
    cluster.kill()
    await ledger.close()
  }
}

async function createWorkflows(cluster: Cluster): Promise<Map<string, string>> {
  const created = definitions.map(async (definition) => {
    const { answer } = await cluster.request('POST', '/api/workflows', {
      body: definition,
      key: definition.name,
      pick: () => 0,
    })
    return [definition.name, (answer as { id: string }).id] as const
  })
  return new Map(await Promise.all(created))
}

const outcomeKey = (workflow: string, n: number): string => `${workflow} of ${n}`

async function undisturbed(
  cluster: Cluster,
  workflows: Map<string, string>,
  seed: number,
): Promise<Map<string, unknown>> {
  const pairs = definitions.flatMap(({ name }) => inputs.map((input) => ({ name, input })))
  const runs = pairs.map(async ({ name, input }) => {
    const given = { name: `calm ${name} ${input.n}`, random: randomOf(seed), isCalm: true }
    const { output } = await driveOne(cluster, workflows, given, name, input)
    return [outcomeKey(name, input.n), output] as const
  })
  return new Map(await Promise.all(runs))
}

/** The clients go on for as long as faults are made, and each of them ends what it has begun. */
async function underFire(
  { clients, goesOn, seed, stopProbability }: TrialOptions,
  cluster: Cluster,
  workflows: ReadonlyMap<string, string>,
  faults: Faults,
): Promise<Driven[]> {
  const driven: Driven[] = []
  let isOver = false
  const load = Array.from({ length: clients }, async (_, client) => {
    for (let nth = 1; !isOver; nth++) {
      const random = randomOf(seed * 1_000_003 + client * 10_007 + nth)
      driven.push(await driveOne(cluster, workflows, { name: `load ${client} ${nth}`, random }))
    }
  })
  const random = randomOf(seed + 1)
  const making = (async () => {
    while (goesOn(faults.made.length)) {
      if (random.next() >= stopProbability) await faults.kill()
      else if (random.next() < 0.5) await faults.standStill()
      else await faults.standStillShortly()
    }
  })()
  // A client that fails ends it all: it is what the trial is about.
  await Promise.race([making, Promise.all(load)])
  isOver = true
  await Promise.all(load)
  return driven
}

async function judge(
  databaseUrl: string,
  driven: readonly Driven[],
  outcomes: ReadonlyMap<string, unknown>,
  entries: readonly Entry[],
  faults: readonly Fault[],
  client: pg.Client,
): Promise<Trial> {
  const database = openDatabase({ url: databaseUrl })
  const store = createStore(database)
  const heard = Map.groupBy(entries, executionOf)
  const violations: string[] = await leftovers(client)
  const recovered: JournalEvent[] = []
  let events = 0
  try {
    for (const one of driven) {
      const history = await journalOf(store, one.executionId)
      events += history.length
      recovered.push(...history.filter(({ type }) => type === 'execution.recovered'))
      const execution = (await store.findExecution(one.executionId))!
      const plan = planOf(definitions.find(({ name }) => name === one.workflow)!)
      const evidence = { plan, execution, history, entries: heard.get(one.executionId) ?? [] }
      violations.push(...violationsOf(evidence), ...lostOf(one, history))
      const expected = outcomes.get(outcomeKey(one.workflow, one.n))
      if (one.status === 'completed' && JSON.stringify(one.output) !== JSON.stringify(expected))
        violations.push(`${one.executionId}: ${JSON.stringify(one.output)} instead of ${JSON.stringify(expected)}`)
    }
  } finally {
    await database.close()
  }
  return {
    faults,
    executions: driven.length,
    events,
    ledgerEntries: entries.length,
    acknowledged: driven.reduce((sum, { acknowledged }) => sum + 1 + acknowledged.length, 0),
    violations,
    recoveries: recoveriesOf(faults, recovered),
  }
}

/** What must not be there when all executions are over and all nodes have stopped. */
async function leftovers(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ what: string }>(
    `SELECT 'inbox row ' || id || ' of ' || execution_id AS what FROM execution_inbox
     UNION ALL SELECT 'execution ' || id || ' is ' || status || ' and owned by ' || coalesce(owner::text, 'nobody')
     FROM workflow_executions WHERE status NOT IN ('completed', 'cancelled') OR owner IS NOT NULL`,
  )
  return rows.map(({ what }) => what)
}

async function journalOf(store: Store, executionId: string): Promise<JournalEvent[]> {
  const history: JournalEvent[] = []
  for (;;) {
    const page = await store.eventsAfter(executionId, history.at(-1)?.seq ?? 0, 1_000)
    history.push(...page)
    if (page.length < 1_000) return history
  }
}

/** A takeover belongs to the last fault that hit the life before it was taken over from; without one the lease had lapsed. */
function recoveriesOf(faults: readonly Fault[], recovered: readonly JournalEvent[]): Recovery[] {
  const taken = Map.groupBy(recovered, ({ at, data }) => {
    const { from } = data as { from: string }
    return faults.findLast((fault) => fault.node === from && fault.at <= at)
  })
  return faults.flatMap((fault) => {
    const own = taken.get(fault) ?? []
    if (own.length === 0) return []
    return [{ how: fault.how, executions: own.length, ms: Math.max(...own.map((event) => event.at)) - fault.at }]
  })
}

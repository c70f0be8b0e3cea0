import { compile } from '../../src/definition/compile.ts'
import type { Plan } from '../../src/definition/plan.ts'
import { isFinished } from '../../src/engine/core/state.ts'
import { Audit, type Broken } from './audit.ts'
import { childWorkflows } from './child-workflows.ts'
import { Clients } from './clients.ts'
import { scriptSchema, Targets } from './effects.ts'
import { Faults } from './faults.ts'
import { PostOffice } from './model/notifications.ts'
import { Server } from './model/server.ts'
import { SimulatedNode } from './node.ts'
import { EPOCH, idAt } from './node-clock.ts'
import { type Scenario, TROUBLE_MS } from './scenario.ts'
import { World } from './world.ts'

/** What one run showed. */
export interface Outcome {
  readonly broken: readonly Broken[]
  readonly trace: readonly string[]
  /** Tasks of the scheduler. */
  readonly steps: number
  /** ms of the world's time. */
  readonly lasted: number
  /** The same for the same scenario: of every event of every history. */
  readonly fingerprint: string
}

/** How long after the last fault everything must have ended, ms; nested loops whose every attempt is slow and retried included. */
const PATIENCE_MS = 600_000
/** When nothing has an owner that is not alive any more: the lease and 5 s (promise 6). */
const TAKEOVER_MS = 5_000
const DAY_MS = 24 * 3_600_000
const HOUSEKEEPING_MS = 400

/** Runs the whole engine on as many nodes as the scenario has, through all that goes wrong in it, to the end. */
export async function run(scenario: Scenario): Promise<Outcome> {
  const world = new World(scenario.seed)
  let faults: Faults | null = null
  const server = new Server({
    after: (delayMs, task) => void world.after(delayMs, null, task),
    now: () => world.now,
    commitMs: () => {
      const { random } = world
      const slow = faults?.commitMs ?? 0
      if (slow > 0 && random.chance(0.5)) return random.between(0, slow)
      return random.chance(0.05) ? random.between(0, 60) : random.between(0.1, 2)
    },
  })
  const plans = new Map<string, Plan>()
  const isTimed = new Map<string, boolean>()
  for (const { definition, isTimed: timed } of scenario.workflows) {
    const id = idAt(EPOCH, world)
    plans.set(id, planOf(definition))
    isTimed.set(id, timed)
    store(server, id, id, definition)
  }
  const starting = [...plans.keys()]
  const named = new Map<string, Plan>()
  for (const [name, definition] of Object.entries(childWorkflows)) {
    const id = idAt(EPOCH, world)
    const plan = planOf({ name, ...definition })
    plans.set(id, plan)
    named.set(name, plan)
    store(server, id, name, { name, ...definition })
  }
  const isCalm = scenario.faults.every(({ what }) => what.type === 'target_away')
  const audit = new Audit(
    world,
    server,
    (id) => plans.get(id)!,
    (name) => named.get(name)!,
    isCalm,
  )
  const office = scenario.hasHints ? new PostOffice(world, server) : null
  const targets = new Targets()
  const nodes = scenario.nodes.map(
    ({ skewMs }, index) =>
      new SimulatedNode(
        `n${index}`,
        {
          world,
          server,
          options: optionsOf(scenario),
          snapshotBytes: scenario.snapshotBytes,
          office,
          targets,
          onEffect: (node, effect) => audit.effect(node, effect),
          onFault: (rule, what) => audit.fault(rule, what),
        },
        skewMs,
      ),
  )
  faults = new Faults(world, server, nodes, targets)
  const clients = new Clients(world, server, audit, nodes, starting)
  for (const node of nodes) node.start()
  for (const act of scenario.acts) world.after(act.at, null, () => clients.act(act))
  for (const fault of scenario.faults) world.after(fault.at, null, () => faults.happen(fault))
  const isBroken = (): boolean => audit.broken.length > 0

  const keepUp = (): void => {
    clients.reconnect()
    world.after(200, null, keepUp)
  }
  keepUp()
  await world.run(isBroken, TROUBLE_MS + 50)
  // Faults that still last end by themselves; whoever was killed comes back.
  const lastFault = Math.max(0, ...scenario.faults.map(({ at, what }) => at + what.forMs))
  await world.run(isBroken, Math.max(world.now, lastFault))
  faults.end()
  const calm = world.now
  const help = (): void => {
    for (const node of nodes) node.start()
    clients.resumeAll()
    clients.freeAll()
    clients.answerAll()
    world.after(300, null, help)
  }
  help()
  world.after(scenario.leaseMs + TAKEOVER_MS, null, () => takenOver(server, audit))
  const isOver = (): boolean => isBroken() || (world.now >= calm + scenario.leaseMs + 500 && isQuiet(server, clients))
  await world.run(isOver, calm + PATIENCE_MS)
  if (!isBroken()) {
    audit.settled((id) => isTimed.get(id) === true, clients.mayBeCancelled())
    audit.statistics()
    clients.settled()
  }
  const lasted = world.now
  await end(world, nodes)
  return { broken: audit.broken, trace: world.trace, steps: world.steps, lasted, fingerprint: fingerprintOf(server) }
}

/** Everything has ended, and everybody who watches has heard of it. */
function isQuiet({ tables, isUp }: Server, clients: Clients): boolean {
  if (!isUp || tables.inbox.size > 0) return false
  for (const { status, owner } of tables.executions.values()) if (!isFinished(status) || owner !== null) return false
  return clients.haveHeardAll
}

/** Promise 6: within the lease and 5 s somebody alive owns whatever is owned. */
function takenOver({ tables }: Server, audit: Audit): void {
  for (const { id, owner } of tables.executions.values()) {
    if (owner !== null && !tables.nodes.has(owner))
      audit.fault('any node recovers any execution', `${id} is ${owner}'s`)
  }
}

/** Lets every process go, so that nothing of this run is left behind in the real world. */
async function end(world: World, nodes: readonly SimulatedNode[]): Promise<void> {
  const stopped = Promise.all(nodes.map((node) => node.stop()))
  let isOver = false
  void stopped.then(() => {
    isOver = true
  })
  await world.run(() => isOver, world.now + 30_000)
  for (const node of nodes) node.crash()
}

function optionsOf({ leaseMs, parkAfterMs, drainMs, lanes, maxRunning, maxAttempts, keptMs }: Scenario) {
  const housekeeping = { retentionDays: keptMs === null ? null : keptMs / DAY_MS, housekeepingMs: HOUSEKEEPING_MS }
  return { databaseUrl: 'model', leaseMs, parkAfterMs, drainMs, lanes, maxRunning, maxAttempts, ...housekeeping }
}

const act = { type: 'act', configSchema: scriptSchema, secretFields: [], literalFields: [] }

function planOf(definition: object): Plan {
  const result = compile(definition, new Map([['act', act]]))
  if ('faults' in result) throw new Error(`a random definition does not compile: ${JSON.stringify(result.faults)}`)
  return result.plan
}

/** The workflow is there before any node is. */
function store({ tables }: Server, id: string, name: string, definition: object): void {
  const times = { createdAt: EPOCH, updatedAt: EPOCH }
  const named = { namespace: 'default', name, description: null, tags: [] }
  tables.workflows.set(id, { id, ...named, activeVersion: 1, newestVersion: 1, status: 'active', ...times })
  const text = JSON.stringify(definition)
  const version = { workflowId: id, version: 1, definition: text, deprecatedAt: null, createdAt: EPOCH }
  tables.versions.set(`${id}/1`, version)
}

function fingerprintOf({ tables }: Server): string {
  let hash = 0x811c9dc5
  for (const events of tables.events.values()) {
    for (const { executionId, seq, type, at, path } of events.values()) {
      const text = `${executionId} ${seq} ${type} ${at} ${path}`
      for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
    }
  }
  return (hash >>> 0).toString(16)
}

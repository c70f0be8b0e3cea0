/**
 * What subscribers cost: one execution of 1,000 steps that 1,000 WebSockets follow, and 1,000 executions of ten steps that one
 * WebSocket each follows, beside the same executions with nobody listening. Every subscriber must hear every event; service,
 * subscribers and PostgreSQL share the machine. Each is done twice, and the second time counts: 10,000 steps are over before the
 * first has warmed anything up. `node perf/subscribers.ts`; `--sockets` 1000, `--json`.
 */
import { parseArgs } from 'node:util'
import { connect, withDatabase } from './database.ts'
import { echoSteps } from './engine-program.ts'
import { Clients, startService, times } from './service.ts'

const { values } = parseArgs({
  options: { sockets: { type: 'string', default: '1000' }, json: { type: 'boolean', default: false } },
})
const sockets = Number(values.sockets)
const CONNECTIONS = 32
/** How long before they begin all executions are stored, and all sockets open, at first. */
const AHEAD_MS = 8_000

interface Case {
  readonly executions: number
  readonly steps: number
  readonly subscribers: number
}

interface Subscribed extends Case {
  readonly stepsPerSecond: number
  readonly messages: number
  /** From the last commit of the last execution until the last subscriber had heard of it, ms; null without subscribers. */
  readonly behindMs: number | null
  readonly rssMiB: number | null
}

/** null: the machine is slower than that, and the sockets were not open in time. */
async function measure(databaseUrl: string, one: Case, aheadMs: number): Promise<Subscribed | null> {
  const service = await startService(databaseUrl, { CAIRN_MAX_RUNNING: '100000' })
  const clients = new Clients(service.url, CONNECTIONS)
  const database = await connect(databaseUrl)
  try {
    let round: Round | null = null
    for (const name of ['warming-up', 'measured']) {
      round = await follow(clients, database, name, one, aheadMs)
      if (round === null) return null
    }
    return { ...one, ...round!, rssMiB: await service.rssMiB() }
  } finally {
    await database.end()
    await clients.close()
    await service.stop()
  }
}

type Round = Pick<Subscribed, 'stepsPerSecond' | 'messages' | 'behindMs'>

async function follow(
  clients: Clients,
  database: Awaited<ReturnType<typeof connect>>,
  name: string,
  { executions, steps, subscribers }: Case,
  aheadMs: number,
): Promise<Round | null> {
  const workflowId = await clients.createWorkflow({ name, steps: echoSteps(steps) })
  const startAt = new Date(Date.now() + aheadMs).toISOString()
  const ids = await times(executions, CONNECTIONS, () => clients.start(workflowId, { startAt }))
  const audience = new Audience()
  const open = await times(subscribers, CONNECTIONS, (i) => audience.join(clients, ids[i % executions]!))
  try {
    if (Date.now() > Date.parse(startAt)) return null
    const { ranMs, endedAt } = await ran(database, workflowId, executions)
    const heardAt = subscribers === 0 ? null : await audience.heard(subscribers)
    return {
      stepsPerSecond: Math.round((executions * steps * 1000) / ranMs),
      messages: audience.messages,
      behindMs: heardAt === null ? null : Math.max(0, heardAt - endedAt),
    }
  } finally {
    for (const socket of open) socket.terminate()
  }
}

/** Waits until all have ended; from the first start to the last end by the rows' own times, and when that end was. */
async function ran(
  database: Awaited<ReturnType<typeof connect>>,
  workflowId: string,
  executions: number,
): Promise<{ ranMs: number; endedAt: number }> {
  for (;;) {
    const { rows } = await database.query(
      "SELECT count(*)::int AS n, min(started_at)::float8 AS first, max(completed_at)::float8 AS last FROM workflow_executions WHERE status = 'completed' AND workflow_id = $1",
      [workflowId],
    )
    const { n, first, last } = rows[0]
    if (n === executions) return { ranMs: last - first, endedAt: last }
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

/** Everybody who listens; whoever misses an event, or hears one twice, makes the measurement fail. */
class Audience {
  messages = 0
  #done = 0
  #lastAt = 0
  #wanted = 0
  #resolve = (_: number): void => {}
  #reject = (_: Error): void => {}

  join(clients: Clients, executionId: string) {
    let seq = 0
    return clients.follow(executionId, (text) => {
      this.messages += 1
      const message = JSON.parse(text) as { type: string; seq?: number; event?: { type: string } }
      if (message.type !== 'event' || message.seq === undefined) return
      if (message.seq !== seq + 1) this.#reject(new Error(`seq ${message.seq} came after ${seq}`))
      seq = message.seq
      if (!text.includes('"execution.completed"')) return
      this.#done += 1
      this.#lastAt = Date.now()
      this.#settle()
    })
  }

  /** When the last of so many has heard the end; ms since 1970. */
  heard(subscribers: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#wanted = subscribers
      this.#resolve = resolve
      this.#reject = reject
      this.#settle()
    })
  }

  #settle(): void {
    if (this.#wanted > 0 && this.#done === this.#wanted) this.#resolve(this.#lastAt)
  }
}

const measured: Subscribed[] = []
for (const one of [
  { executions: 1, steps: 1_000, subscribers: 0 },
  { executions: 1, steps: 1_000, subscribers: sockets },
  { executions: sockets, steps: 10, subscribers: 0 },
  { executions: sockets, steps: 10, subscribers: sockets },
]) {
  let done: Subscribed | null = null
  for (let aheadMs = AHEAD_MS; done === null; aheadMs *= 2)
    done = await withDatabase('subscribers', (url) => measure(url, one, aheadMs))
  measured.push(done)
}
if (values.json) console.log(JSON.stringify({ program: 'subscribers', figures: measured }))
else console.table(measured)

/**
 * What subscribers cost: one execution of 1,000 steps that 1,000 WebSockets follow, and 1,000 executions of ten steps that one
 * WebSocket each follows, in turns with the same executions and nobody listening. Every subscriber must hear every event; service,
 * subscribers and PostgreSQL share the machine. The round of median speed counts, but for the first two of a service: 10,000 steps are
 * over in a quarter of a second, before the first have warmed anything up. `node perf/subscribers.ts`; `--sockets` 1000,
 * `--only` one or each, `--json`.
 */
import { randomUUID } from 'node:crypto'
import { parseArgs } from 'node:util'
import { connect, withDatabase } from './database.ts'
import { echoSteps } from './engine-program.ts'
import { Clients, startService, times } from './service.ts'

const { values } = parseArgs({
  options: {
    sockets: { type: 'string', default: '1000' },
    only: { type: 'string', default: 'one,each' },
    json: { type: 'boolean', default: false },
  },
})
const sockets = Number(values.sockets)
const CONNECTIONS = 32
const WARM_UPS = 2
const ROUNDS = 5
/** How long before they begin all executions are stored, and all sockets open, at first. */
const AHEAD_MS = 8_000

interface Work {
  readonly executions: number
  readonly steps: number
}

interface Subscribed extends Work {
  readonly subscribers: number
  readonly stepsPerSecond: number
  readonly messages: number
  /** From the last commit of the last execution until the last subscriber had heard of it, ms; null without subscribers. */
  readonly behindMs: number | null
  /** Of the process, which does the same with and without subscribers in turns. */
  readonly rssMiB: number | null
}

/** The same work without and with subscribers, in turns; null: the machine is slower than that, and the sockets were not open in time. */
async function measure(databaseUrl: string, work: Work, aheadMs: number): Promise<Subscribed[] | null> {
  const service = await startService(databaseUrl, { CAIRN_MAX_RUNNING: '100000' })
  const clients = new Clients(service.url, CONNECTIONS)
  const database = await connect(databaseUrl)
  const cases = [0, sockets].map((subscribers) => ({
    subscribers,
    rounds: [] as Round[],
    rssMiB: null as number | null,
  }))
  try {
    for (let i = 0; i < WARM_UPS + ROUNDS; i++) {
      for (const one of cases) {
        const last = one.rounds.at(-1)
        const ahead = last === undefined ? aheadMs : (aheadMs / AHEAD_MS) * (500 + 2 * last.preparedMs)
        const round = await follow(clients, database, { ...work, subscribers: one.subscribers }, ahead)
        if (round === null) return null
        one.rounds.push(round)
        one.rssMiB = await service.rssMiB()
      }
    }
  } finally {
    await database.end()
    await clients.close()
    await service.stop()
  }
  return cases.map(({ subscribers, rounds, rssMiB }) => {
    const { preparedMs: _, ...typical } = rounds.slice(WARM_UPS).sort(bySpeed)[Math.floor(ROUNDS / 2)]!
    return { ...work, subscribers, ...typical, rssMiB }
  })
}

type Round = Pick<Subscribed, 'stepsPerSecond' | 'messages' | 'behindMs'> & { readonly preparedMs: number }

const bySpeed = (a: Round, b: Round): number => a.stepsPerSecond - b.stepsPerSecond

async function follow(
  clients: Clients,
  database: Awaited<ReturnType<typeof connect>>,
  { executions, steps, subscribers }: Work & { readonly subscribers: number },
  aheadMs: number,
): Promise<Round | null> {
  const workflowId = await clients.createWorkflow({ name: `followed ${randomUUID()}`, steps: echoSteps(steps) })
  const begunAt = Date.now()
  const startAt = new Date(begunAt + aheadMs).toISOString()
  const ids = await times(executions, CONNECTIONS, () => clients.start(workflowId, { startAt }))
  const audience = new Audience()
  const open = await times(subscribers, CONNECTIONS, (i) => audience.join(clients, ids[i % executions]!))
  try {
    const preparedMs = Date.now() - begunAt
    if (preparedMs > aheadMs) return null
    const { ranMs, endedAt } = await ran(database, workflowId, executions)
    const heardAt = subscribers === 0 ? null : await audience.heard(subscribers)
    return {
      stepsPerSecond: Math.round((executions * steps * 1000) / ranMs),
      messages: audience.messages,
      behindMs: heardAt === null ? null : Math.max(0, heardAt - endedAt),
      preparedMs,
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

const EVENT = Buffer.from('{"type":"event"')

/** Of an event as it was sent: listeners parse no more than that. */
function seqOf(text: Buffer): number {
  const from = text.indexOf('"seq":') + '"seq":'.length
  return Number(text.toString('latin1', from, text.indexOf(',', from)))
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
      if (!text.subarray(0, EVENT.length).equals(EVENT)) return
      const next = seqOf(text)
      if (next !== seq + 1) this.#reject(new Error(`seq ${next} came after ${seq}`))
      seq = next
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

const works: Record<string, Work> = { one: { executions: 1, steps: 1_000 }, each: { executions: sockets, steps: 10 } }

const measured: Subscribed[] = []
for (const name of values.only.split(',')) {
  const work = works[name]
  if (work === undefined) throw new Error(`--only takes ${Object.keys(works).join(' or ')}`)
  let done: Subscribed[] | null = null
  for (let aheadMs = AHEAD_MS; done === null; aheadMs *= 2)
    done = await withDatabase('subscribers', (url) => measure(url, work, aheadMs))
  measured.push(...done)
}
if (values.json) console.log(JSON.stringify({ program: 'subscribers', figures: measured }))
else console.table(measured)

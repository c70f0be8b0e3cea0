import { setTimeout as delay } from 'node:timers/promises'
import { request } from 'undici'
import { echoSteps } from './engine-program.ts'
import type { Clients } from './service.ts'

/** A kind of execution: its definition, and what happens to one from outside while it lives. */
interface Kind {
  readonly definition: object
  live?(at: At): Promise<void>
}

/** One execution, and who talks to its service. */
interface At {
  readonly clients: Clients
  readonly resource: string
}

const steps = echoSteps(10)
const failing = { type: 'echo', fail: { message: 'as ordered', untilAttempt: 3 } }
const control = ({ clients, resource }: At, action: string): Promise<unknown> =>
  clients.send('PATCH', resource, { action })

/** However slow the service is at the moment, it gets there. */
async function waits({ clients, resource }: At): Promise<void> {
  for (;;) {
    await delay(250)
    if ((await clients.get<{ status: string }>(`${resource}?fields=status`)).status === 'waiting') return
  }
}

/** Ten steps each, about two seconds long at most, in turns; parking begins after one. */
const kinds: Readonly<Record<string, Kind>> = {
  plain: { definition: { steps } },
  sleeps: {
    definition: {
      steps: [...steps.slice(0, 5), { id: 'sleep', type: 'wait', config: { durationMs: 2_500 } }, ...steps.slice(6)],
    },
  },
  signalled: {
    definition: {
      steps: [...steps.slice(0, 5), { id: 'go', type: 'wait_for_signal', config: { signal: 'go' } }, ...steps.slice(6)],
    },
    async live({ clients, resource }) {
      await delay(1_500)
      await clients.send('POST', `${resource}/signals/go`, { by: 'soak' })
    },
  },
  retried: {
    definition: {
      steps: [
        ...steps.slice(0, 9),
        { id: 'again', type: 'action', config: failing, retryPolicy: { maxAttempts: 3, initialIntervalMs: 100 } },
      ],
    },
  },
  fails: {
    definition: {
      steps: [
        { id: 'done', type: 'action', config: { type: 'echo' }, compensate: { type: 'echo', value: 'undone' } },
        ...steps.slice(0, 8),
        { id: 'wrong', type: 'fail', config: { error: 'AsOrdered', message: 'it fails for good' } },
      ],
    },
  },
  parallel: { definition: { steps: [{ id: 'all', type: 'parallel', config: { steps } }] } },
  loops: {
    definition: {
      steps: [
        {
          id: 'each',
          type: 'foreach',
          config: { items: [1, 2, 3, 4, 5], concurrency: 3, steps: steps.slice(0, 2) },
        },
      ],
    },
  },
  parent: {
    definition: { steps: [...steps.slice(0, 9), { id: 'child', type: 'sub_workflow', config: { workflow: 'plain' } }] },
  },
  queued: {
    definition: {
      concurrency: { key: 'all', limit: 20 },
      steps: [
        ...steps.slice(0, 9),
        {
          id: 'limited',
          type: 'action',
          config: { type: 'echo' },
          rateLimit: { key: 'all', limit: 100, periodMs: 1_000, burst: 10 },
        },
      ],
    },
  },
  controlled: {
    definition: { steps: [...steps.slice(1), { id: 'go', type: 'wait_for_signal', config: { signal: 'go' } }] },
    async live(at) {
      await control(at, 'pause')
      await delay(1_200)
      await control(at, 'resume')
      await at.clients.send('POST', `${at.resource}/signals/go`)
    },
  },
  cancelled: {
    definition: { steps: [...steps.slice(1), { id: 'long', type: 'wait', config: { durationMs: 60_000 } }] },
    async live(at) {
      await waits(at)
      await control(at, 'cancel')
    },
  },
  rolledBack: {
    definition: { steps: [...steps.slice(1), { id: 'go', type: 'wait_for_signal', config: { signal: 'go' } }] },
    async live(at) {
      await waits(at)
      await at.clients.send('POST', `${at.resource}/rollback`, { checkpointIndex: 4, resume: true })
      await at.clients.send('POST', `${at.resource}/signals/go`)
    },
  },
}

/** Executions that are still there and still move are not older. */
const RECENT = 100
/** So often that the states that are read fill their cache within the warm-up. */
const READS_MS = 25
const SOCKETS_MS = 250

/** Starts executions of all kinds at a steady rate, reads what they do, and listens to some of them. */
export class SoakLoad {
  readonly #clients: Clients
  readonly #url: string
  readonly #underway = new Set<Promise<void>>()
  readonly #recent: string[] = []
  #workflows: (readonly [workflowId: string, kind: Kind])[] = []
  started = 0
  reads = 0
  sockets = 0
  /** What nobody ordered, the first of each text. */
  readonly faults = new Map<string, number>()
  #isOver = false

  constructor(clients: Clients, url: string) {
    this.#clients = clients
    this.#url = url
  }

  async prepare(): Promise<void> {
    for (const [name, kind] of Object.entries(kinds))
      this.#workflows.push([await this.#clients.createWorkflow({ name, ...kind.definition }), kind])
  }

  /** Until `stop()`: `rate` executions a second. */
  start(rate: number): void {
    this.#every(1000 / rate, () => this.#live(this.started++))
    this.#every(READS_MS, () => this.#read(this.reads++))
    this.#every(SOCKETS_MS, () => this.#listen(this.sockets++))
  }

  /** Resolves when everything that it began has ended. */
  async stop(): Promise<void> {
    this.#isOver = true
    while (this.#underway.size > 0) await Promise.all(this.#underway)
  }

  /** An open loop: what is slow does not keep the next one from coming. */
  #every(intervalMs: number, act: () => Promise<void>): void {
    const startedAt = performance.now()
    let count = 0
    const loop = async (): Promise<void> => {
      while (!this.#isOver) {
        count += 1
        await delay(Math.max(0, startedAt + count * intervalMs - performance.now()))
        this.#begin(act)
      }
    }
    this.#begin(loop)
  }

  #begin(act: () => Promise<void>): void {
    const underway: Promise<void> = act()
      .catch((error: Error) => {
        const text = error.message.replaceAll(/[0-9a-f-]{36}/g, '…').slice(0, 300)
        this.faults.set(text, (this.faults.get(text) ?? 0) + 1)
      })
      .finally(() => this.#underway.delete(underway))
    this.#underway.add(underway)
  }

  async #live(number: number): Promise<void> {
    const [workflowId, kind] = this.#workflows[number % this.#workflows.length]!
    const id = await this.#clients.start(workflowId, {
      ...{ input: { number }, triggeredBy: 'soak', tags: [`tag-${number % 50}`] },
      ...(number % 7 === 0 && { correlationId: `soak-${number}`, executionKey: `key-${number}` }),
    })
    this.#recent.push(id)
    if (this.#recent.length > RECENT) this.#recent.shift()
    await kind.live?.({ clients: this.#clients, resource: `/api/workflows/executions/${id}` })
  }

  async #read(number: number): Promise<void> {
    const id = this.#recent[number % RECENT]
    if (id === undefined) return
    const resource = `/api/workflows/executions/${id}`
    const [workflowId] = this.#workflows[number % this.#workflows.length]!
    const paths = [
      ...[
        `${resource}/progress`,
        `${resource}/steps`,
        resource,
        `${resource}/checkpoints`,
        `${resource}/events?limit=50`,
      ],
      ...['/api/workflows/executions?limit=50', '/api/workflows/executions?tag=tag-7', '/api/workflows/statistics'],
      ...[`/api/workflows/${workflowId}/statistics`, '/metrics'],
    ]
    await this.#clients.text(paths[number % paths.length]!)
  }

  /** A WebSocket or an SSE stream for a second or two, left politely or not. */
  async #listen(number: number): Promise<void> {
    const id = this.#recent.at(-1)
    if (id === undefined) return
    if (number % 4 === 0) return this.#listenToEvents(id)
    const socket = await this.#clients.follow(id, () => {})
    await delay(2_000)
    if (number % 4 === 1) socket.terminate()
    else socket.close()
  }

  async #listenToEvents(id: string): Promise<void> {
    const enough = AbortSignal.timeout(1_500)
    try {
      const { body } = await request(`${this.#url}/api/workflows/executions/${id}/events/stream`, { signal: enough })
      await body.dump({ limit: Number.MAX_SAFE_INTEGER, signal: enough })
    } catch (error) {
      if (!enough.aborted) throw error
    }
  }
}

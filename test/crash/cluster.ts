import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Point } from './points.ts'
import { childEnvironment, endOf } from './processes.ts'

/** A node's process, from its start to its end. */
export interface NodeChild {
  readonly process: ChildProcess
  /** Its ids, one a life, the present one last. */
  readonly ids: string[]
  /** Resolves when it listens. */
  readonly url: Promise<string>
  /** Told by the parent or come to by itself. */
  isGone: boolean
}

/** Nodes on one database; dead ones are replaced by whoever makes the faults. */
export class Cluster {
  readonly #environment: Record<string, string>
  readonly #nodes: NodeChild[] = []
  /** Answers of those that take requests. */
  readonly #listening = new Map<NodeChild, string>()

  constructor(options: { databaseUrl: string; ledgerUrl: string; leaseMs: number }) {
    const { databaseUrl, ledgerUrl, leaseMs } = options
    this.#environment = { DATABASE_URL: databaseUrl, LEDGER_URL: ledgerUrl, LEASE_MS: String(leaseMs) }
  }

  /** All that ever were. */
  get nodes(): readonly NodeChild[] {
    return this.#nodes
  }

  get alive(): readonly NodeChild[] {
    return this.#nodes.filter((node) => !node.isGone)
  }

  /** Starts a node; at its `nth` coming to the point, if one is given, it kills itself, or sends itself the `signal`. */
  start(fate?: { point: Point; nth: number; signal?: 'SIGSTOP' }, given: { leaseMs?: number } = {}): NodeChild {
    const child = spawn(process.execPath, [path.join(import.meta.dirname, 'node.ts')], {
      env: {
        ...childEnvironment,
        ...this.#environment,
        ...(given.leaseMs !== undefined && { LEASE_MS: String(given.leaseMs) }),
        ...(fate && { DIE_AT: fate.point, DIE_AT_NTH: String(fate.nth), SIGNAL: fate.signal ?? 'SIGKILL' }),
      },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    const { promise: url, resolve } = Promise.withResolvers<string>()
    const node: NodeChild = { process: child, ids: [], url, isGone: false }
    child.on('message', (message: { node?: string; url?: string }) => {
      if (message.node !== undefined) node.ids.push(message.node)
      if (message.url === undefined) return
      this.#listening.set(node, message.url)
      resolve(message.url)
    })
    child.once('exit', () => {
      node.isGone = true
      this.#listening.delete(node)
      // Whoever waits for it must not wait for ever.
      resolve('')
    })
    this.#nodes.push(node)
    return node
  }

  /**
   * A request to any node, sent again under the same key, to any other, until one answers with something that is not "try
   * again": as every client of an HTTP service does. `pick` is a random number in [0, 1).
   */
  async request(method: string, address: string, options: { body?: unknown; key?: string; pick: () => number }) {
    const { body, key, pick } = options
    for (;;) {
      const url = this.#any(pick())
      const response = await fetch(`${url}${address}`, {
        method,
        signal: AbortSignal.timeout(10_000),
        headers: {
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...(key !== undefined && { 'idempotency-key': key }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      }).catch(() => null)
      const answer = await response?.json().catch(() => null)
      if (response && answer && response.status < 500) {
        return { status: response.status, isReplay: response.headers.has('idempotency-replayed'), answer }
      }
      await delay(50)
    }
  }

  #any(random: number): string {
    const urls = [...this.#listening.values()]
    return urls[Math.floor(random * urls.length)] ?? 'http://127.0.0.1:1'
  }

  /** Stops all that live, in good order; none may refuse. */
  async stop(): Promise<void> {
    for (const { process: child } of this.alive) {
      child.kill('SIGCONT')
      child.send('stop')
    }
    await Promise.all(this.alive.map((node) => endOf(node.process)))
  }

  /** Ends all at once, however they stand. */
  kill(): void {
    for (const { process: child } of this.alive) child.kill('SIGKILL')
  }
}

/** Resolves with the node's next id: it has begun a new life. */
export async function reborn(node: NodeChild): Promise<string> {
  const before = node.ids.length
  while (node.ids.length === before) await once(node.process, 'message')
  return node.ids.at(-1)!
}

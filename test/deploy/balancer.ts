import { setTimeout as delay } from 'node:timers/promises'

/** How often it asks each node whether it is ready. */
const LOOK_MS = 50

export interface Answer {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it
  readonly body: any
}

/**
 * A balancer as operators have them: it asks /health/ready, sends requests to ready nodes in turn, and repeats what HTTP
 * allows to repeat on another: what was refused before it was sent, and a 503 with Retry-After, which did nothing. Anything
 * else that goes wrong is its client's to see.
 */
export class Balancer {
  readonly #ready = new Map<string, boolean>()
  #turn = 0
  #isStopped = false
  /** Answers that it took for a refusal and sent elsewhere. */
  refusals = 0

  /** Looks at a node from now on, until it is gone. */
  add(url: string): void {
    this.#ready.set(url, true)
    void this.#watch(url)
  }

  stop(): void {
    this.#isStopped = true
  }

  /** A node that is ready as far as is known. */
  async node(): Promise<string> {
    for (;;) {
      const ready = [...this.#ready].filter(([, isReady]) => isReady).map(([url]) => url)
      if (ready.length > 0) return ready[this.#turn++ % ready.length]!
      await delay(LOOK_MS)
    }
  }

  async call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    for (;;) {
      const node = await this.node()
      const answer = await this.#send(node, method, path, body, headers)
      if (answer !== null) return answer
      this.refusals += 1
      if (this.#ready.has(node)) this.#ready.set(node, false)
    }
  }

  /** null when the node refused it. */
  async #send(node: string, method: string, path: string, body: unknown, headers: Record<string, string>) {
    try {
      const response = await fetch(`${node}${path}`, {
        method,
        headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      })
      const answer = { status: response.status, body: await response.json() }
      const isRefusal = response.status === 503 && response.headers.has('retry-after')
      return isRefusal ? null : answer
    } catch (error) {
      if (codeOf(error) === 'ECONNREFUSED') return null
      throw new Error(`${method} ${node}${path}: ${codeOf(error) ?? error}`, { cause: error })
    }
  }

  async #watch(url: string): Promise<void> {
    while (!this.#isStopped) {
      const status = await fetch(`${url}/health/ready`).then(
        async (response) => {
          await response.arrayBuffer()
          return response.status
        },
        // On a slow machine a request may fail for other reasons than that the node has gone.
        (error) => (codeOf(error) === 'ECONNREFUSED' ? 'gone' : null),
      )
      if (status === 'gone') return void this.#ready.delete(url)
      this.#ready.set(url, status === 200)
      await delay(LOOK_MS)
    }
  }
}

const codeOf = (error: unknown): string | undefined => (error as { cause?: { code?: string } }).cause?.code

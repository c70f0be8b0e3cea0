import type { Random } from '../random.ts'
import type { Body } from '../world.ts'
import { connectionLost, connectionRefused, readTimeout } from './errors.ts'
import type { Server, Statement, Transaction } from './server.ts'

/**
 * How a statement fares between its client and the server:
 * - `refused`: it never left, and the client knows at once.
 * - `lost`: it never arrived; the client only knows that the connection broke.
 * - `unanswered`: it is performed and committed; the client only knows that the connection broke.
 * - `late`: the client is told that the connection broke, and its backend performs and commits when it comes to it.
 */
export type Fate = 'delivered' | 'refused' | 'lost' | 'unanswered' | 'late'

/** The network between one client and the server. */
export interface Network {
  readonly random: Random
  fate(statement: string): Fate
  /** One way, ms. */
  transitMs(): number
  after(delayMs: number, body: Body | null, run: () => void): void
  /** For a report: what was sent and what came of it. */
  note(line: string): void
  /** A statement has committed, and nobody knows yet. */
  committed(statement: string): void
}

/** How long a backend may dawdle over what its client has given up, ms: half of the time, and the other half. */
const LATE_MS = 300
const LATEST_MS = 4_000
/** How long a deletion waits for a lock before it terminates who is in its way: see src/repository/nodes.ts. */
const PATIENCE_MS = 2_000
/** When the server notices that the client of an open transaction is gone, ms. */
const NOTICED_WITHIN_MS = 200

/** One client's way to the server: a node's, with all its connections. */
export class Wire {
  readonly #server: Server
  readonly #network: Network
  readonly #body: Body | null
  readonly #open = new Set<Transaction>()

  constructor(server: Server, network: Network, body: Body | null) {
    this.#server = server
    this.#network = network
    this.#body = body
  }

  /** Sends a statement that is a transaction of its own. `timeoutMs`: when the client stops waiting. */
  send<T>(statement: Statement<T>, timeoutMs?: number): Promise<T> {
    const network = this.#network
    return new Promise<T>((resolve, reject) => {
      const settle = this.#once(resolve, reject)
      if (timeoutMs !== undefined) network.after(timeoutMs, this.#body, () => reject(readTimeout()))
      const name = statement.name
      const fate = network.fate(name)
      if (fate !== 'delivered') network.note(`${name} is ${fate}`)
      if (fate === 'refused') return settle.reject(connectionRefused())
      if (fate === 'lost') return settle.reject(connectionLost())
      if (fate === 'late') settle.reject(connectionLost())
      const hears = fate === 'delivered'
      const delay = network.transitMs() + (fate === 'late' ? this.#dawdleMs() : 0)
      network.after(delay, null, () => {
        if (!this.#server.isUp) return settle.reject(connectionRefused())
        if (this.#body?.isGone && network.random.chance(0.5)) return
        this.#server.submit(statement, {
          committed: (result) => {
            network.committed(name)
            if (hears) settle.resolve(result)
            else settle.reject(connectionLost())
          },
          failed: (error) => settle.reject(hears ? error : connectionLost()),
        })
      })
    })
  }

  /** BEGIN, a statement that may wait for locks, COMMIT: three messages. Whoever blocks it for 2 s is terminated. */
  transact<T>(statement: Statement<T>): Promise<T> {
    const network = this.#network
    return new Promise<T>((resolve, reject) => {
      const settle = this.#once(resolve, reject)
      const fate = network.fate(statement.name)
      // Unanswered: it is the answer to the COMMIT that gets lost.
      if (fate !== 'delivered' && fate !== 'unanswered') return settle.reject(connectionLost())
      network.after(network.transitMs(), null, () => {
        if (!this.#server.isUp || this.#body?.isGone) return settle.reject(connectionRefused())
        const isOver = (): void => {
          if (transaction !== null) this.#open.delete(transaction)
        }
        let transaction: Transaction | null = null
        transaction = this.#server.begin(statement, {
          executed: (result, commit) => {
            network.after(network.transitMs(), this.#body, () => {
              network.after(network.transitMs(), null, () => {
                commit(() => (fate === 'delivered' ? settle.resolve(result) : settle.reject(connectionLost())))
                isOver()
              })
            })
          },
          failed: (error) => {
            isOver()
            settle.reject(error)
          },
        })
        if (transaction.isOver) return
        this.#open.add(transaction)
        this.#loseHeart(transaction)
      })
    })
  }

  /** The client is gone; the server rolls its open transactions back when it notices. */
  sever(): void {
    for (const transaction of this.#open) {
      const delay = this.#network.random.between(0, NOTICED_WITHIN_MS)
      this.#network.after(delay, null, () => this.#server.abort(transaction, connectionLost()))
    }
  }

  #dawdleMs(): number {
    const { random } = this.#network
    return random.between(0, random.chance(0.5) ? LATEST_MS : LATE_MS)
  }

  #loseHeart(transaction: Transaction): void {
    this.#network.after(PATIENCE_MS, this.#body, () => {
      if (transaction.isOver || !this.#open.has(transaction)) return
      this.#network.after(this.#network.transitMs(), null, () => this.#server.terminateBlockers(transaction))
      this.#loseHeart(transaction)
    })
  }

  /** What comes back travels too, and reaches nobody who is gone. */
  #once<T>(resolve: (value: T) => void, reject: (error: Error) => void) {
    const back = (act: () => void): void => this.#network.after(this.#network.transitMs(), this.#body, act)
    return {
      resolve: (value: T) => back(() => resolve(value)),
      reject: (error: Error) => back(() => reject(error)),
    }
  }
}

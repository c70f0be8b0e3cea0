import type { Append } from '../../../src/repository/append.ts'
import { EPOCH } from '../node-clock.ts'
import { connectionLost, databaseError } from './errors.ts'
import { type LockMode, Locks } from './locks.ts'
import { Tables } from './tables.ts'

/*
 * The model of PostgreSQL: transactions that lock rows, wait for each other and commit later than they execute.
 *
 *   submitted ──▶ executing ◀──▶ waiting for a lock
 *                     └──▶ executed ──▶ committed   its changes become visible at once, its locks go
 *        any of these ──▶ aborted                   the server stopped, or somebody terminated the backend
 *
 * A single statement is a transaction of its own: it goes on to its commit whether or not its client still lives.
 */

/** A statement: yields the locks that it must wait for, reads what is committed, leaves its changes with the transaction. */
export type Statement<T> = (transaction: Transaction, tables: Tables) => Generator<LockRequest, T, void>

export interface LockRequest {
  readonly row: string
  readonly mode: LockMode
}

/** Changes the tables and answers with the way back. */
type Change = (tables: Tables) => () => void

/** How long things take, ms. */
export interface Pace {
  after(delayMs: number, run: () => void): void
  /** From the end of the execution to the commit. */
  commitMs(): number
  now(): number
}

export interface Outcome<T> {
  committed(result: T): void
  failed(error: Error): void
}

export class Transaction {
  readonly id: number
  readonly changes: Change[] = []
  isOver = false
  /** Who writes which histories by it. */
  flush: { readonly node: string; readonly appends: readonly Append[] } | null = null
  readonly #server: Server

  constructor(id: number, server: Server) {
    this.id = id
    this.#server = server
  }

  /** The database's clock, ms since 1970. */
  get now(): number {
    return this.#server.now
  }

  change(change: Change): void {
    this.#server.checkWritable()
    this.changes.push(change)
  }

  /** FOR UPDATE SKIP LOCKED: false when somebody else holds it. */
  tryLock(row: string, mode: LockMode): boolean {
    return this.#server.locks.tryTake(row, mode, this)
  }
}

/** What somebody who watches the database sees: every commit, and every end of the world as it was. */
export interface Witness {
  /** Right before its changes become visible. */
  committing(transaction: Transaction): void
  committed(): void
  /** Commits were lost: what the tables hold is older than what was seen. */
  turnedBack(commits: number): void
}

export class Server {
  readonly tables = new Tables()
  readonly locks = new Locks<Transaction>()
  witness: Witness | null = null
  /** SQLSTATE that writing fails with: a full disk, a replica. */
  unwritable: string | null = null
  isUp = true
  readonly #pace: Pace
  readonly #running = new Map<Transaction, (error: Error) => void>()
  /** The ways back of the newest commits, oldest first. */
  readonly #undo: (() => void)[] = []
  #next = 1

  constructor(pace: Pace) {
    this.#pace = pace
  }

  get now(): number {
    return EPOCH + this.#pace.now()
  }

  checkWritable(): void {
    if (this.unwritable === '25006') throw databaseError('25006', 'cannot execute in a read-only transaction')
    if (this.unwritable !== null) throw databaseError(this.unwritable, 'could not extend file: No space left on device')
  }

  /** Performs a statement as a transaction of its own. Answers the transaction, for whoever must terminate it. */
  submit<T>(statement: Statement<T>, outcome: Outcome<T>): Transaction {
    return this.begin(statement, {
      executed: (result, commit) => {
        const delay = this.#pace.commitMs()
        if (delay <= 0) commit(() => outcome.committed(result))
        else this.#pace.after(delay, () => commit(() => outcome.committed(result)))
      },
      failed: outcome.failed,
    })
  }

  /** Performs a statement in a transaction that its client ends by `commit`; the locks are held until then. */
  begin<T>(
    statement: Statement<T>,
    outcome: {
      executed(result: T, commit: (done: () => void) => void): void
      failed(error: Error): void
    },
  ): Transaction {
    const transaction = new Transaction(this.#next++, this)
    this.#running.set(transaction, outcome.failed)
    const steps = statement(transaction, this.tables)
    const advance = (): void => {
      if (transaction.isOver) return
      try {
        for (let next = steps.next(); ; next = steps.next()) {
          if (next.done === true) {
            return outcome.executed(next.value, (done) => {
              if (this.#commit(transaction)) done()
            })
          }
          const { row, mode } = next.value
          if (this.locks.tryTake(row, mode, transaction)) continue
          this.locks.wait(row, mode, transaction, () => this.#pace.after(0, advance))
          return
        }
      } catch (error) {
        this.abort(transaction, error as Error)
      }
    }
    advance()
    return transaction
  }

  /** Undoes what is not committed and tells the client why. Nothing when it is over already. */
  abort(transaction: Transaction, error: Error): void {
    const failed = this.#running.get(transaction)
    if (failed === undefined) return
    this.#end(transaction)
    failed(error)
  }

  /** pg_terminate_backend on everybody who is in the way of a transaction. */
  terminateBlockers(waiting: Transaction): void {
    for (const blocker of this.locks.blockersOf(waiting)) {
      this.abort(blocker, databaseError('57P01', 'terminating connection due to administrator command'))
    }
  }

  /** kill -9 of the server: whatever has not committed never happened. */
  stop(): void {
    this.isUp = false
    for (const transaction of [...this.#running.keys()]) this.abort(transaction, connectionLost())
  }

  start(): void {
    this.isUp = true
  }

  /** How many commits stand that changed something. */
  get commits(): number {
    return this.#undo.length
  }

  /** A replica that lacks the newest commits takes over. Answers how many were lost. */
  loseCommits(count: number): number {
    let lost = 0
    for (; lost < count && this.#undo.length > 0; lost++) this.#undo.pop()!()
    if (lost > 0) this.witness?.turnedBack(lost)
    return lost
  }

  #commit(transaction: Transaction): boolean {
    if (transaction.isOver) return false
    this.witness?.committing(transaction)
    if (transaction.changes.length > 0) {
      const back = transaction.changes.map((change) => change(this.tables))
      this.#undo.push(() => {
        for (const undo of back.reverse()) undo()
      })
    }
    this.#end(transaction)
    this.witness?.committed()
    return true
  }

  #end(transaction: Transaction): void {
    transaction.isOver = true
    this.#running.delete(transaction)
    this.locks.release(transaction)
  }
}

/** Sets a row of a table. */
export const put =
  <K, V>(tableOf: (tables: Tables) => Map<K, V>, key: K, value: V): Change =>
  (tables) => {
    const table = tableOf(tables)
    const before = table.get(key)
    table.set(key, value)
    return () => {
      if (before === undefined) table.delete(key)
      else table.set(key, before)
    }
  }

/** Deletes a row of a table. */
export const remove =
  <K, V>(tableOf: (tables: Tables) => Map<K, V>, key: K): Change =>
  (tables) => {
    const table = tableOf(tables)
    const before = table.get(key)
    table.delete(key)
    return () => {
      if (before !== undefined) table.set(key, before)
    }
  }

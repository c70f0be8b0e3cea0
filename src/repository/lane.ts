import pg from 'pg'
import type { Append } from './append.ts'
import type { LaneConnection } from './connection.ts'
import { type Acknowledged, type Fence, fenceCondition, fenceParameters } from './fence.ts'
import { type FlushOutcome, flushOf, sendFlush } from './flush.ts'
import { type Backend, endBackend } from './server-identity.ts'
import { cut } from './watched-connection.ts'

export interface LaneOptions {
  readonly connect: (silenceMs: number) => Promise<LaneConnection>
  readonly node: string
  readonly lane: number
  /** Named prepared statements: 0.2 ms less on a lone flush. */
  readonly prepare: boolean
}

/** A lane as the journal uses it. */
export type LaneWriter = Pick<Lane, 'flush' | 'mark' | 'close'> & Partial<Pick<Lane, 'open' | 'stands'>>

/** How long a flush may be unanswered: the first time, and at most. */
const silenceMs = 10_000
const longestSilenceMs = 160_000
/** Beyond this the end of a connection is not waited for. */
const farewellMs = 1_000

/**
 * One writer connection of a node. It connects with its first flush, and anew after a connection broke; one flush at a time.
 * A lane belongs to one life of a node: a reborn node makes new ones.
 *
 * A flush without a word from the server for 10 s fails (ETIMEDOUT), and each time in a row for twice as long: a server that
 * is only slow must be given the time at last. The backend that was left is ended before the next flush is sent.
 */
export class Lane {
  readonly #options: LaneOptions
  #prepares: boolean
  #client: pg.Client | null = null
  /** The backend behind the connection of before, which may be at work still. */
  #left: Backend | null = null
  #backend: Backend | null = null
  #silenceMs = silenceMs
  #isClosed = false
  #acknowledged: Acknowledged | null = null
  /** What the lane's row says; while a mark is unsure it may say one more. */
  #mark = 0
  #isMarkUnsure = false
  /** Events sent; decides when the statement is planned anew. */
  #events = 0

  constructor(options: LaneOptions) {
    this.#options = options
    this.#prepares = options.prepare
  }

  /**
   * Writes the appends durably, all or nothing. `fenced`: nothing was written, because the node was declared dead or the
   * database lost commits that this lane had been promised. Throws pg's error otherwise: see classify().
   *
   * `resend` after an outcome that is not known: the identical appends, or a part of them after an error that proves that
   * they are not there. Rows that are there already are ours, and then nothing else is done a second time.
   */
  async flush(appends: readonly Append[], resend: boolean): Promise<FlushOutcome> {
    const sorted = appends.toSorted(byExecution)
    const flush = flushOf(this.#fence, sorted, resend)
    const client = await this.#connected()
    try {
      if ((await sendFlush(client, flush, this.#statementName(flush.name))) === 'fenced') return 'fenced'
    } catch (error) {
      if (breaksConnection(error)) this.#drop()
      if ((error as { code?: string }).code === 'ETIMEDOUT')
        this.#silenceMs = Math.min(longestSilenceMs, this.#silenceMs * 2)
      if (isAboutNames(error)) this.#prepares = false
      throw error
    }
    this.#silenceMs = silenceMs
    const { executionId, seq, at } = sorted.at(-1)!.events.at(-1)!
    this.#acknowledged = { executionId, seq, at }
    for (const append of sorted) this.#events += append.events.length
    return 'committed'
  }

  /**
   * Moves what the fence rests on from the last acknowledged event to the lane's own row, so that retention may take the event:
   * the row gets a mark that only this lane writes, and a database that has it has everything before it. `fenced` as by flush();
   * throws pg's error when there is no answer: then either may have been committed, the event stays needed, and the next mark
   * sets the same number.
   */
  async mark(): Promise<FlushOutcome> {
    this.#isMarkUnsure = true
    const client = await this.#connected()
    try {
      const { rowCount } = await client.query(markStatement, fenceParameters(this.#fence))
      if (rowCount === 0) return 'fenced'
    } catch (error) {
      if (breaksConnection(error)) this.#drop()
      throw error
    }
    this.#mark += 1
    this.#isMarkUnsure = false
    this.#acknowledged = null
    return 'committed'
  }

  get #fence(): Fence {
    const { node, lane } = this.#options
    return { node, lane, acknowledged: this.#acknowledged, mark: this.#mark, isMarkUnsure: this.#isMarkUnsure }
  }

  /** True while the database has everything that was acknowledged to this lane; asks it over a connection of its own. */
  async stands(): Promise<boolean> {
    const values = fenceParameters(this.#fence)
    const { client } = await this.#options.connect(this.#silenceMs)
    const text = `SELECT FROM node_lanes WHERE ${fenceCondition} AND $7::bigint IS NOT NULL`
    return client
      .query(text, values)
      .then(({ rowCount }) => rowCount === 1)
      .finally(() => farewell(client))
  }

  /** Connects ahead of the first flush, while the server has connections left. What fails is left to that flush. */
  async open(): Promise<void> {
    await this.#connected().catch(() => {})
  }

  /** Closes the connection; a flush under way fails with a connection error. Safe to call at any time. */
  async close(): Promise<void> {
    this.#isClosed = true
    const client = this.#client
    this.#client = null
    if (client !== null) await farewell(client)
  }

  async #connected(): Promise<pg.Client> {
    if (this.#client !== null) return this.#client
    const { client, server } = await this.#options.connect(this.#silenceMs)
    if (this.#left !== null) await endBackend(client, this.#left).catch(() => {})
    if (this.#isClosed) {
      await farewell(client)
      throw new Error('the lane is closed')
    }
    client.once('error', () => this.#drop(client))
    client.once('end', () => this.#drop(client))
    this.#left = null
    this.#backend = server.backend
    this.#client = client
    return client
  }

  #drop(client = this.#client): void {
    if (client === null) return
    if (this.#client === client) {
      this.#client = null
      this.#left = this.#backend
    }
    void farewell(client)
  }

  /**
   * A named statement keeps its plan until autovacuum next analyses the tables, and the first one is made while they are
   * empty, when reading a whole table looks cheap. A new name whenever the rows sent are eight times as many has it planned
   * for the size that the tables have by then: a handful of names in a lane's life.
   */
  #statementName(name: string): string | undefined {
    if (!this.#prepares) return undefined
    return `cairn_flush_${name}_${Math.floor(Math.log2(1 + this.#events / 1000) / 3)}`
  }
}

/** A backend that was given up and commits late sets the number that the row has by then, or finds a higher one and nothing to do. */
const markStatement = `UPDATE node_lanes SET mark = $7::bigint WHERE ${fenceCondition}`

/** Ends a connection politely, or cuts it when the server says nothing. */
async function farewell(client: pg.Client): Promise<void> {
  const impatience = setTimeout(() => cut(client), farewellMs)
  await client.end().catch(() => {})
  clearTimeout(impatience)
}

const byExecution = (a: Append, b: Append): number =>
  a.executionId < b.executionId ? -1 : a.executionId > b.executionId ? 1 : 0

/**
 * A name that is not known, or known already: a pooler that does not carry named statements from one session to the next
 * stands in between, whatever the settings say. The flush was not performed, and goes again without a name.
 */
const isAboutNames = (error: unknown): boolean =>
  error instanceof pg.DatabaseError && (error.code === '26000' || error.code === '42P05')

/** Errors after which the connection is of no use: it is gone, or leads to a server that has become a replica. */
function breaksConnection(error: unknown): boolean {
  if (!(error instanceof pg.DatabaseError)) return true
  const { code = '' } = error
  return code.startsWith('08') || code.startsWith('57P') || code === '25006'
}

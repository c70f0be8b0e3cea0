import pg from 'pg'
import type { Json } from '../definition/json.ts'
import {
  checkStillOpen,
  createEffectsTable,
  type EffectResult,
  EffectsTableRefused,
  keepResult,
  recordKey,
  takeKey,
} from './effects.ts'
import { jsonTypes, ResultTooLarge } from './json-values.ts'

export { ResultTooLarge }

export interface DataSourceOptions {
  readonly url: string
  /** Every query runs in a read-only transaction, whatever it asks for. */
  readonly readOnly?: boolean | undefined
  readonly poolSize?: number | undefined
}

export interface QueryOptions {
  readonly readOnly?: boolean | undefined
  /** The server ends the statement then (SQLSTATE 57014). */
  readonly statementTimeoutMs?: number | undefined
  /** What all values together may take as text; more is ResultTooLarge. */
  readonly maxBytes?: number | undefined
  readonly signal?: AbortSignal | undefined
  /** Called when a connection is there, right before the statement goes; throws when it must not. */
  readonly mayPerform?: (() => void) | undefined
  /** Performs the statement once for this key, however often it is sent; see effects.ts. Not for read-only queries. */
  readonly onceFor?: string | undefined
  /** With `onceFor`: judges the number of rows before the commit; what it throws undoes the statement. */
  readonly accept?: ((rowCount: number) => void) | undefined
}

/** `rowCount`: rows read or changed. */
export interface QueryResult extends EffectResult {
  /** It was performed by an earlier query with the same `onceFor`, whose result this is. */
  readonly replayed: boolean
}

/** Somebody's database that workflows may query. */
export interface DataSource {
  readonly readOnly: boolean
  /**
   * Runs one statement in a transaction of its own. Values are JSON: int8, numeric, dates and intervals as text, timestamps
   * as RFC 3339 (UTC), bytea as base64, json parsed. Errors are pg's (`code` is the SQLSTATE). An abort cancels the
   * statement on the server, undoes it, and throws the signal's reason. A connection that breaks during COMMIT leaves open
   * whether the statement was performed; with `onceFor` the next query with that key finds out. `onceFor` may throw
   * EffectsTableRefused and TransactionEnded too.
   */
  query(text: string, parameters: readonly unknown[], options?: QueryOptions): Promise<QueryResult>
  /** Ends the pool when its queries have ended; safe to call twice. */
  close(): Promise<void>
}

const connectTimeoutMs = 10_000
/** How long a cancelled statement may take to end before its connection is cut. */
const cancelTimeoutMs = 5_000
/**
 * How long a transaction may wait for its client: with no network between them a backend would hold its locks, the one on
 * the key of `onceFor` among them, until TCP gives up after two hours.
 */
const vanishedMs = 10_000

/** A pool on a foreign database; it connects with the first query. */
export function openDataSource({ url, readOnly = false, poolSize = 5 }: DataSourceOptions): DataSource {
  const config = {
    connectionString: url,
    application_name: 'cairn',
    connectionTimeoutMillis: connectTimeoutMs,
    keepAlive: true,
  }
  const pool = new pg.Pool({ ...config, max: poolSize, allowExitOnIdle: true })
  // A connection that breaks while idle is replaced by the next query.
  pool.on('error', () => {})
  // Neither may one that breaks between two statements end the process: the next statement on it fails.
  pool.on('connect', (client) => client.on('error', () => {}))
  let closed: Promise<void> | undefined
  return {
    readOnly,
    async query(text, parameters, options = {}) {
      const { signal } = options
      signal?.throwIfAborted()
      const client = await pool.connect()
      const session = new Session(client, config)
      const onAbort = () => session.cancel()
      signal?.addEventListener('abort', onAbort)
      try {
        signal?.throwIfAborted()
        return await session.run(text, parameters, { ...options, readOnly: readOnly || options.readOnly })
      } catch (error) {
        signal?.throwIfAborted()
        throw error
      } finally {
        signal?.removeEventListener('abort', onAbort)
        await session.release()
      }
    },
    close() {
      closed ??= pool.end()
      return closed
    },
  }
}

/** Room for what comes beside the rows in the payload: a record that could never be taken is of no use. */
const metaBytes = 100
const tooLarge = 'The rows are larger than is taken'

/** One statement on one pooled connection. Only a connection whose transaction has ended cleanly goes back to the pool. */
class Session {
  readonly #client: pg.PoolClient
  readonly #config: pg.ClientConfig
  #pid: number | null = null
  #cancelling: Promise<void> | null = null
  #isClean = false

  constructor(client: pg.PoolClient, config: pg.ClientConfig) {
    this.#client = client
    this.#config = config
  }

  async run(text: string, parameters: readonly unknown[], options: QueryOptions): Promise<QueryResult> {
    await this.#begin(options)
    if (options.onceFor === undefined) {
      const { rows, rowCount } = await this.#perform(text, parameters, options)
      await this.#commit(options)
      return { rows, rowCount, replayed: false }
    }
    const key = recordKey(options.onceFor)
    const earlier = await this.#takeKey(key, options)
    if (earlier !== null) {
      await this.#commit(options)
      return { ...earlier, replayed: true }
    }
    const { rows, rowCount, command } = await this.#perform(text, parameters, options)
    checkStillOpen(command)
    options.accept?.(rowCount)
    const result: EffectResult = { rows, rowCount }
    const json = JSON.stringify(result)
    if (Buffer.byteLength(json) + metaBytes > (options.maxBytes ?? Infinity)) throw new ResultTooLarge(tooLarge)
    await keepResult(this.#client, key, json)
    await this.#commit(options)
    return { ...result, replayed: false }
  }

  async #begin({ readOnly, statementTimeoutMs = 0, onceFor, signal }: QueryOptions): Promise<void> {
    // What was confirmed must be there after a crash: the journal will not let it be performed again.
    const durable = `SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off';`
    // In one round trip. Asking for the backend within the transaction is right behind a pooler too.
    const begun = (await this.#client.query(
      `BEGIN ${readOnly ? 'READ ONLY' : ''}; SET LOCAL statement_timeout = ${Math.ceil(statementTimeoutMs)};
       SET LOCAL idle_in_transaction_session_timeout = ${vanishedMs};
       SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'; SET LOCAL bytea_output = 'hex';
       ${onceFor === undefined ? '' : durable} SELECT pg_backend_pid() AS pid`,
    )) as unknown as pg.QueryResult<{ pid: number }>[]
    this.#pid = begun.at(-1)!.rows[0]!.pid
    signal?.throwIfAborted()
  }

  /** The recorded result, or null with the key taken; makes the table when there is none. */
  async #takeKey(key: string, options: QueryOptions): Promise<EffectResult | null> {
    const taken = await takeKey(this.#client, key)
    options.signal?.throwIfAborted()
    if (taken !== 'no table') return taken
    this.#pid = null
    await this.#client.query('ROLLBACK')
    await createEffectsTable(this.#client)
    await this.#begin(options)
    const again = await takeKey(this.#client, key)
    if (again === 'no table') throw new EffectsTableRefused('cairn_effects cannot be made: something has its name')
    return again
  }

  async #perform(
    text: string,
    parameters: readonly unknown[],
    { maxBytes = Infinity, mayPerform, signal }: QueryOptions,
  ): Promise<EffectResult & { command: string }> {
    mayPerform?.()
    let isTooLarge = false
    const types = jsonTypes(maxBytes, () => {
      isTooLarge = true
      this.cancel()
    })
    // The extended protocol takes one statement only: `COMMIT; DELETE …` cannot leave the read-only transaction.
    const query = { text, values: [...parameters], types, queryMode: 'extended' }
    const { rows, rowCount, command } = await this.#client
      .query<Record<string, Json>>(query)
      .catch((error: unknown) => {
        throw isTooLarge ? new ResultTooLarge(tooLarge) : error
      })
    signal?.throwIfAborted()
    return { rows, rowCount: rowCount ?? rows.length, command }
  }

  async #commit({ signal }: QueryOptions): Promise<void> {
    signal?.throwIfAborted()
    // From here on the backend may be serving somebody else behind a pooler: it must not be cancelled any more.
    this.#pid = null
    await this.#client.query('COMMIT')
    this.#isClean = true
  }

  /** Cancels what runs, through a connection of its own; cuts the connection when that does not help. */
  cancel(): void {
    this.#cancelling ??= this.#cancel()
  }

  async release(): Promise<void> {
    // A late cancellation would hit whatever the connection does next: it does not go back.
    if (this.#cancelling !== null) {
      await this.#cancelling
      return
    }
    if (!this.#isClean)
      await this.#client.query('ROLLBACK').then(
        () => (this.#isClean = true),
        () => {},
      )
    this.#client.release(!this.#isClean)
  }

  async #cancel(): Promise<void> {
    if (this.#pid !== null) {
      const canceller = new pg.Client({
        ...this.#config,
        connectionTimeoutMillis: cancelTimeoutMs,
        query_timeout: cancelTimeoutMs,
      })
      canceller.on('error', () => {})
      await canceller
        .connect()
        .then(() => canceller.query('SELECT pg_cancel_backend($1)', [this.#pid]))
        .catch(() => {})
      await canceller.end().catch(() => {})
    }
    this.#client.release(true)
  }
}

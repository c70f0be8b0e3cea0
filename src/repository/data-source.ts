import pg from 'pg'
import type { Json, JsonObject } from '../definition/json.ts'
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
}

export interface QueryResult {
  readonly rows: JsonObject[]
  /** Rows read or changed. */
  readonly rowCount: number
}

/** Somebody's database that workflows may query. */
export interface DataSource {
  /**
   * Runs one statement in a transaction of its own. Values are JSON: int8, numeric, dates and intervals as text, timestamps
   * as RFC 3339 (UTC), bytea as base64, json parsed. Errors are pg's (`code` is the SQLSTATE). An abort cancels the
   * statement on the server, undoes it, and throws the signal's reason.
   */
  query(text: string, parameters: readonly unknown[], options?: QueryOptions): Promise<QueryResult>
  /** Ends the pool when its queries have ended; safe to call twice. */
  close(): Promise<void>
}

const connectTimeoutMs = 10_000
/** How long a cancelled statement may take to end before its connection is cut. */
const cancelTimeoutMs = 5_000

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
  let closed: Promise<void> | undefined
  return {
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

  async run(
    text: string,
    parameters: readonly unknown[],
    { readOnly, statementTimeoutMs = 0, maxBytes, signal }: QueryOptions,
  ): Promise<QueryResult> {
    // In one round trip. Asking for the backend within the transaction is right behind a pooler too.
    const begun = (await this.#client.query(
      `BEGIN ${readOnly ? 'READ ONLY' : ''}; SET LOCAL statement_timeout = ${Math.ceil(statementTimeoutMs)};
       SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'; SET LOCAL bytea_output = 'hex'; SELECT pg_backend_pid() AS pid`,
    )) as unknown as pg.QueryResult<{ pid: number }>[]
    this.#pid = begun.at(-1)!.rows[0]!.pid
    signal?.throwIfAborted()
    let tooLarge = false
    const types = jsonTypes(maxBytes ?? Infinity, () => {
      tooLarge = true
      this.cancel()
    })
    // The extended protocol takes one statement only: `COMMIT; DELETE …` cannot leave the read-only transaction.
    const query = { text, values: [...parameters], types, queryMode: 'extended' }
    const { rows, rowCount } = await this.#client.query<Record<string, Json>>(query).catch((error: unknown) => {
      throw tooLarge ? new ResultTooLarge('The rows are larger than is taken') : error
    })
    signal?.throwIfAborted()
    await this.#client.query('COMMIT')
    this.#isClean = true
    return { rows, rowCount: rowCount ?? rows.length }
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

import { Type } from 'typebox'
import type { Json, JsonObject } from '../../definition/json.ts'
import { type DataSource, openDataSource } from '../../repository/data-source.ts'
import { type Action, ActionError, defineAction } from './action.ts'
import { databaseFailure } from './database-errors.ts'

const RowCount = Type.Integer({ minimum: 0 })

const QueryConfig = Type.Object(
  {
    dataSource: Type.String({ minLength: 1, description: 'One of the data sources that the operator configured' }),
    query: Type.String({ minLength: 1, description: 'One SQL statement, taken literally; values go in as $1, $2 …' }),
    parameters: Type.Optional(
      Type.Array(Type.Unknown(), {
        description: 'A list goes as a PostgreSQL array, an object as JSON; for a list as JSON use JSON.stringify',
      }),
    ),
    readOnly: Type.Optional(Type.Boolean({ description: 'Run it in a read-only transaction' })),
    statementTimeoutMs: Type.Optional(Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1 })),
    expectedRowCount: Type.Optional(
      Type.Union(
        [
          RowCount,
          Type.Object({ min: Type.Optional(RowCount), max: Type.Optional(RowCount) }, { additionalProperties: false }),
        ],
        { description: 'Fail when fewer or more rows come or change; what the statement did stays done' },
      ),
    ),
  },
  { additionalProperties: false },
)
type QueryConfig = Type.Static<typeof QueryConfig>

/** A named PostgreSQL database. */
export interface DataSourceOptions {
  readonly url: string
  /** Every query runs in a read-only transaction, whatever the step says. */
  readonly readOnly?: boolean
  readonly poolSize?: number
}

/**
 * Sends one SQL statement with its values apart from it. The output are the rows. Pools open with the first query; `close()`
 * ends them.
 */
export function createDatabaseQuery(options: {
  readonly dataSources: Readonly<Record<string, DataSourceOptions>>
  readonly maxBytes: number
}): { action: Action; close(): Promise<void> } {
  const dataSources = new Map(
    Object.entries(options.dataSources).map(([name, source]) => [name, openDataSource(source)]),
  )
  const action = defineAction({
    type: 'database_query',
    configSchema: QueryConfig,
    literalFields: ['/query'],
    async perform(config, { signal, mayPerform }) {
      const dataSource = named(dataSources, config.dataSource)
      const startedAt = performance.now()
      mayPerform()
      const querying = dataSource.query(config.query, config.parameters ?? [], {
        readOnly: config.readOnly,
        statementTimeoutMs: config.statementTimeoutMs,
        maxBytes: options.maxBytes,
        signal,
      })
      const { rows, rowCount } = await untilAborted(querying, signal).catch((error: unknown) => {
        if (signal.aborted) throw signal.reason
        throw databaseFailure(error, config.dataSource, options.maxBytes)
      })
      checkRowCount(rowCount, config)
      return { output: rows, meta: { rowCount, durationMs: Math.round(performance.now() - startedAt) } }
    },
  })
  return {
    action,
    async close() {
      await Promise.all(Array.from(dataSources.values(), (dataSource) => dataSource.close()))
    },
  }
}

/** An abort does not wait for a free connection of the pool, nor for the server to end the statement. */
function untilAborted<T>(running: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    running.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

function named(dataSources: ReadonlyMap<string, DataSource>, name: string): DataSource {
  const dataSource = dataSources.get(name)
  if (dataSource) return dataSource
  const known =
    dataSources.size > 0 ? `there are ${[...dataSources.keys()].join(', ')}` : 'none is configured; see CAIRN_CONFIG'
  const message = `There is no data source "${name}": ${known}`
  throw new ActionError('ValidationError', message, { details: { faults: [{ pointer: '/dataSource', message }] } })
}

function checkRowCount(rowCount: number, { expectedRowCount, dataSource }: QueryConfig): void {
  if (expectedRowCount === undefined) return
  const exact = typeof expectedRowCount === 'number'
  const { min = 0, max = Infinity } = exact ? { min: expectedRowCount, max: expectedRowCount } : expectedRowCount
  if (rowCount >= min && rowCount <= max) return
  const details: JsonObject = { dataSource, rowCount, expectedRowCount: expectedRowCount as Json }
  const expected = exact ? `${min}` : `${min} to ${max === Infinity ? 'any number' : max}`
  throw new ActionError('DatabaseError', `${rowCount} rows, where ${expected} were expected`, {
    details,
    retryable: false,
  })
}

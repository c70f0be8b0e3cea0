import { Type } from 'typebox'
import type { Json, JsonObject } from '../../definition/json.ts'
import type { ActionPlan, Fault } from '../../definition/plan.ts'
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
    exactlyOnce: Type.Optional(
      Type.Boolean({
        description:
          'Commit the query and the record that it was done in one transaction: an attempt that is repeated answers with the recorded rows. Needs a table in that database, see docs/exactly-once.md',
      }),
    ),
    statementTimeoutMs: Type.Optional(Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1 })),
    expectedRowCount: Type.Optional(
      Type.Union(
        [
          RowCount,
          Type.Object({ min: Type.Optional(RowCount), max: Type.Optional(RowCount) }, { additionalProperties: false }),
        ],
        {
          description:
            'Fail when fewer or more rows come or change; what the statement did stays done unless exactlyOnce undoes it',
        },
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
    literalFields: ['/query', '/exactlyOnce'],
    conflicts,
    target: ({ dataSource }) => (dataSources.has(dataSource) ? `database:${dataSource}` : null),
    async perform(config, { signal, mayPerform, idempotencyKey }) {
      const dataSource = named(dataSources, config.dataSource)
      const { exactlyOnce = false } = config
      if (exactlyOnce) checkWritable(dataSource, config)
      const startedAt = performance.now()
      mayPerform()
      const querying = dataSource.query(config.query, config.parameters ?? [], {
        readOnly: config.readOnly,
        statementTimeoutMs: config.statementTimeoutMs,
        maxBytes: options.maxBytes,
        signal,
        mayPerform,
        onceFor: exactlyOnce ? idempotencyKey : undefined,
        accept: (count) => checkRowCount(count, config),
      })
      const { rows, rowCount, replayed } = await untilAborted(querying, signal).catch((error: unknown) => {
        if (signal.aborted) throw signal.reason
        throw databaseFailure(error, config.dataSource, options.maxBytes)
      })
      if (!exactlyOnce) checkRowCount(rowCount, config)
      const durationMs = Math.round(performance.now() - startedAt)
      return { output: rows, meta: { rowCount, durationMs, ...(exactlyOnce && { replayed }) } }
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

const readOnlyRemedy = 'the record that it was done is written in the same transaction: leave one of them out'

/** What the schema cannot say. */
function conflicts(config: JsonObject, delivery: ActionPlan['delivery']): readonly Fault[] {
  if (config.exactlyOnce !== true) return []
  const faults: Fault[] = []
  if (delivery === 'at_most_once') {
    const message = 'asks for what at_most_once forbids, an attempt that finds the record: leave delivery out'
    faults.push({ pointer: '/exactlyOnce', message })
  }
  if (config.readOnly === true)
    faults.push({ pointer: '/readOnly', message: `excludes exactlyOnce: ${readOnlyRemedy}` })
  return faults
}

function checkWritable({ readOnly }: DataSource, config: QueryConfig): void {
  if (config.readOnly) throw unfit('/readOnly', `excludes exactlyOnce: ${readOnlyRemedy}`)
  if (readOnly) {
    const message = `is not possible on the data source "${config.dataSource}", which is read-only: leave it out`
    throw unfit('/exactlyOnce', message)
  }
}

function unfit(pointer: string, message: string): ActionError {
  return new ActionError('ValidationError', `${pointer} ${message}`, { details: { faults: [{ pointer, message }] } })
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

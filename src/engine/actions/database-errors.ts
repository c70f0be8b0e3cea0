import type { JsonObject } from '../../definition/json.ts'
import { ResultTooLarge } from '../../repository/data-source.ts'
import { EffectsTableRefused, TransactionEnded } from '../../repository/effects.ts'
import { ActionError } from './action.ts'
import { codeOf } from './http-errors.ts'

/** Broken connections, serialization failures and deadlocks, lack of resources, shutdown, a client that stood still: the same query may well succeed. */
const passing = /^(08|40|53|57P|25P03)/

/** What PostgreSQL says beside its message, as far as it holds no values of rows. */
const facts = ['constraint', 'schema', 'table', 'column', 'dataType', 'hint', 'position'] as const

/** What went wrong between us and a data source, as a failure of the step. Bugs pass. */
export function databaseFailure(thrown: unknown, dataSource: string, maxBytes: number): unknown {
  if (!(thrown instanceof Error) || thrown instanceof ActionError) return thrown
  if (thrown instanceof ResultTooLarge) {
    return new ActionError('PayloadTooLarge', `The rows from ${dataSource} take more than ${maxBytes} bytes`, {
      details: { dataSource },
    })
  }
  if (thrown instanceof EffectsTableRefused || thrown instanceof TransactionEnded) {
    const details: JsonObject = { dataSource }
    return new ActionError('DatabaseError', `${dataSource}: ${thrown.message}`, { details, cause: thrown.cause })
  }
  const code = codeOf(thrown)
  // Only what PostgreSQL itself says has a severity; by its looks EPIPE could be an SQLSTATE.
  if (!('severity' in thrown) || code === '') return unreached(thrown, dataSource)
  const details: JsonObject = { dataSource, sqlstate: code }
  for (const fact of facts) {
    const value: unknown = Reflect.get(thrown, fact)
    if (typeof value === 'string') details[fact] = value
  }
  if (code === '57014')
    return new ActionError('TimeoutError', `${dataSource}: ${thrown.message}`, { details, cause: thrown })
  const why = code === '25001' ? ', and every database_query runs in one' : ''
  return new ActionError('DatabaseError', `${dataSource}: ${thrown.message}${why}`, {
    details,
    cause: thrown,
    retryable: passing.test(code),
  })
}

/** Without an SQLSTATE the query did not get an answer; pg has no codes for some of these. */
function unreached(thrown: Error, dataSource: string): ActionError {
  return new ActionError('ConnectionError', `${dataSource} does not answer: ${thrown.message || codeOf(thrown)}`, {
    details: { dataSource },
    cause: thrown,
  })
}

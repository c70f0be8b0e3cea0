import type { Append } from '../../../src/repository/append.ts'
import type { IdempotencyKey } from '../../../src/repository/idempotency.ts'
import type { NewInboxItem } from '../../../src/repository/inbox.ts'
import { count, insertEvent, insertExecution, insertInbox } from './flush.ts'
import { put, type Statement, type Transaction } from './server.ts'
import type { KeyRow, Tables } from './tables.ts'

// src/repository/inbox.ts and idempotency.ts: what reaches an execution from outside, and what a key stands for.

export type Found = KeyRow

export const nameOf = ({ namespace, route, key }: IdempotencyKey): string => `${namespace}\n${route}\n${key}`

export const findKey = ({ keys }: Tables, key: IdempotencyKey): Found | null => keys.get(nameOf(key)) ?? null

/** The key ON CONFLICT DO NOTHING, all else FROM it. True when the key was ours. */
export const keyedStatement = (
  key: IdempotencyKey,
  made: { readonly resourceId: string; readonly requestId: string | null },
  rest: Statement<unknown>,
): Statement<boolean> =>
  function* keyed(transaction, tables) {
    const name = nameOf(key)
    yield { row: `key ${name}`, mode: 'exclusive' }
    if (tables.keys.has(name)) return false
    transaction.change(put((all) => all.keys, name, { ...key, ...made }))
    yield* rest(transaction, tables)
    return true
  }

/** As `keyedStatement`, WHERE the execution exists. */
export const keyedInboxStatement = (
  key: IdempotencyKey,
  made: { readonly resourceId: string; readonly requestId: string },
  item: NewInboxItem,
): Statement<boolean> =>
  function* keyedInbox(transaction, tables) {
    yield { row: `execution ${item.executionId}`, mode: 'key_share' }
    if (!tables.executions.has(item.executionId)) return false
    return yield* keyedStatement(key, made, inboxStatement(item))(transaction, tables)
  }

export const inboxStatement = (item: NewInboxItem): Statement<string | null> =>
  function* insert(transaction, tables) {
    // Held against its removal: retention spares what has an inbox.
    yield { row: `execution ${item.executionId}`, mode: 'key_share' }
    if (!tables.executions.has(item.executionId)) return null
    return insertInbox(transaction, tables, item)
  }

export const startStatement = (append: Append): Statement<void> =>
  function* start(transaction: Transaction, tables) {
    for (const event of append.events) insertEvent(transaction, event)
    yield* insertExecution(transaction, tables.executions, append.insert!)
    count(transaction, [append])
  }

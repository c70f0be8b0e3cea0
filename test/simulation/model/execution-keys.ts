import { isFinished } from '../../../src/engine/core/state.ts'
import { CairnError } from '../../../src/errors.ts'
import type { Append } from '../../../src/repository/append.ts'
import type { SlotAsk } from '../../../src/repository/concurrency-slots.ts'
import type { ExecutionKey, KeyedStart } from '../../../src/repository/execution-keys.ts'
import type { ExecutionRow } from '../../../src/repository/execution-row.ts'
import type { IdempotencyKey } from '../../../src/repository/idempotency.ts'
import { nameOf, startStatement } from './keys.ts'
import { put, type Statement } from './server.ts'
import { checkSlotWithout, takeSlotAtStart } from './slots.ts'
import type { StoredRow, Tables } from './tables.ts'

// src/repository/execution-keys.ts: one transaction that holds the key, and sees whatever was committed before it got it.

const keyRow = (workflowId: string, key: string): string => `${workflowId}\n${key}`

/** Null: the idempotency key has done something before. */
export const startUnderKeyStatement = (
  executionKey: ExecutionKey | null,
  idempotencyKey: IdempotencyKey | null,
  append: Append & Required<Pick<Append, 'insert'>>,
  slot: SlotAsk | null,
): Statement<KeyedStart | null> =>
  function* startUnderKey(transaction, tables) {
    const { executionId, insert } = append
    const once = idempotencyKey === null ? null : nameOf(idempotencyKey)
    if (once !== null) {
      yield { row: `key ${once}`, mode: 'exclusive' }
      if (tables.keys.has(once)) return null
    }
    const name = executionKey === null ? null : keyRow(insert.workflowId, executionKey.key)
    if (name !== null) yield { row: `execution key ${name}`, mode: 'exclusive' }
    const holder = tables.executions.get(tables.executionKeys.get(name ?? '') ?? '')
    const verdict = holder === undefined ? 'start' : verdictOn(holder, executionKey!)
    if (verdict === 'cancel_existing') {
      if (slot !== null) checkSlotWithout(tables, slot, holder!.id)
      return { type: 'occupied', executionId: holder!.id, status: holder!.status }
    }
    if (verdict === 'start' && slot !== null) yield* takeSlotAtStart(transaction, tables, slot)
    const resourceId = verdict === 'start' ? executionId : holder!.id
    if (once !== null)
      transaction.change(put((all) => all.keys, once, { ...idempotencyKey!, resourceId, requestId: null }))
    if (verdict !== 'start') return { type: 'existing', executionId: resourceId }
    if (name !== null) transaction.change(put((all) => all.executionKeys, name, executionId))
    yield* startStatement(append)(transaction, tables)
    return { type: 'started', executionId }
  }

function verdictOn({ id, status }: StoredRow, { key, reuse, conflict }: ExecutionKey) {
  const details = { executionId: id, executionStatus: status }
  if (!isFinished(status)) {
    if (conflict === 'fail') throw new CairnError('EXECUTION_KEY_LIVE', [id, key, status], { details })
    return conflict
  }
  if (reuse === 'allow' || (reuse === 'failed_only' && status !== 'completed')) return 'start'
  throw new CairnError('EXECUTION_KEY_USED', [key, id, status, reuse], { details })
}

export function findLiveUnderKey(
  { executionKeys, executions }: Tables,
  { id, workflowId, executionKey }: Pick<ExecutionRow, 'id' | 'workflowId' | 'executionKey'>,
) {
  const other = executions.get(executionKeys.get(keyRow(workflowId, executionKey ?? '')) ?? '')
  if (other === undefined || other.id === id || isFinished(other.status)) return null
  return { id: other.id, status: other.status, ended: false }
}

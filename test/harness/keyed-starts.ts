import type { ConflictPolicy, ReusePolicy } from '../../src/repository/execution-keys.ts'
import { executionRow, startOf } from './rows.ts'

// Starts under an executionKey, for whoever tests who of them wins.

export const keyOf = (given: { key?: string; reuse?: ReusePolicy; conflict?: ConflictPolicy } = {}) => ({
  ...({ key: 'order-1', reuse: 'allow', conflict: 'fail' } as const),
  ...given,
})

/** An Idempotency-Key beside it. */
export const idempotency = { namespace: 'default', route: 'POST executions', key: 'i-1', requestHash: 'h', at: 1 }

export function keyedStart(given: Parameters<typeof executionRow>[0] = {}) {
  const insert = executionRow({ status: 'pending', wakeAt: 1, executionKey: 'order-1', ...given })
  const delta = { workflowId: insert.workflowId, version: 1, status: { from: null, to: 'pending' } } as const
  return { ...startOf(insert, { statistics: [delta] }), insert }
}

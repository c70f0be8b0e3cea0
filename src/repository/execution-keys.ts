import type pg from 'pg'
import type { ExecutionStatus } from '../engine/core/state.ts'
import { CairnError } from '../errors.ts'
import type { Append } from './append.ts'
import { arrayParameters, insertFrom } from './array-columns.ts'
import type { SlotAsk } from './concurrency-slots.ts'
import type { Database } from './connection.ts'
import { eventColumns } from './events.ts'
import { type ExecutionRow, executionColumns } from './execution-row.ts'
import { findKey, type IdempotencyKey } from './idempotency.ts'
import { checkSlotWithout, takeSlotAtStart } from './slot-at-start.ts'
import { statisticsColumns, statisticsTable, tally } from './tally.ts'
import { begin } from './transaction.ts'

/** What a start wants when an execution that has ended was started under its key. */
export const reusePolicies = ['allow', 'failed_only', 'reject'] as const
export type ReusePolicy = (typeof reusePolicies)[number]

/** What a start wants when an execution under its key is live. */
export const conflictPolicies = ['fail', 'use_existing', 'cancel_existing'] as const
export type ConflictPolicy = (typeof conflictPolicies)[number]

/** A key of the caller's world, one execution of the workflow at a time: `order-4711`. */
export interface ExecutionKey {
  readonly key: string
  readonly reuse: ReusePolicy
  readonly conflict: ConflictPolicy
}

/** What became of a start under an execution key. */
export type KeyedStart =
  | { readonly type: 'started'; readonly executionId: string }
  /** A repeat under the same Idempotency-Key. */
  | { readonly type: 'replayed'; readonly executionId: string }
  /** `use_existing`: a live one has the key. */
  | { readonly type: 'existing'; readonly executionId: string }
  /** `cancel_existing`: nothing was done; it is to be cancelled first. */
  | { readonly type: 'occupied'; readonly executionId: string; readonly status: ExecutionStatus }

interface Holder {
  readonly id: string
  readonly status: ExecutionStatus
  readonly ended: boolean
}

const holderColumns = "e.id, e.status, e.status IN ('completed', 'failed', 'cancelled') AS ended"

/**
 * Starts an execution when its keys allow it: of starts at the same time, on whatever nodes, one wins and the others see its
 * execution. With `slot`, only if that is free; its events say that it was granted. A transaction of several statements, each of
 * which sees what was committed before it: one statement would wait for the winner's key and then not see the winner's execution.
 * EXECUTION_KEY_LIVE, EXECUTION_KEY_USED, IDEMPOTENCY_KEY_REUSED, CONCURRENCY_LIMIT; then nothing was done, and the
 * Idempotency-Key is unused.
 */
export async function startUnderKey(
  database: Database,
  executionKey: ExecutionKey | null,
  idempotencyKey: IdempotencyKey | null,
  append: Append & Required<Pick<Append, 'insert'>>,
  slot: SlotAsk | null = null,
): Promise<KeyedStart> {
  const wanted = { executionKey, idempotencyKey, slot, append }
  for (;;) {
    const started = await inTransaction(database, (client) => attempt(client, wanted))
    if (started !== null) return started
    const done = await findKey(database, idempotencyKey!)
    // Null: its execution went, and the key with it, since the insertion that it forestalled.
    if (done !== null) return { type: 'replayed', executionId: done.resourceId }
  }
}

/** The live execution that has taken over the key of this one, if there is any. */
export async function findLiveUnderKey(
  { pool }: Database,
  { id, workflowId, executionKey }: Pick<ExecutionRow, 'id' | 'workflowId' | 'executionKey'>,
): Promise<Holder | null> {
  const { rows } = await pool.query<Holder>(
    `SELECT ${holderColumns} FROM execution_keys k JOIN workflow_executions e ON e.id = k.execution_id
     WHERE k.workflow_id = $1::uuid AND k.key = $2::text AND e.id <> $3::uuid`,
    [workflowId, executionKey, id],
  )
  const other = rows[0]
  return other === undefined || other.ended ? null : other
}

interface Wanted {
  readonly executionKey: ExecutionKey | null
  readonly idempotencyKey: IdempotencyKey | null
  readonly slot: SlotAsk | null
  readonly append: Append & Required<Pick<Append, 'insert'>>
}

/** Null: the idempotency key has done something before. */
async function attempt(client: pg.PoolClient, wanted: Wanted): Promise<KeyedStart | null> {
  const { executionKey, idempotencyKey, slot, append } = wanted
  const { executionId, insert: row } = append
  if (idempotencyKey !== null && !(await takeIdempotencyKey(client, idempotencyKey, executionId))) return null
  const holder = executionKey === null ? null : await lockKey(client, row.workflowId, executionKey.key, executionId)
  const verdict = holder === null ? 'start' : verdictOn(holder, executionKey!)
  if (verdict === 'start') {
    if (slot !== null) await takeSlotAtStart(client, slot)
    if (executionKey !== null) await moveKey(client, row.workflowId, executionKey.key, executionId)
    await insertStart(client, append)
    return { type: 'started', executionId }
  }
  const { id, status } = holder!
  if (verdict === 'cancel_existing') {
    if (slot !== null) await checkSlotWithout(client, slot, id)
    return { type: 'occupied', executionId: id, status }
  }
  if (idempotencyKey !== null) await moveIdempotencyKey(client, idempotencyKey, id)
  return { type: 'existing', executionId: id }
}

/** May the key's last execution be followed by another? Throws what the caller is told when not. */
function verdictOn({ id, status, ended }: Holder, { key, reuse, conflict }: ExecutionKey) {
  const details = { executionId: id, executionStatus: status }
  if (!ended) {
    if (conflict === 'fail') throw new CairnError('EXECUTION_KEY_LIVE', [id, key, status], { details })
    return conflict
  }
  if (reuse === 'allow' || (reuse === 'failed_only' && status !== 'completed')) return 'start'
  throw new CairnError('EXECUTION_KEY_USED', [key, id, status, reuse], { details })
}

/**
 * Holds the key until the end of the transaction; who had it, or null when nobody did: then it is this execution's. A key whose
 * execution is gone is free: retention of an earlier release removes executions without their keys.
 */
async function lockKey(
  client: pg.PoolClient,
  workflowId: string,
  key: string,
  executionId: string,
): Promise<Holder | null> {
  const locked = await client.query<{ execution_id: string }>(
    `INSERT INTO execution_keys AS k (workflow_id, key, execution_id) VALUES ($1::uuid, $2::text, $3::uuid)
     ON CONFLICT (workflow_id, key) DO UPDATE SET execution_id = k.execution_id RETURNING execution_id`,
    [workflowId, key, executionId],
  )
  const former = locked.rows[0]!.execution_id
  if (former === executionId) return null
  const found = await client.query<Holder>(`SELECT ${holderColumns} FROM workflow_executions e WHERE e.id = $1::uuid`, [
    former,
  ])
  return found.rows[0] ?? null
}

async function moveKey(client: pg.PoolClient, workflowId: string, key: string, to: string): Promise<void> {
  await client.query(
    'UPDATE execution_keys SET execution_id = $3::uuid WHERE workflow_id = $1::uuid AND key = $2::text',
    [workflowId, key, to],
  )
}

async function insertStart(
  client: pg.PoolClient,
  { insert: row, events, statistics }: Append & Required<Pick<Append, 'insert'>>,
): Promise<void> {
  const first = 1 + eventColumns.length
  const source = '(SELECT) AS start'
  await client.query(
    `WITH events AS (${insertFrom(source, 'execution_events', eventColumns, 1)}),
       counted AS (${insertFrom(source, statisticsTable, statisticsColumns, first + keyedColumns.length)})
     ${insertFrom(source, 'workflow_executions', keyedColumns, first)}`,
    [
      ...arrayParameters(eventColumns, events),
      ...arrayParameters(keyedColumns, [row]),
      ...arrayParameters(statisticsColumns, tally(statistics)),
    ],
  )
}

const keyedColumns: typeof executionColumns = [
  ...executionColumns,
  { name: 'execution_key', type: 'text', of: (row) => row.executionKey },
]

async function takeIdempotencyKey(client: pg.PoolClient, of: IdempotencyKey, executionId: string): Promise<boolean> {
  const { rowCount } = await client.query(
    `INSERT INTO idempotency_keys (namespace, route, key, request_hash, resource_id, created_at)
     VALUES ($1, $2, $3, $4, $5::uuid, $6::bigint) ON CONFLICT DO NOTHING`,
    [of.namespace, of.route, of.key, of.requestHash, executionId, of.at],
  )
  return rowCount === 1
}

/** The idempotency key stands for an execution that was there before. */
async function moveIdempotencyKey(client: pg.PoolClient, of: IdempotencyKey, to: string): Promise<void> {
  await client.query(
    'UPDATE idempotency_keys SET resource_id = $4::uuid WHERE namespace = $1 AND route = $2 AND key = $3',
    [of.namespace, of.route, of.key, to],
  )
}

/** One transaction on one backend, behind PgBouncer too. What was not done leaves nothing behind. */
async function inTransaction(
  { pool }: Database,
  task: (client: pg.PoolClient) => Promise<KeyedStart | null>,
): Promise<KeyedStart | null> {
  const client = await pool.connect()
  try {
    await begin(client)
    const result = await task(client)
    await client.query(result === null || result.type === 'occupied' ? 'ROLLBACK' : 'COMMIT')
    client.release()
    return result
  } catch (error) {
    // What is expected leaves a sound connection behind.
    const isSound = error instanceof CairnError && (await rolledBack(client))
    client.release(isSound ? undefined : (error as Error))
    throw error
  }
}

const rolledBack = (client: pg.PoolClient): Promise<boolean> =>
  client.query('ROLLBACK').then(
    () => true,
    () => false,
  )

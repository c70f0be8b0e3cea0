import { CairnError } from '../errors.ts'
import type { Append } from './append.ts'
import { arrayParameters, insertFrom } from './array-columns.ts'
import type { Database } from './connection.ts'
import { eventColumns } from './events.ts'
import { executionColumns } from './execution-row.ts'
import { inboxParameters, insertInboxFrom, lockedExecution, type NewInboxItem } from './inbox.ts'
import { statisticsColumns, statisticsTable, tally } from './tally.ts'
import { insertWorkflowFrom, type NewWorkflow, nameTaken, workflowParameters } from './workflows.ts'

/** An Idempotency-Key as a caller sent it. The same key means another request under another route or namespace. */
export interface IdempotencyKey {
  readonly namespace: string
  readonly route: string
  readonly key: string
  /** Of everything that the request says; a replay must have the same. */
  readonly requestHash: string
  /** ms since 1970. */
  readonly at: number
}

/** What a key stands for: the resource that its first request made or addressed. */
export interface Keyed {
  readonly resourceId: string
  /** For what went to an inbox: the request that the answering event carries. */
  readonly requestId: string | null
  /** Another request with this key did it: nothing was done now. */
  readonly replayed: boolean
}

/** Starts an execution once for a key: row, events and statistics of the append. The resource is the execution. */
export async function startKeyed(
  database: Database,
  key: IdempotencyKey,
  append: Append & Required<Pick<Append, 'insert'>>,
): Promise<Keyed> {
  const first = firstValue + eventColumns.length
  const statistics = tally(append.statistics)
  const parts = [
    insertFrom('key', 'execution_events', eventColumns, firstValue),
    insertFrom('key', 'workflow_executions', executionColumns, first),
    insertFrom('key', statisticsTable, statisticsColumns, first + executionColumns.length),
  ]
  const values = [
    ...arrayParameters(eventColumns, append.events),
    ...arrayParameters(executionColumns, [append.insert]),
    ...arrayParameters(statisticsColumns, statistics),
  ]
  const made = { resourceId: append.executionId, requestId: null }
  for (;;) {
    const keyed = await once(database, key, made, parts, values)
    // Null: the key went with its execution between the insertion that it forestalled and the look at it.
    if (keyed !== null) return keyed
  }
}

/** Puts an item in an inbox once for a key. The resource is the execution; null when it does not exist. */
export async function insertInboxKeyed(
  database: Database,
  key: IdempotencyKey,
  item: NewInboxItem,
): Promise<Keyed | null> {
  const made = { resourceId: item.executionId, requestId: item.requestId }
  const exists = `FROM ${lockedExecution('$5')}`
  return once(database, key, made, [insertInboxFrom('key', firstValue)], inboxParameters(item), exists)
}

/** Creates a workflow once for a key. The resource is the workflow. WORKFLOW_NAME_TAKEN leaves the key unused. */
export async function insertWorkflowKeyed(
  database: Database,
  key: IdempotencyKey,
  workflow: NewWorkflow,
): Promise<Keyed> {
  const made = { resourceId: workflow.id, requestId: null }
  const parts = insertWorkflowFrom('key', firstValue)
  const keyed = await once(database, key, made, parts, workflowParameters(workflow)).catch((error) =>
    nameTaken(database, workflow, error),
  )
  return keyed!
}

/**
 * What was done under a key, or null. The lock has the answer wait for a synchronous replica as the first one's did: a commit
 * whose wait was cut short can be read before it is safe. IDEMPOTENCY_KEY_REUSED  when the request was another one.
 */
export async function findKey({ db }: Database, key: IdempotencyKey): Promise<Keyed | null> {
  const row = await db
    .selectFrom('idempotency_keys')
    .select(['resource_id', 'request_id', 'request_hash'])
    .where('namespace', '=', key.namespace)
    .where('route', '=', key.route)
    .where('key', '=', key.key)
    .forKeyShare()
    .executeTakeFirst()
  if (row === undefined) return null
  if (row.request_hash !== key.requestHash) throw new CairnError('IDEMPOTENCY_KEY_REUSED', [key.key])
  return { resourceId: row.resource_id, requestId: row.request_id, replayed: true }
}

/** The key's own parameters come first. */
const firstValue = 8

/**
 * One statement: the key, and everything else FROM it. Of two requests at once the second waits in ON CONFLICT for the
 * first one's commit, inserts nothing, and reads what the first has made. A request that is sent again after its answer was
 * lost finds its own resource and is no replay. Null when `condition` did not hold, or the key was removed meanwhile.
 */
async function once(
  database: Database,
  { namespace, route, key, requestHash, at }: IdempotencyKey,
  made: { readonly resourceId: string; readonly requestId: string | null },
  parts: readonly string[],
  values: readonly unknown[],
  condition = '',
): Promise<Keyed | null> {
  const text = `
WITH key AS (
  INSERT INTO idempotency_keys (namespace, route, key, request_hash, resource_id, request_id, created_at)
  SELECT $1::text, $2::text, $3::text, $4::text, $5::uuid, $6::uuid, $7::bigint ${condition}
  ON CONFLICT DO NOTHING RETURNING 1
)${parts.map((part, index) => `, part_${index} AS (${part})`).join('')}
SELECT EXISTS (SELECT FROM key) AS won`
  const { rows } = await database.pool.query<{ won: boolean }>(text, [
    ...[namespace, route, key, requestHash, made.resourceId, made.requestId, at],
    ...values,
  ])
  if (rows[0]!.won) return { ...made, replayed: false }
  const found = await findKey(database, { namespace, route, key, requestHash, at })
  if (found === null) return null
  const isOwn = found.resourceId === made.resourceId && found.requestId === made.requestId
  return { ...found, replayed: !isOwn }
}

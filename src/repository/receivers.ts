import { sql } from 'kysely'
import type { Database } from './connection.ts'

/** Whom a message is for: these executions, or all of which everything that is named holds. */
export type Address =
  | { readonly executionIds: readonly string[] }
  | {
      readonly correlationId?: string
      readonly executionKey?: string
      /** The name of their workflow, which may be archived by now. */
      readonly workflow?: string
      readonly except: string
    }

export interface Receiver {
  readonly id: string
  /** Signals in its inbox that its owner has not taken in yet, counted up to some thousand. */
  readonly signals: number
}

const MOST_COUNTED = 1_000

/** The executions of the namespace that an address means and that have not ended, at most `limit`, the oldest ids first. */
export async function receivers(
  { db }: Database,
  namespace: string,
  address: Address,
  limit: number,
): Promise<Receiver[]> {
  let query = db
    .selectFrom('workflow_executions as e')
    .select([
      'e.id',
      sql<number>`(SELECT count(*)::integer FROM (
        SELECT FROM execution_inbox i WHERE i.execution_id = e.id AND i.kind = 'signal' LIMIT ${sql.lit(MOST_COUNTED)}
      ) AS waiting)`.as('signals'),
    ])
    .where('e.namespace', '=', namespace)
    .where('e.status', 'in', ['pending', 'running', 'waiting', 'paused'])
    .orderBy('e.id')
    .limit(limit)
  if ('executionIds' in address) {
    query = query.where('e.id', '=', sql<string>`ANY (${address.executionIds}::uuid[])`)
  } else {
    const { correlationId, executionKey, workflow, except } = address
    query = query.where('e.id', '<>', except)
    if (correlationId !== undefined) query = query.where('e.correlation_id', '=', correlationId)
    if (executionKey !== undefined) query = query.where('e.execution_key', '=', executionKey)
    if (workflow !== undefined)
      query = query.where(
        sql<boolean>`EXISTS (SELECT FROM workflows w WHERE w.id = e.workflow_id AND w.name = ${workflow})`,
      )
  }
  return query.execute()
}

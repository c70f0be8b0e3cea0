import type { Json } from '../definition/json.ts'
import type { Database } from './connection.ts'

/** An image of an execution's state at a committed seq: a cache of what folding its events gives. */
export interface Snapshot {
  readonly executionId: string
  readonly seq: number
  readonly state: Json
  /** ms since 1970. */
  readonly createdAt: number
}

/** Keeps a snapshot. There is one state at a seq, so a second one of the same seq is dropped. */
export async function insertSnapshot(
  { db }: Database,
  { executionId, seq, state, createdAt }: Snapshot,
): Promise<void> {
  await db
    .insertInto('execution_snapshots')
    .values({ execution_id: executionId, seq, created_at: createdAt, state: JSON.stringify(state) })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}

/** The newest snapshot with a seq of at most `throughSeq`, or null. Whether its seq is effective is the caller's to say. */
export async function newestSnapshot(
  { db }: Database,
  executionId: string,
  throughSeq: number,
): Promise<Snapshot | null> {
  const row = await db
    .selectFrom('execution_snapshots')
    .selectAll()
    .where('execution_id', '=', executionId)
    .where('seq', '<=', throughSeq)
    .orderBy('seq', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (row === undefined) return null
  return { executionId: row.execution_id, seq: row.seq, state: row.state as Json, createdAt: row.created_at }
}

/** Drops what the newest snapshot at or before `seq` (the oldest checkpoint that is kept) makes superfluous; that one stays. */
export async function deleteSnapshotsBefore({ db }: Database, executionId: string, seq: number): Promise<void> {
  await db
    .deleteFrom('execution_snapshots')
    .where('execution_id', '=', executionId)
    .where('seq', '<', (eb) =>
      eb
        .selectFrom('execution_snapshots as kept')
        .select((kept) => kept.fn.max('kept.seq').as('seq'))
        .where('kept.execution_id', '=', executionId)
        .where('kept.seq', '<=', seq),
    )
    .execute()
}

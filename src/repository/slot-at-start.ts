import type pg from 'pg'
import { CairnError } from '../errors.ts'
import { arrayParameters, insertFrom } from './array-columns.ts'
import { askColumns, holdersShown, lineHash, type SlotAsk } from './concurrency-slots.ts'

const inLine = "s.namespace = $1::text AND s.scope = $2::text AND s.key = $3::text AND s.state <> 'released'"

/**
 * Gives a start its slot at once, in the start's own transaction and under the lock of the key, or refuses it: whoever waits
 * already goes before it. CONCURRENCY_LIMIT with the key, the limit and the holders; nothing is written then.
 */
export async function takeSlotAtStart(client: pg.PoolClient, ask: SlotAsk): Promise<void> {
  const { namespace, scope, key, limit } = ask
  const line = [namespace, scope, key]
  await client.query(`SELECT pg_advisory_xact_lock(${lineHash('$1::text', '$2::text', '$3::text')})`, line)
  const { rowCount } = await client.query(
    insertFrom(
      `(SELECT WHERE (SELECT count(*) FROM (
         SELECT FROM concurrency_slots s WHERE ${inLine} LIMIT $4::bigint
       ) AS taken) < $4::bigint) AS free`,
      'concurrency_slots',
      heldColumns,
      5,
    ),
    [...line, limit, ...arrayParameters(heldColumns, [ask])],
  )
  if (rowCount !== 1) throw await refusalOf(client, ask)
}

/**
 * Refuses a start whose slot would not be free though `leaving` had ended, before that is cancelled in vain; whether it is free
 * then is seen when it is taken. CONCURRENCY_LIMIT.
 */
export async function checkSlotWithout(client: pg.PoolClient, ask: SlotAsk, leaving: string): Promise<void> {
  const { namespace, scope, key, limit } = ask
  const { rows } = await client.query<{ others: number }>(
    `SELECT count(*) AS others FROM (
       SELECT FROM concurrency_slots s WHERE ${inLine} AND s.execution_id <> $5::uuid LIMIT $4::bigint
     ) AS found`,
    [namespace, scope, key, limit, leaving],
  )
  if (rows[0]!.others >= limit) throw await refusalOf(client, ask)
}

async function refusalOf(client: pg.PoolClient, { namespace, scope, key, limit }: SlotAsk): Promise<CairnError> {
  const { rows } = await client.query<{ id: string }>(
    `SELECT s.execution_id AS id FROM concurrency_slots s WHERE ${inLine}
     ORDER BY s.state <> 'held', s.turn, s.place LIMIT ${holdersShown}`,
    [namespace, scope, key],
  )
  const holders = rows.map(({ id }) => id)
  const details = { scope, key, limit, holders }
  return new CairnError('CONCURRENCY_LIMIT', [key, limit, holders.join(', ')], { details })
}

const heldColumns: typeof askColumns = [...askColumns, { name: 'state', type: 'word', of: () => 'held' }]

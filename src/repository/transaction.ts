import { sql, type Transaction } from 'kysely'
import type pg from 'pg'

/**
 * How long a transaction may wait for its client's next statement. A process that stands still in the middle of one would hold
 * its locks for as long; after this PostgreSQL ends the backend (25P03), and what was not committed is undone. For the
 * transaction alone, since a pooler in transaction mode gives the session to somebody else afterwards.
 */
const bound = "SET LOCAL idle_in_transaction_session_timeout = '10s'"

/** BEGIN of a transaction of several statements, whose locks end with a client that stands still. */
export async function begin(client: pg.ClientBase): Promise<void> {
  await client.query(`BEGIN; ${bound}`)
}

/** To be called first in a transaction of Kysely's: as `begin`. */
export async function boundIdleness<Schema>(trx: Transaction<Schema>): Promise<void> {
  await sql.raw(bound).execute(trx)
}

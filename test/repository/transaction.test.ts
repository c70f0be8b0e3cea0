import { sql } from 'kysely'
import t from 'tap'
import { openDatabase } from '../../src/repository/connection.ts'
import { begin, boundIdleness } from '../../src/repository/transaction.ts'
import { createTestDatabase } from '../harness/database.ts'

t.test(
  'a client that stands still in a transaction holds its locks for a bounded time, and outside it nothing changes',
  async (t) => {
    const { url } = await createTestDatabase(t)
    const database = openDatabase({ url, poolSize: 1 })
    t.teardown(() => database.close())
    const setting = "SELECT current_setting('idle_in_transaction_session_timeout') AS is"
    const client = await database.pool.connect()
    await begin(client)
    t.same((await client.query(setting)).rows, [{ is: '10s' }])
    await client.query('COMMIT')
    t.same((await client.query(setting)).rows, [{ is: '0' }], 'the session is as it was')
    client.release()
    await database.db.transaction().execute(async (trx) => {
      await boundIdleness(trx)
      const { rows } = await sql.raw(setting).execute(trx)
      t.same(rows, [{ is: '10s' }])
    })
  },
)

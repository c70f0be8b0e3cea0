/** What PostgreSQL alone can show of rate limits; what holds for the simulation's model too is in conformance/. */
import t from 'tap'
import type { TurnsAsked } from '../../src/repository/rate-limits.ts'
import { until } from '../harness/condition.ts'
import { createTestStore } from '../harness/rows.ts'

const hourly: TurnsAsked = {
  ...{ namespace: 'default', scope: 's', key: 'k', limit: 1, periodMs: 3_600_000, burst: 1 },
  ...{ rank: 0, count: 1 },
}

t.test('a call that has waited for the row is granted as of now, and not as of when it began to wait', async (t) => {
  const { store, database } = await createTestStore(t)
  const ask = (key: string) => store.takeTurns([{ ...hourly, key }], 0)
  await ask('a')
  await database.pool.query('UPDATE rate_limits SET tat = 0')
  const client = await database.pool.connect()
  await client.query('BEGIN')
  await client.query("SELECT FROM rate_limits WHERE key = 'a' FOR UPDATE")
  // The key that comes after it in the same statement is new.
  const asking = store.takeTurns(
    [
      { ...hourly, key: 'b' },
      { ...hourly, key: 'a' },
    ],
    0,
  )
  await until('it waits', async () => {
    const { rowCount } = await database.pool.query(
      "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
    )
    return rowCount === 1
  })
  const { rows } = await database.pool.query('SELECT extract(epoch FROM clock_timestamp()) * 1000000 AS now')
  await client.query('COMMIT')
  client.release()
  t.match(await asking, [{ granted: [0] }, { granted: [0] }])
  const { rows: after } = await database.pool.query('SELECT key, asked_at, tat FROM rate_limits ORDER BY key')
  for (const { key, asked_at: askedAt, tat } of after) {
    t.ok(askedAt > Number(rows[0].now), `${key}: when the row was there`)
    t.equal(tat, askedAt + 3_600_000_000, key)
  }
})

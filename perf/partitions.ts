/**
 * `node perf/partitions.ts`: what range partitions of the journal would give and cost on this machine (docs/adr/0017). The same
 * events go into a plain table and into one with a partition a day; then a day is removed, by batches of a thousand with a vacuum
 * afterwards, and by dropping its partition.
 */
import os from 'node:os'
import { parseArgs } from 'node:util'
import type pg from 'pg'
import { connect, walBytes, withDatabase } from './database.ts'

const { values: given } = parseArgs({
  options: { days: { type: 'string', default: '30' }, daily: { type: 'string', default: '50000' } },
})
const days = Number(given.days)
const daily = Number(given.daily)
const FLUSH_ROWS = 1000
const BATCH = 1000
const DAY_MS = 86_400_000
const firstDay = Date.UTC(2026, 0, 1)

const columns = `execution_id uuid NOT NULL, seq bigint NOT NULL, at bigint NOT NULL, type text NOT NULL, data json NOT NULL,
  PRIMARY KEY (execution_id, seq)`
/** The lowest UUIDv7 of a day. */
const boundary = (day: number): string =>
  `${(firstDay + day * DAY_MS)
    .toString(16)
    .padStart(12, '0')
    .replace(/(.{8})(.{4})/, '$1-$2')}-0000-0000-000000000000`

await withDatabase('partitions', async (url) => {
  const client = await connect(url)
  try {
    await client.query(`CREATE TABLE plain (${columns})`)
    await client.query(`CREATE TABLE ranged (${columns}) PARTITION BY RANGE (execution_id)`)
    for (let day = 0; day < days; day++) {
      const bounds = `FROM ('${boundary(day)}') TO ('${boundary(day + 1)}')`
      await client.query(`CREATE TABLE ranged_${day} PARTITION OF ranged FOR VALUES ${bounds}`)
    }
    const machine = `${os.cpus().length} × ${os.cpus()[0]?.model}, load ${os.loadavg()[0]!.toFixed(1)}`
    console.log(`${days} days of ${daily} events; ${machine}, ${new Date().toISOString().slice(0, 10)}`)
    const results = []
    for (const table of ['plain', 'ranged']) {
      results.push({
        what: `insert into ${table}, flushes of ${FLUSH_ROWS}`,
        ...(await measured(client, () => insert(client, table))),
      })
      await client.query(`ANALYZE ${table}`)
    }
    results.push({ what: `delete a day, batches of ${BATCH}`, ...(await measured(client, () => deleteDay(client))) })
    results.push({ what: 'vacuum afterwards', ...(await measured(client, () => client.query('VACUUM plain'))) })
    results.push({ what: 'drop its partition', ...(await measured(client, () => client.query('DROP TABLE ranged_0'))) })
    console.table(results)
  } finally {
    await client.end()
  }
})

/** Ten events an execution, of random executions of a day, as flushes write them. */
async function insert(client: pg.Client, table: string): Promise<void> {
  for (let day = 0; day < days; day++) {
    for (let from = 0; from < daily; from += FLUSH_ROWS) {
      await client.query({
        name: `insert_${table}`,
        text: `INSERT INTO ${table} SELECT
            (lpad(to_hex($1::bigint + e * 10), 12, '0') || '7000' || lpad(to_hex($2::bigint + e), 16, '0'))::uuid, seq, $1, 'step.completed',
            json_build_object('output', repeat('x', 100))
          FROM generate_series(1, $3::integer) AS executions(e), generate_series(1, 10) AS events(seq)`,
        values: [firstDay + day * DAY_MS + from, from, FLUSH_ROWS / 10],
      })
    }
  }
}

async function deleteDay(client: pg.Client): Promise<void> {
  for (let count = BATCH; count === BATCH; ) {
    const { rowCount } = await client.query(
      `DELETE FROM plain p USING (
         SELECT execution_id, seq FROM plain WHERE execution_id < $1::uuid ORDER BY execution_id, seq LIMIT $2
       ) AS doomed WHERE p.execution_id = doomed.execution_id AND p.seq = doomed.seq`,
      [boundary(1), BATCH],
    )
    count = rowCount ?? 0
  }
}

async function measured(client: pg.Client, task: () => Promise<unknown>): Promise<{ ms: number; 'WAL MB': number }> {
  const before = await walBytes(client)
  const startedAt = performance.now()
  await task()
  const ms = Math.round(performance.now() - startedAt)
  return { ms, 'WAL MB': Math.round(((await walBytes(client)) - before) / 100_000) / 10 }
}

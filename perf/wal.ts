/**
 * What the WAL of a step is made of: bytes by kind of record, and by table or index, with 1,000 executions of ten echo steps at once
 * (pg_walinspect; a record of several blocks, as a split page's, counts for each of them in the second table). `node perf/wal.ts`.
 */
import { connect, withDatabase } from './database.ts'
import { echoSteps, openEngine } from './engine-program.ts'
import { STEPS } from './workload.ts'

const EXECUTIONS = 1_000
const WARM_UPS = 5
const ROUNDS = 30
const MEASURED_STEPS = EXECUTIONS * STEPS * ROUNDS

await withDatabase('wal', async (url) => {
  const program = await openEngine(url, echoSteps(STEPS))
  const client = await connect(url)
  const position = async (): Promise<string> => (await client.query('SELECT pg_current_wal_lsn() AS lsn')).rows[0].lsn
  try {
    await client.query('CREATE EXTENSION pg_walinspect')
    for (let i = 0; i < WARM_UPS; i++) await program.run(EXECUTIONS)
    const from = await position()
    for (let i = 0; i < ROUNDS; i++) await program.run(EXECUTIONS)
    const between = [from, await position()]
    const byRecord = await client.query(
      `SELECT "resource_manager/record_type" AS record, count::int, round(combined_size / ${MEASURED_STEPS}.0, 1)::float8 AS "B/step"
         FROM pg_get_wal_stats($1, $2, true) WHERE combined_size > ${MEASURED_STEPS / 10} ORDER BY combined_size DESC`,
      between,
    )
    console.table(byRecord.rows)
    const byRelation = await client.query(
      `SELECT relname AS relation, record_type AS record, count(*)::int,
              round(sum(record_length) / ${MEASURED_STEPS}.0, 1)::float8 AS "B/step"
         FROM pg_get_wal_block_info($1, $2) JOIN pg_class USING (relfilenode)
        GROUP BY 1, 2 HAVING sum(record_length) > ${MEASURED_STEPS / 10} ORDER BY sum(record_length) DESC`,
      between,
    )
    console.table(byRelation.rows)
  } finally {
    await client.end()
    await program.close()
  }
})

/** The server itself dies in the middle of the flushes, and comes back. */
import t, { type Test } from 'tap'
import { startEngine } from '../engine/running-engine.ts'
import { until } from '../harness/condition.ts'
import { breakUnderLoad } from './load.ts'
import { cannotRunPostgres, type OwnPostgres, startOwnPostgres } from './own-postgres.ts'

const options = { skip: cannotRunPostgres }
const server = cannotRunPostgres ? null : await startOwnPostgres(t)

async function underLoad(t: Test, breaks: (server: OwnPostgres) => Promise<void>): Promise<void> {
  const databaseUrl = await server!.database()
  await breakUnderLoad(t, {
    start: (calls, more) => startEngine(t, calls, { databaseUrl, ...more }),
    breaks: () => breaks(server!),
  })
}

t.test('SIGKILL of all of PostgreSQL under load: nothing is lost, nothing is done twice', options, (t) =>
  underLoad(t, async (server) => {
    await server.kill()
    await server.start()
  }),
)

t.test('an immediate shutdown under load: nothing is lost, nothing is done twice', options, (t) =>
  underLoad(t, async (server) => {
    await server.stop('immediate')
    await server.start()
  }),
)

t.test('a fast shutdown, which ends every session with 57P01, under load: the same', options, (t) =>
  underLoad(t, async (server) => {
    await server.stop('fast')
    await server.start()
  }),
)

t.test('one backend killed, so that the server restarts all of them (57P02), under load: the same', options, (t) =>
  underLoad(t, async (server) => {
    const flushing = "application_name = 'cairn' AND query LIKE 'COPY execution_events%'"
    const [backend] = await server.sql(`SELECT pid FROM pg_stat_activity WHERE ${flushing} LIMIT 1`)
    process.kill(backend!.pid as number, 'SIGKILL')
    await until('the server takes connections again', () =>
      server.sql(`SELECT 1 FROM pg_stat_activity WHERE pid = ${backend!.pid}`).then(
        (rows) => rows.length === 0,
        () => false,
      ),
    )
  }),
)

/** NOTIFY behind a real PgBouncer in transaction mode, which takes LISTEN without an error and passes nothing on. */
import t from 'tap'
import { call, latch, run, startEngine } from '../engine/running-engine.ts'
import { follow, listeners, listeningLog, seqsOf } from '../engine/telling-nodes.ts'
import { createTestDatabase } from '../harness/database.ts'
import { withClient } from '../harness/server.ts'
import { findPgBouncer, startPgBouncer } from './pgbouncer.ts'

const program = findPgBouncer()
const options = {
  skip: program === null && 'there is no pgbouncer on this machine (Debian: apt-get install pgbouncer)',
}
// Engines on a machine that may be busy.
t.setTimeout(180_000)

t.test('a listener that goes around it hears what other nodes tell', options, async (t) => {
  const { url: direct } = await createTestDatabase(t)
  const { url: databaseUrl } = await startPgBouncer(t, { program: program!, url: direct, poolSize: 4 })
  const gate = latch()
  // They never poll.
  const behind = { databaseUrl, listenUrl: direct, prepare: false, pollMs: 3_600_000 }
  const owner = await startEngine(t, { hold: () => gate.promise.then(() => 1) }, behind)
  const other = await startEngine(t, {}, behind)
  const id = await run(owner, [call('hold')])
  const { seqs, until } = follow(other, id)
  await until('snapshot')
  await other.signal(id, 'hello', 1)
  await until('signal.received')
  gate.open()
  await until('execution.completed')
  t.same(seqs, await seqsOf(other, id))
})

t.test('a listener that goes through it finds itself deaf, says what to do, and its node polls', options, async (t) => {
  const { url: direct } = await createTestDatabase(t)
  const { url: databaseUrl } = await startPgBouncer(t, { program: program!, url: direct, poolSize: 4 })
  const gate = latch()
  const log = listeningLog()
  const behind = { databaseUrl, prepare: false }
  const owner = await startEngine(t, { hold: () => gate.promise.then(() => 1) }, behind)
  const other = await startEngine(t, {}, { ...behind, log })
  const warning = await log.line(/CAIRN_LISTEN_URL.*CAIRN_NOTIFY=off/)
  t.match(warning, /PgBouncer in transaction mode/)
  const id = await run(owner, [call('hold')])
  const { seqs, until } = follow(other, id)
  await other.signal(id, 'hello', 1)
  await until('signal.received')
  gate.open()
  await until('execution.completed')
  t.same(seqs, await seqsOf(other, id))
  t.same(await withClient(direct, async (client) => (await client.query(`SELECT pid ${listeners}`)).rows), [])
})

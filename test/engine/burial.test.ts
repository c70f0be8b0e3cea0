/** What a process does about a former life of its own: others need not wait for its lease. */
import t from 'tap'
import { Burial } from '../../src/engine/burial.ts'
import { SystemClock } from '../../src/engine/clock.ts'
import { silentLog } from '../../src/engine/log.ts'
import { createTestDatabase } from '../harness/database.ts'
import { withClient } from '../harness/server.ts'
import { call, echo, ended, journalOf, latch, run, startEngine } from './running-engine.ts'

const LEASE_MS = 600_000

t.test('what a node loses with its life goes on at once in the next one, long before the lease ends', async (t) => {
  const { url: databaseUrl } = await createTestDatabase(t)
  const performed: string[] = []
  const reached = latch()
  const gate = latch()
  const hold = async () => {
    performed.push('hold')
    reached.open()
    if (performed.length === 1) await gate.promise
    return performed.length
  }
  const engine = await startEngine(t, { hold }, { databaseUrl, leaseMs: LEASE_MS })
  const id = await run(engine, [echo('before'), call('hold'), echo('after')])
  await reached.promise
  const { owner } = (await engine.store.findExecution(id))!
  // As a failover does that loses the newest commits.
  await withClient(databaseUrl, (client) =>
    client.query("DELETE FROM execution_events WHERE execution_id = $1 AND type = 'step.completed'", [id]),
  )
  gate.open()
  t.equal((await ended(engine, id)).output, 2, 'the result of the dead life was not taken')
  const journal = await journalOf(engine, id)
  t.match(
    journal.find(({ type }) => type === 'execution.recovered'),
    { data: { from: owner } },
  )
  const nodes = await withClient(databaseUrl, (client) => client.query('SELECT id FROM nodes'))
  t.equal(nodes.rows.length, 1)
  t.not(nodes.rows[0].id, owner, 'the row of the former life is gone')
})

t.test(
  'lives that end one soon after another are left to their leases, and so is one that cannot be removed',
  async (t) => {
    const removed: string[] = []
    let fails = false
    const store = {
      removeNode: async (node: string) => {
        if (fails) throw new Error('no answer')
        removed.push(node)
      },
    }
    const burialWith = (leaseMs: number) => new Burial({ store, clock: new SystemClock(), log: silentLog, leaseMs })
    const burial = burialWith(LEASE_MS)
    t.same([await burial.bury('first'), await burial.bury('second')], [true, false])
    t.same(removed, ['first'])
    const patient = burialWith(0)
    t.same([await patient.bury('third'), await patient.bury('fourth')], [true, true])
    fails = true
    t.equal(await patient.bury('fifth'), false)
  },
)

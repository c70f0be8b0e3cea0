/** Nodes whose clocks differ by minutes: leases, due times and events go by the database's clock alone. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import t, { type Test } from 'tap'
import { call, echo, journalOf, latch, run, startEngine } from '../engine/running-engine.ts'
import { createTestDatabase } from '../harness/database.ts'
import { stayAlive } from './load.ts'

const minutes = 60_000
/** Long enough to tell what is early from what is not known better: half a slow machine's round trip to the database. */
const pauseMs = 4_000
const tolerance = pauseMs / 2

async function startShifted(t: Test, databaseUrl: string, shiftMs: number): Promise<void> {
  const child = fork(path.join(import.meta.dirname, 'shifted-node.ts'), {
    env: { PATH: process.env.PATH, DATABASE_URL: databaseUrl, SHIFT_MS: String(shiftMs) },
  })
  t.teardown(async () => {
    if (child.exitCode !== null) return
    child.send('stop')
    await once(child, 'exit')
  })
  await Promise.race([once(child, 'message'), once(child, 'exit').then(() => Promise.reject(new Error('it ended')))])
}

t.test(
  'nodes that are ten minutes ahead and behind: nobody is declared dead, nothing is early or out of order',
  async (t) => {
    t.setTimeout(200_000)
    stayAlive(t)
    const { url: databaseUrl } = await createTestDatabase(t)
    const gate = latch()
    // Full with one execution: what is started here is performed by the others.
    const calls = { hold: () => gate.promise.then(() => null) }
    const engine = await startEngine(t, calls, { databaseUrl, maxRunning: 1, leaseMs: 30_000 })
    const holding = await run(engine, [call('hold')])
    await startShifted(t, databaseUrl, 10 * minutes)
    await startShifted(t, databaseUrl, -10 * minutes)
    const retryPolicy = { maxAttempts: 2, initialIntervalMs: pauseMs, jitter: 0 }
    const workflow = await engine.createWorkflow({
      name: 'sleepers',
      steps: [echo('a'), echo('b', { fail: { untilAttempt: 2, retryable: true } }, { retryPolicy })],
    })
    const from = await engine.store.databaseNow()
    const startAt = Math.ceil(from) + pauseMs
    const ids = await Promise.all(
      Array.from({ length: 10 }, () => engine.startExecution(workflow.id, 'test', null, { startAt })),
    )
    const ends = await Promise.all(ids.map((id) => engine.waitForEnd(id, 120_000)))
    const to = await engine.store.databaseNow()
    t.same(new Set(ends.map(({ status }) => status)), new Set(['completed']))
    for (const id of ids) {
      const journal = await journalOf(engine, id)
      const times = journal.map(({ at }) => at)
      t.same(
        times,
        times.toSorted((a, b) => a - b),
        'time never goes back',
      )
      t.ok(times[0]! > from - tolerance && times.at(-1)! < to + tolerance, "by the database's clock")
      const started = journal.find(({ type }) => type === 'execution.started')!
      t.ok(started.at >= startAt - tolerance, 'a start is not early')
      const failed = journal.find(({ type }) => type === 'step.failed')!
      const retried = journal.find(({ type }) => type === 'timer.fired')!
      t.ok(retried.at >= failed.at + pauseMs - tolerance, 'a retry is not early')
      t.notOk(journal.some(({ type }) => type === 'execution.recovered'))
    }
    gate.open()
    t.equal((await engine.waitForEnd(holding, 60_000)).status, 'completed')
  },
)

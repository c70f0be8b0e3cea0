/** Processes die while they take over what another left, on their way out, and while they answer a start. */
import { once } from 'node:events'
import t from 'tap'
import type { Point } from './points.ts'
import { endOf, startVictim } from './processes.ts'
import { scenarioEngine } from './scenario.ts'
import { deadAreSwept, dies, goesOn, leasesRunOut, prepare } from './scene.ts'

t.jobs = 2
t.setTimeout(1_800_000)
const parallel = { buffered: true }

/** Claims are of what nodes before them left behind; none of these comes a step further, so fewer than a crash loop. */
const takeovers: readonly (readonly Point[])[] = [
  ['before sweep', 'during claim', 'before flush execution.recovered', 'after flush execution.recovered'],
  ['during sweep', 'after sweep', 'after claim', 'during flush execution.recovered'],
]

for (const points of takeovers) {
  t.test(`killed in the midst of an attempt, and the next nodes ${points.join(', ')}`, parallel, async (t) => {
    const scene = await prepare(t)
    await dies(t, scene, { DIE_AT: 'after perform two' })
    for (const point of points) {
      // Nobody has swept the dead away yet: the first thing that the next process comes to is the sweep.
      await leasesRunOut(scene)
      await dies(t, scene, { DIE_AT: point, LEASE_MS: '3000' })
    }
    await deadAreSwept(scene)
    await goesOn(t, scene)
  })
}

t.test('killed in the midst of a hand-over, on the way out: another node goes on', parallel, async (t) => {
  const scene = await prepare(t)
  // Here the pause that `drive` asks for after the first step is over: it would give the execution away without a stop.
  await dies(t, scene, { STOP_AT: 'before perform fan.left', DIE_AT: 'before flush execution.released' })
  await deadAreSwept(scene)
  await dies(t, scene, { STOP_AT: 'before perform fan.left', DIE_AT: 'during flush execution.released' })
  await deadAreSwept(scene)
  await dies(t, scene, { STOP_AT: 'before perform fan.right', DIE_AT: 'after flush execution.released' })
  await dies(t, scene, { STOP_AT: 'before perform which.yes', DIE_AT: 'before removeNode' })
  await dies(t, scene, { STOP_AT: 'before perform last', DIE_AT: 'after removeNode' })
  await goesOn(t, scene)
})

t.test('a start under a key is repeated elsewhere when its node died: there is one execution', parallel, async (t) => {
  const { databaseUrl, ledger, workflowId, sql } = await prepare(t)
  for (const point of ['before startKeyed', 'during startKeyed', 'after startKeyed'] satisfies Point[]) {
    const environment = { DATABASE_URL: databaseUrl, LEDGER_URL: ledger.url, START: workflowId, START_KEY: 'order 1' }
    t.equal(await endOf(startVictim(t, { ...environment, DIE_AT: point })), 'SIGKILL', `killed ${point}`)
  }
  const survivor = scenarioEngine({ databaseUrl, ledgerUrl: ledger.url })
  t.teardown(() => survivor.stop())
  await survivor.start()
  const request = { workflowId, triggeredBy: 'test', input: null, idempotencyKey: 'order 1' }
  const { replayed } = await survivor.requestStart(request)
  t.ok(replayed, 'the last one was durable')
  t.same(await sql("SELECT count(*)::integer AS starts FROM idempotency_keys WHERE route = 'POST executions'"), [
    { starts: 1 },
  ])
})

t.test('a start that was answered is there when its node is dead', parallel, async (t) => {
  const prepared = await prepare(t)
  const { databaseUrl, ledger, workflowId, sql } = prepared
  const environment = { DATABASE_URL: databaseUrl, LEDGER_URL: ledger.url, START: workflowId }
  const unsent = startVictim(t, { ...environment, DIE_AT: 'before flush start' })
  t.equal(await endOf(unsent), 'SIGKILL')
  t.same(await sql('SELECT count(*)::integer AS executions FROM workflow_executions'), [{ executions: 1 }], 'not sent')
  const answered = startVictim(t, environment)
  const [{ executionId }] = (await once(answered, 'message')) as [{ executionId: string }]
  answered.kill('SIGKILL')
  t.equal(await endOf(answered), 'SIGKILL')
  t.same(await sql(`SELECT id FROM workflow_executions WHERE id = '${executionId}'`), [{ id: executionId }])
  const scene = { ...prepared, executionId }
  await deadAreSwept(scene)
  await goesOn(t, scene)
})

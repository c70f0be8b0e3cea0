/** Slots of `concurrency` whose node is killed: that of a step, that of an execution, and a place in line that is kept for a while. */
import t from 'tap'
import { until } from '../harness/condition.ts'
import { endOf, startVictim } from './processes.ts'
import { scenarioEngine, step } from './scenario.ts'
import { deadAreSwept, dies, endsElsewhere, prepare } from './scene.ts'
import { holderDies } from './slot-holder.ts'

t.jobs = 2
t.setTimeout(600_000)

const concurrency = { scope: 'crm', key: 'emea' }
const push = { ...(step('push') as object), concurrency }

t.test('the slot of a step', { jobs: 2 }, async (t) =>
  holderDies(t, { definition: { name: 'push', steps: [push, step('after')] }, path: 'push', output: 'after' }, [
    'before flush step.queued',
    'during flush step.queued',
    'before settleSlots',
    'during settleSlots',
    'after settleSlots',
    'before flush slot.granted',
    'during flush slot.granted',
    'before perform push',
    'after perform push',
    'during flush step.completed',
    'before perform after',
  ]),
)

t.test('the slot of an execution', { jobs: 2 }, async (t) =>
  holderDies(t, { definition: { name: 'whole', concurrency, steps: [step('push')] }, output: 'push' }, [
    'during flush execution.queued',
    'after settleSlots',
    'during flush slot.granted',
    'during flush execution.started',
    'before perform push',
    'during flush execution.completed',
  ]),
)

t.test('a place in line that is kept for a while ends in time, whoever was killed with it', async (t) => {
  const patience = { ...push, concurrency: { ...concurrency, waitTimeoutMs: 500 } }
  const scene = await prepare(t, { name: 'patience', steps: [patience] })
  const held = "('default', 'shared:crm', 'emea', 1, 'queue', 'held', 0, 0, gen_random_uuid(), 'x', 1)"
  await scene.sql(`INSERT INTO concurrency_slots
    (namespace, scope, key, slot_limit, on_limit, state, turn, changed_at, execution_id, path, ticket) VALUES ${held}`)
  await dies(t, scene, { DIE_AT: 'after flush step.queued', UNDRIVEN: 'yes' })
  await deadAreSwept(scene)
  const { execution, history } = await endsElsewhere(t, scene)
  t.match(execution, { status: 'failed', error: { type: 'ConcurrencyTimeout', stepPath: 'push' } })
  t.equal(history.filter(({ type }) => type === 'slot.refused').length, 1)
})

t.test('a start that would not wait: it has its slot, or is not there', { jobs: 2 }, async (t) => {
  for (const at of ['before startUnderKey', 'during startUnderKey', 'after startUnderKey'] as const) {
    t.test(`killed ${at}`, { buffered: true }, async (t) => {
      const rejecting = { name: 'rejecting', concurrency: { ...concurrency, onLimit: 'reject' }, steps: [step('push')] }
      const scene = await prepare(t, rejecting)
      const { databaseUrl, ledger, workflowId, sql } = scene
      const first = scenarioEngine({ databaseUrl, ledgerUrl: ledger.url })
      await first.start()
      await first.waitForEnd(scene.executionId, 60_000)
      await first.stop()
      const environment = { DATABASE_URL: databaseUrl, LEDGER_URL: ledger.url, START: workflowId, START_KEY: 'once' }
      t.equal(await endOf(startVictim(t, { ...environment, DIE_AT: at })), 'SIGKILL')
      await deadAreSwept(scene)
      const survivor = scenarioEngine({ databaseUrl, ledgerUrl: ledger.url })
      t.teardown(() => survivor.stop())
      await survivor.start()
      const { execution } = await survivor.requestStart({
        workflowId,
        triggeredBy: 'test',
        input: null,
        idempotencyKey: 'once',
      })
      t.match(await survivor.waitForEnd(execution.id, 60_000), { status: 'completed', output: 'push' })
      t.equal((await sql(`SELECT FROM workflow_executions WHERE workflow_id = '${workflowId}'`)).length, 2)
      await until('no slot is left', async () => (await sql('SELECT FROM concurrency_slots')).length === 0)
    })
  }
})

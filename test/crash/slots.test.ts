/** Slots of `concurrency` whose node is killed: that of a step, that of an execution, and a place in line that is kept for a while. */
import t from 'tap'
import { step } from './scenario.ts'
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

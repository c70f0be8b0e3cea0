/** A mutex whose holder's node is killed is held on by whoever takes the execution over: never by two, and never for ever. */
import t from 'tap'
import { seen } from '../engine/running-engine.ts'
import { until } from '../harness/condition.ts'
import { step } from './scenario.ts'
import { deadAreSwept, dies, endsElsewhere, prepare } from './scene.ts'

t.jobs = 2
t.setTimeout(300_000)

const section = { id: 's', type: 'critical_section', config: { mutex: 'ledger', steps: [step('in'), step('out')] } }
const definition = { name: 'books', steps: [section], output: '{{ steps.s.output }}' }

for (const at of [
  'before flush step.queued',
  'during flush step.queued',
  'after flush step.queued',
  'during flush slot.granted',
  'before perform s.in',
  'after perform s.out',
  'during flush execution.completed',
] as const) {
  t.test(`killed ${at}`, { buffered: true }, async (t) => {
    const scene = await prepare(t, definition)
    await dies(t, scene, { DIE_AT: at, UNDRIVEN: 'yes' })
    await deadAreSwept(scene)
    const { execution, survivor, history } = await endsElsewhere(t, scene)
    t.match(execution, { status: 'completed', output: 's.out' })
    t.equal(history.filter(({ type }) => type === 'slot.granted').length, 1)
    const next = await survivor.startExecution(scene.workflowId, 'test')
    await seen(survivor, next, 'slot.granted', 's')
    t.match(await survivor.waitForEnd(next, 60_000), { status: 'completed' }, 'the next one follows')
    await until('no slot is left', async () => (await scene.sql('SELECT FROM concurrency_slots')).length === 0)
  })
}

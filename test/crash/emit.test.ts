/** A signal that a step emits is there once, wherever its node is killed. */
import t from 'tap'
import { deadAreSwept, dies, endsElsewhere, prepare } from './scene.ts'

t.jobs = 2
t.setTimeout(300_000)

const listen = (id: string, config: object = {}): object => ({
  id,
  type: 'wait_for_signal',
  config: { signal: 'news', ...config },
})

/** It tells itself, takes what it was told, and would take what it was told twice. */
const definition = {
  name: 'tells itself',
  steps: [
    {
      id: 'tell',
      type: 'emit',
      config: { signal: 'news', payload: 'once', to: { executionId: '{{ execution.id }}' } },
    },
    listen('first'),
    listen('second', { timeoutMs: 500, onTimeout: 'continue' }),
  ],
  output: '{{ [steps.first.output, steps.second.output] }}',
}

for (const at of [
  'before flush step.completed',
  'during flush step.completed',
  'after flush step.completed',
  'before flush signal.received',
  'during flush signal.received',
] as const) {
  t.test(`killed ${at}`, { buffered: true }, async (t) => {
    const scene = await prepare(t, definition)
    await dies(t, scene, { DIE_AT: at, UNDRIVEN: 'yes' })
    await deadAreSwept(scene)
    const { execution, history } = await endsElsewhere(t, scene)
    t.match(execution, { status: 'completed', output: ['once', null] })
    t.equal(history.filter(({ type }) => type === 'signal.received').length, 1)
  })
}

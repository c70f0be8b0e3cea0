import t from 'tap'
import { call, ended, latch, run, seen, startEngine } from './running-engine.ts'

const add = (id: string, value: string): object => ({
  id,
  type: 'set',
  config: { variables: { sum: `{{ variables.sum + ${value} }}` } },
})
const definition = { variables: { sum: 0 }, output: '{{ variables.sum }}' }

t.test('steps that set a variable at once do not overlook each other', async (t) => {
  const engine = await startEngine(t)
  const steps = [1, 2, 3].map((value) => add(`add-${value}`, String(value)))
  const id = await run(engine, [{ id: 'all', type: 'parallel', config: { steps } }], { definition })
  t.match(await ended(engine, id), { status: 'completed', output: 6 })
})

t.test('nor do those that waited for a resume', async (t) => {
  const arrived = latch()
  const gate = latch()
  let running = 0
  const engine = await startEngine(t, {
    item: async () => {
      if (++running === 3) arrived.open()
      await gate.promise
      return null
    },
  })
  const each = {
    id: 'each',
    type: 'foreach',
    config: { items: [1, 2, 3], concurrency: 3, steps: [call('item'), add('add', 'item')] },
  }
  const id = await run(engine, [each], { definition })
  await arrived.promise
  const pausing = engine.pauseExecution(id)
  await seen(engine, id, 'execution.pause_requested')
  gate.open()
  await pausing
  await engine.resumeExecution(id)
  t.match(await ended(engine, id), { status: 'completed', output: 6 })
})

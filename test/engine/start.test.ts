import t from 'tap'
import { call, echo, ended, latch, startEngine } from './running-engine.ts'

t.test(
  'the first steps see the input that recovery would read, whatever its caller had in it or does to it',
  async (t) => {
    const gate = latch()
    const engine = await startEngine(t, { gate: () => gate.promise.then(() => null) })
    const value = '{{ [1 / input.zero > 0, input.huge, input.list] }}'
    const workflow = await engine.createWorkflow({ name: 'start', steps: [call('gate'), echo('a', { value })] })
    const input = { zero: -0, huge: Number.POSITIVE_INFINITY, list: [1] }
    const id = await engine.startExecution(workflow.id, 'test', input)
    input.list.push(2)
    gate.open()
    t.match(await ended(engine, id), { status: 'completed', output: [true, null, [1]] })
  },
)

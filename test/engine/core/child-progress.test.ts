/** What the children of an execution make of its percentage and of what is left. */
import t from 'tap'
import { progressOf } from '../../../src/engine/core/progress.ts'
import { a, Driver, of } from './driver.ts'

const sub = (id = 's', config: object = {}) => of('sub_workflow', id, { workflow: 'billing', ...config })
const started = (d: Driver, path = 's') =>
  d.fact({ type: 'child.started', path, data: { executionId: `of ${path}`, workflowId: 'w', workflowVersion: 1 } })
const child = (percentage: number, path = 's', estimatedRemainingMs: number | null = null) => {
  const status = 'running' as const
  return { path, executionId: `of ${path}`, status, percentage, estimatedRemainingMs }
}
const shown = (d: Driver, ...children: ReturnType<typeof child>[]) =>
  progressOf(d.plan, d.state, new Map([['x', 40]]), d.at, children)

t.test('a step that waits counts as far as its child has come', async (t) => {
  const d = started(new Driver([sub(), a('x')]).start())
  t.equal(shown(d).percentage, 0)
  t.equal(shown(d, child(50)).percentage, 25)
  t.same(shown(d, child(50)).children, [child(50)])
  t.equal(shown(d, child(100)).percentage, 50)
  t.equal(shown(d, { ...child(100), executionId: 'another' }).percentage, 0, 'one that it does not wait for')
  d.fact({ type: 'step.completed', path: 's', data: { output: 1 } })
  t.equal(shown(d, child(10)).percentage, 50, 'it is counted whole by then')
  d.complete('x')
  t.equal(shown(d, child(10)).percentage, 100)
})

t.test('it is never 100 before the end, and never less than the journal says', async (t) => {
  const d = started(new Driver([sub()]).start())
  t.equal(shown(d, child(100)).percentage, 99)
  const forget = started(new Driver([sub('s', { mode: 'fire_and_forget' }), a('x')]).start())
  t.equal(shown(forget, child(10)).percentage, 50)
})

t.test('in a foreach each child is a part of its item; in a loop without a known end it counts nothing', async (t) => {
  const steps = [sub(), a('x')]
  const d = new Driver([of('foreach', 'each', { items: [1, 2], concurrency: 2, steps })]).start()
  started(started(d, 'each[0].s'), 'each[1].s')
  t.equal(shown(d, child(100, 'each[0].s'), child(50, 'each[1].s')).percentage, 37)
  const loop = started(new Driver([of('while', 'w', { condition: 'true', maxIterations: 3, steps })]).start(), 'w[0].s')
  t.equal(shown(loop, child(50, 'w[0].s')).percentage, 0)
})

t.test('what is left of a child is left of its parent', async (t) => {
  const d = started(new Driver([sub(), a('x')]).start())
  t.equal(shown(d, child(50)).estimatedRemainingMs, null)
  t.equal(shown(d, child(50, 's', 300)).estimatedRemainingMs, 340)
})

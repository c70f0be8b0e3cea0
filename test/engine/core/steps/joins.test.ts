import t from 'tap'
import { a, Driver, par, seq } from '../driver.ts'

const three = (config: object) => par('p', [a('x'), a('y'), a('z')], config)

t.test('with join any the first completed child completes the parallel and cancels the rest', async (t) => {
  const d = new Driver([three({ join: 'any' }), a('after')]).start()
  d.take()
  d.complete('p.y', 1)
  t.same(d.take(), ['abort p.x', 'abort p.z', 'perform after 1'])
  t.same(d.status('p.x'), 'cancelled')
  t.equal(d.state.percentage, 50, 'what was cancelled counts as done')
  d.complete('after', 'o').checkReplay(t)
  t.equal(d.state.status, 'completed')
})

t.test('a join of N waits for N completed children and outputs these', async (t) => {
  const d = new Driver([three({ join: 2 })]).start()
  d.complete('p.z', 3)
  t.equal(d.state.status, 'running')
  d.complete('p.x', 1).checkReplay(t)
  t.same(d.state.output, { x: 1, z: 3 })
})

t.test('a join fails as soon as it cannot be reached any more', async (t) => {
  const d = new Driver([three({ join: 2 })]).start()
  d.fail('p.x')
  t.equal(d.state.status, 'running', 'two are left')
  d.take()
  d.fail('p.y', { error: { type: 'Second' } })
  t.same(d.take(), ['abort p.z'])
  t.match(d.state.error, { type: 'ConnectionError', stepPath: 'p.x' }, 'the first error is the cause')
  d.fact({ type: 'execution.retried', data: {} })
  t.same(d.take(), ['perform p.x 1', 'perform p.y 1', 'perform p.z 1'])
  d.complete('p.x', 1).complete('p.y', 2).checkReplay(t)
  t.same(d.state.output, { x: 1, y: 2 })
})

t.test('children that are skipped may leave too few for the join', async (t) => {
  const d = new Driver([par('p', [a('x'), a('y', { when: 'false' })], { join: 2 })]).start().complete('p.x')
  t.match(d.checkReplay(t).state.error, {
    type: 'JoinNotReached',
    message: '2 of 2 steps were to be completed, and 1 were',
  })
})

t.test('wait_all lets the others end before the parallel fails', async (t) => {
  const d = new Driver([three({ onFailure: 'wait_all' })]).start()
  d.take()
  d.fail('p.x')
  t.same(d.take(), [])
  d.complete('p.y').complete('p.z', 'z').checkReplay(t)
  t.equal(d.state.status, 'failed')
  d.fact({ type: 'execution.retried', data: {} }).complete('p.x', 'x').checkReplay(t)
  t.same(d.state.output, { x: 'x', y: 'p.y', z: 'z' })
})

t.test('continue goes on without those that failed; what depends on them is skipped', async (t) => {
  const steps = [a('x'), a('y'), seq('s', [a('z')], { dependencies: ['x'] })]
  const d = new Driver([par('p', steps, { onFailure: 'continue' })]).start()
  d.fail('p.x').complete('p.y', 'y').checkReplay(t)
  t.equal(d.status('p.s'), 'skipped')
  t.same(d.state.output, { y: 'y' })
})

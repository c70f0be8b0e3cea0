import t from 'tap'
import { a, Driver, of, par, seq } from '../driver.ts'

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

t.test('a join by condition is asked after each child that has ended', async (t) => {
  const when = "arrived.completed >= 2 && data.z == 'yes'"
  const d = new Driver([three({ join: { when } }), a('after')]).start()
  d.complete('p.x').complete('p.y')
  t.equal(d.status('p'), 'running', 'two, yet not the one that counts')
  d.complete('p.z', 'yes')
  t.equal(d.status('after'), 'running')
  d.complete('after').checkReplay(t)
  t.equal(d.state.status, 'completed')
})

t.test('a join by condition cancels the rest when it holds', async (t) => {
  const d = new Driver([three({ join: { when: "data.y == 'no'" } })]).start()
  d.take()
  d.complete('p.y', 'no').checkReplay(t)
  t.same(d.take(), ['abort p.x', 'abort p.z'])
  t.same(d.state.output, { y: 'no' })
})

t.test(
  'a condition that never holds fails the parallel when all have ended, with the error of a child if one failed',
  async (t) => {
    const d = new Driver([three({ join: { when: 'false' } })]).start()
    d.complete('p.x').complete('p.y').complete('p.z').checkReplay(t)
    t.match(d.state.error, {
      type: 'JoinNotReached',
      message: 'all 3 steps have ended, and the condition is false: false',
    })
    const other = new Driver([three({ join: { when: 'arrived.failed > 1' } })]).start()
    other.complete('p.x').fail('p.y').complete('p.z').checkReplay(t)
    t.match(other.state.error, { type: 'ConnectionError', stepPath: 'p.y' })
  },
)

t.test('a condition that fails to be evaluated fails the parallel; a retry asks it again', async (t) => {
  const d = new Driver([three({ join: { when: 'nothing > arrived.completed' } })]).start()
  d.complete('p.x').checkReplay(t)
  t.match(d.state.error, { type: 'ExpressionError', stepPath: 'p' })
  d.take()
  d.fact({ type: 'execution.retried', data: {} }).checkReplay(t)
  t.match(d.state.error, { type: 'ExpressionError' }, 'it is asked before any child ends again')
})

t.test('children that end while the condition is asked are counted: it is asked once more', async (t) => {
  const set = (id: string) => of('set', id, { variables: { [id]: 1 } })
  const d = new Driver([par('p', [set('x'), set('y'), set('z')], { join: { when: 'arrived.completed == 3' } })])
  d.start().checkReplay(t)
  t.equal(d.state.status, 'completed')
})

t.test('a join asked while the execution is held is asked again at resume', async (t) => {
  const d = new Driver([three({ join: { when: 'arrived.completed == 1' } })]).start()
  d.fact({ type: 'execution.pause_requested', data: {} })
  d.complete('p.x').complete('p.y').complete('p.z')
  t.equal(d.state.status, 'paused')
  d.fact({ type: 'execution.resumed', data: {} }).checkReplay(t)
  t.same(d.state.error?.type, 'JoinNotReached', 'it holds for what there is then')
})

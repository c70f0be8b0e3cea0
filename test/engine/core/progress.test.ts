/** completedSteps and the percentage: they count each leaf of the definition once, and fall after a rollback only. */
import t from 'tap'
import { progressOf } from '../../../src/engine/core/progress.ts'
import { a, Driver, of, par } from './driver.ts'

const counts = (d: Driver) => {
  const { completedSteps, totalSteps, percentage } = progressOf(d.plan, d.state, new Map(), d.at)
  return [completedSteps, totalSteps, percentage]
}

t.test('a step in a loop counts when it was completed once, whatever its iterations', async (t) => {
  const loop = of('while', 'w', { condition: 'index < 3', steps: [a('x'), a('y')], maxIterations: 9 })
  const each = of('foreach', 'e', { items: [1, 2], steps: [a('z')] })
  const d = new Driver([loop, each]).start()
  const seen: number[][] = [counts(d)]
  for (const path of ['w[0].x', 'w[0].y', 'w[1].x', 'w[1].y', 'w[2].x', 'w[2].y', 'e[0].z', 'e[1].z'])
    seen.push(counts(d.complete(path)))
  t.same(
    seen.map(([completed]) => completed),
    [0, 1, 2, 2, 2, 2, 2, 3, 3],
  )
  t.same(seen.at(-1), [3, 3, 100])
  d.checkReplay(t)
})

t.test('steps named as members of every object count too', async (t) => {
  const loop = of('while', 'w', { condition: 'index < 2', steps: [a('toString'), a('constructor')], maxIterations: 9 })
  const d = new Driver([loop]).start()
  for (const index of [0, 1]) d.complete(`w[${index}].toString`).complete(`w[${index}].constructor`)
  t.same(counts(d.checkReplay(t)), [2, 2, 100])
})

t.test('a finally that runs again after a retry counts once, and the percentage waits for it', async (t) => {
  const attempt = of('try', 't', { steps: [a('x'), a('y')], finally: [a('z')] })
  const d = new Driver([attempt, a('after')]).start()
  d.complete('t[steps].x').fail('t[steps].y').complete('t[finally].z')
  t.same([d.state.status, ...counts(d)], ['failed', 2, 4, 37])
  d.fact({ type: 'execution.retried', data: {} })
  t.same(counts(d), [2, 4, 37], 'it never falls')
  d.complete('t[steps].y')
  t.same(counts(d), [3, 4, 37], 'the finally is yet to come')
  d.complete('t[finally].z')
  t.same(counts(d), [3, 4, 50])
  d.complete('after').checkReplay(t)
  t.same(counts(d), [4, 4, 100])
})

t.test('an error that no catch takes leaves what failed uncounted', async (t) => {
  const attempt = of('try', 't', { steps: [a('x')], catch: [{ errors: ['Other'], steps: [a('y')] }] })
  const d = new Driver([attempt, a('after')]).start().fail('t[steps].x')
  t.same(counts(d), [0, 3, 25], 'the catch was passed by')
  d.fact({ type: 'execution.retried', data: {} }).complete('t[steps].x')
  t.same(counts(d), [1, 3, 50])
  d.complete('after').checkReplay(t)
  t.same(counts(d), [2, 3, 100], 'what was skipped was not completed')
})

t.test('a branch that has lost a race counts once, though it was in a catch', async (t) => {
  const attempt = of('try', 't', { steps: [a('x')], catch: [{ steps: [a('y')] }] })
  const d = new Driver([of('race', 'r', { branches: [{ steps: [attempt] }, { steps: [a('z')] }] }), a('after')]).start()
  d.fail('r[0].t[steps].x')
  t.same(counts(d), [0, 4, 12])
  d.complete('r[1].z').checkReplay(t)
  t.same(counts(d), [1, 4, 50])
})

t.test('a foreach without items that fails counts once', async (t) => {
  const attempt = of('try', 't', {
    steps: [of('foreach', 'e', { items: [], steps: [a('x')], join: 1 })],
    catch: [{ steps: [a('y')] }],
  })
  const d = new Driver([attempt, a('after')]).start()
  t.same(counts(d), [0, 3, 25])
  d.complete('t[catch0].y').checkReplay(t)
  t.same(counts(d), [1, 3, 50])
})

t.test(
  'what runs on after an inner join counts as it ends, though the outer join has cancelled the others',
  async (t) => {
    const inner = par('p', [a('x'), a('y')], { join: 'any', rest: 'continue' })
    const outer = par('q', [inner, a('z')], { join: 'any' })
    const d = new Driver([outer, a('after')]).start().complete('q.p.x')
    t.same(counts(d), [1, 4, 37], 'x, and z that nobody waits for')
    d.complete('q.p.y')
    t.same(counts(d), [2, 4, 50])
    d.complete('after').checkReplay(t)
    t.same(counts(d), [3, 4, 100])
  },
)

t.test('what a parallel goes on without counts as done', async (t) => {
  const d = new Driver([par('p', [a('x'), a('y')], { onFailure: 'continue' }), a('after')]).start()
  d.fail('p.x').complete('p.y').checkReplay(t)
  t.same(counts(d), [1, 3, 50])
})

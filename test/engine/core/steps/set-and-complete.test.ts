import t from 'tap'
import { a, Driver, of, par, seq } from '../driver.ts'

t.test('set gives variables new values for all that comes after; `data` passes it by', async (t) => {
  const d = new Driver(
    [
      of('set', 'count', { variables: { n: '{{ n + 1 }}', was: '{{ n }}' } }),
      a('x', { when: 'n == 2 && was == 1 && steps.count.output.n == 2' }),
    ],
    { input: 'in', definition: { variables: { n: 1, other: true } } },
  ).start()
  t.same(d.take(), ['perform x 1'])
  t.same(d.state.variables, { n: 2, other: true, was: 1 })
  t.same(d.plan.variables, { n: 1, other: true }, 'the plan is shared and stays as it is')
  t.equal(d.state.steps.get('x')!.data, '')
  d.checkReplay(t)
})

t.test('complete ends the execution well, whatever runs', async (t) => {
  const d = new Driver([
    par('p', [a('slow'), seq('s', [a('x'), of('complete', 'enough', { output: { won: '{{ data }}' } })])]),
    a('never'),
  ])
  d.start()
  d.take()
  d.complete('p.s.x', 'x')
  t.same(d.take(), ['abort p.slow'])
  t.equal(d.state.status, 'completed')
  t.same(d.state.output, { won: 'x' })
  t.equal(d.state.percentage, 100)
  d.checkReplay(t)
})

t.test("complete's own output goes before the workflow's, `data` does not", async (t) => {
  const definition = { output: { at: '{{ data }}' } }
  const own = new Driver([of('complete', 'c', { output: 1 })], { definition }).start()
  t.equal(own.checkReplay(t).state.output, 1)
  const data = new Driver([a('x'), of('complete', 'c'), a('never')], { definition }).start().complete('x', 'x')
  t.same(data.checkReplay(t).state.output, { at: 'x' })
})

t.test('complete with a scope ends the step around it, and the flow goes on behind that', async (t) => {
  const loop = of('while', 'w', {
    condition: 'true',
    maxIterations: 100,
    steps: [
      a('x'),
      of('switch', 's', {
        cases: [{ when: 'data == 3', steps: [of('complete', 'break', { scope: 'w', output: 'found' })] }],
      }),
    ],
  })
  const d = new Driver([loop, a('after')]).start()
  d.complete('w[0].x', 1).complete('w[1].x', 3)
  t.equal(d.status('w'), 'completed')
  t.equal(d.status('after'), 'running')
  d.complete('after').checkReplay(t)
  t.equal(d.state.status, 'completed')
})

t.test('complete within a sequence or a parallel counts all of it as done', async (t) => {
  const d = new Driver([
    seq('s', [par('p', [a('x'), seq('q', [of('complete', 'c', { scope: 'p', output: 'o' })])]), a('y')]),
    a('z'),
  ]).start()
  t.equal(d.state.percentage, 25)
  t.same(d.state.steps.get('s.y')!.data, 's.p')
  d.complete('s.y').complete('z').checkReplay(t)
  t.equal(d.state.status, 'completed')
})

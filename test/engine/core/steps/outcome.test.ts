/** `output` of a composite: one place for all types. */
import t from 'tap'
import { a, Driver, gate, of, par, seq } from '../driver.ts'

const output = { output: { was: '{{ data }}' } }

t.test('the output of a composite is what its template says; it sees its own output as `data`', async (t) => {
  const composites: [object, string[], unknown][] = [
    [par('c', [a('x'), a('y')], {}, output), ['c.x', 'c.y'], { x: 'c.x', y: 'c.y' }],
    [seq('c', [a('x'), a('y')], output), ['c.x', 'c.y'], 'c.y'],
    [gate('c', 'true', { then: [a('x')], else: [a('y')] }, output), ['c.x'], 'c.x'],
    [gate('c', 'false', { then: [a('x')] }, output), [], 'in'],
    [of('switch', 'c', { cases: [{ when: 'true', steps: [a('x')] }] }, output), ['c[0].x'], 'c[0].x'],
    [of('switch', 'c', { cases: [{ when: 'false', steps: [a('x')] }] }, output), [], 'in'],
    [
      of('switch', 'c', { mode: 'all', cases: [{ name: 'b', when: 'true', steps: [a('x')] }] }, output),
      ['c[b].x'],
      { b: 'c[b].x' },
    ],
    [
      of('race', 'c', { branches: [{ steps: [a('x')] }, { steps: [a('y')] }] }, output),
      ['c[1].y'],
      { winner: '1', output: 'c[1].y' },
    ],
    [
      of('while', 'c', { condition: 'index < 2', steps: [a('x')], maxIterations: 3 }, output),
      ['c[0].x', 'c[1].x'],
      'c[1].x',
    ],
    [of('until', 'c', { condition: 'index > 0', steps: [a('x')], maxIterations: 3 }, output), ['c[0].x'], 'c[0].x'],
    [of('foreach', 'c', { items: [1, 2], steps: [a('x')] }, output), ['c[0].x', 'c[1].x'], ['c[0].x', 'c[1].x']],
    [of('try', 'c', { steps: [a('x')], catch: [{ steps: [a('y')] }] }, output), ['c[steps].x'], 'c[steps].x'],
  ]
  for (const [composite, paths, was] of composites) {
    const d = new Driver([composite, a('after')], { input: 'in' }).start()
    for (const path of paths) d.complete(path)
    t.same(d.state.steps.get('c')!.output, { was }, JSON.stringify(composite))
    t.equal(d.state.steps.get('after')!.data, 'c')
    d.complete('after').checkReplay(t)
    t.equal(d.state.status, 'completed')
    t.equal(d.state.percentage, 100)
  }
})

t.test('it reads the steps within, and names around', async (t) => {
  const inner = par('p', [a('x'), a('y')], {}, { output: '{{ item + steps.x.output + steps.y.output }}' })
  const d = new Driver([of('foreach', 'e', { items: ['a', 'b'], steps: [inner] })]).start()
  d.complete('e[0].p.x', 1).complete('e[0].p.y', 2).complete('e[1].p.x', 3).complete('e[1].p.y', 4).checkReplay(t)
  t.same(d.state.output, ['a12', 'b34'])
})

t.test(
  'a template that cannot be evaluated fails the step; a retry asks it again and performs nothing anew',
  async (t) => {
    const d = new Driver([seq('s', [a('x')], { output: '{{ nothing }}' })]).start().complete('s.x')
    t.match(d.state.error, { type: 'ExpressionError', stepPath: 's' })
    d.take()
    d.fact({ type: 'execution.retried', data: {} }).checkReplay(t)
    t.same([d.state.status, d.take()], ['failed', []])
  },
)

t.test('the timeout of a step that is about to conclude is over with it', async (t) => {
  const d = new Driver([seq('s', [a('x')], { ...output, timeoutMs: 100 }), a('after')]).start()
  d.complete('s.x').passTime(200)
  t.same([d.status('s'), d.status('after')], ['completed', 'running'])
})

t.test('while the execution is held it is not asked, and at resume it is', async (t) => {
  const d = new Driver([par('p', [a('x'), a('y')], {}, output)]).start().complete('p.x')
  d.fact({ type: 'execution.pause_requested', data: {} }).complete('p.y', 'y')
  t.same([d.state.status, d.status('p'), d.pending()], ['paused', 'running', []])
  d.fact({ type: 'execution.resumed', data: {} }).checkReplay(t)
  t.same(d.state.output, { was: { x: 'p.x', y: 'y' } })
})

t.test('recovery asks for it again', async (t) => {
  const d = new Driver([par('p', [a('x'), a('y')], {}, output)]).start().complete('p.x')
  d.fact({ type: 'execution.pause_requested', data: {} }).complete('p.y')
  d.state.status = 'running'
  d.state.requested = null
  t.same(d.pending(), ['decide p'])
})

t.test('`complete` that ends the step gives its output itself', async (t) => {
  const d = new Driver([seq('s', [of('complete', 'c', { scope: 's', output: 7 }), a('x')], output)]).start()
  t.same(d.checkReplay(t).state.output, 7)
})

t.test('of a join the output is made of what had arrived, while the rest runs on', async (t) => {
  const join = { join: 'any', rest: 'continue' }
  const stop = seq('s', [a('x'), of('complete', 'c', { scope: 'p', output: 'no' })])
  const d = new Driver([par('p', [stop, a('y'), a('z')], join, output), a('after')]).start()
  d.complete('p.y', 1)
  t.same([d.state.steps.get('p')!.output, d.status('after')], [{ was: { y: 1 } }, 'running'])
  d.complete('p.s.x').complete('after', '{}').checkReplay(t)
  t.same([d.state.status, d.state.output, d.status('p.z')], ['completed', '{}', 'cancelled'])
})

t.test('a step that fails has none', async (t) => {
  const d = new Driver([par('p', [a('x'), a('y')], {}, output)]).start().fail('p.x').checkReplay(t)
  t.notOk(d.state.steps.get('p')!.output)
})

/** What is left when a join was reached with `rest: continue`: it runs on, and the sequence around it ends after it. */
import t from 'tap'
import { progressOf } from '../../../../src/engine/core/progress.ts'
import { a, Driver, gate, of, par, seq } from '../driver.ts'

const any = (steps: object[], config: object = {}, rest: object = {}) =>
  par('p', steps, { join: 'any', rest: 'continue', ...config }, rest)
const three = (config: object = {}) => any([a('x'), a('y'), a('z')], config)

t.test('the flow goes on at the join, the rest runs on, and the execution ends after both', async (t) => {
  const d = new Driver([three(), a('after')]).start()
  d.take()
  d.complete('p.y', 1)
  t.same(d.take(), ['perform after 1'], 'nothing is aborted')
  t.same([d.status('p'), d.status('p.x'), d.state.percentage], ['completed', 'running', 16])
  d.complete('after', 'end')
  t.equal(d.state.status, 'running', 'x and z are under way')
  d.complete('p.x', 2)
  t.equal(d.state.status, 'running')
  d.complete('p.z', 3).checkReplay(t)
  t.equal(d.state.status, 'completed')
  t.equal(d.state.output, 'end')
})

t.test('the output is what had arrived, whatever comes later', async (t) => {
  const d = new Driver([three({ join: 2 })]).start()
  d.complete('p.y', 1).complete('p.z', 2).complete('p.x', 3).checkReplay(t)
  t.same(d.state.output, { y: 1, z: 2 })
  t.equal(d.status('p.x'), 'completed')
})

t.test('a failure in the rest is on record and changes nothing', async (t) => {
  const d = new Driver([three(), a('after')]).start()
  d.complete('p.y', 1).fail('p.x')
  t.equal(d.status('p.x'), 'failed')
  d.complete('after', 'end').fail('p.z').checkReplay(t)
  t.equal(d.state.status, 'completed')
  t.equal(d.state.output, 'end')
})

t.test('what depends on the rest, or waits for room, begins later', async (t) => {
  const steps = [a('x'), a('y'), a('z', { dependencies: ['y'] }), a('w', { dependencies: ['z'] })]
  const d = new Driver([any(steps, { concurrency: 1 })]).start()
  d.take()
  d.complete('p.x')
  t.same(d.take(), ['perform p.y 1'])
  d.complete('p.y')
  t.same(d.take(), ['perform p.z 1'])
  d.fail('p.z').checkReplay(t)
  t.equal(d.status('p.w'), 'skipped')
  t.equal(d.state.status, 'completed')
})

t.test('progress counts the rest as it ends and never falls', async (t) => {
  const d = new Driver([three(), a('after')]).start()
  const seen: number[] = []
  const note = () => seen.push(d.state.percentage)
  d.complete('p.y')
  note()
  d.fail('p.x')
  note()
  d.complete('after')
  note()
  d.complete('p.z')
  note()
  t.same(seen, [16, 33, 83, 100])
})

t.test('the current step is one of the flow, as long as that has any', async (t) => {
  const d = new Driver([three(), a('after')]).start().complete('p.y')
  const current = () => progressOf(d.plan, d.state, new Map(), d.at).currentStep?.path
  t.equal(current(), 'after')
  d.complete('after')
  t.equal(current(), 'p.x')
})

t.test('the execution that fails cancels the rest; a retry takes it on again', async (t) => {
  const d = new Driver([three(), a('after')]).start().complete('p.y')
  d.take()
  d.fail('after')
  t.same(d.take(), ['abort p.x', 'abort p.z'])
  t.equal(d.state.status, 'failed')
  d.fact({ type: 'execution.retried', data: {} }).checkReplay(t)
  t.same(d.take(), ['perform p.x 1', 'perform p.z 1', 'perform after 1'])
  d.complete('p.x').complete('after', 'end')
  t.equal(d.state.status, 'running')
  d.complete('p.z').checkReplay(t)
  t.same([d.state.status, d.state.output], ['completed', 'end'])
})

t.test('a cancel ends the rest', async (t) => {
  const d = new Driver([three()]).start().complete('p.y')
  t.equal(d.state.status, 'running')
  d.fact({ type: 'execution.cancelled', data: {} }).checkReplay(t)
  t.same([d.status('p.x'), d.status('p.z'), d.state.runningAttempts], ['cancelled', 'cancelled', 0])
})

t.test('`complete` ends the rest with the scope that it ends', async (t) => {
  const d = new Driver([three(), of('complete', 'c', { output: 'done' }), a('never')]).start()
  d.complete('p.y').checkReplay(t)
  t.same([d.state.status, d.state.output, d.status('p.x')], ['completed', 'done', 'cancelled'])
})

t.test('`complete` in the rest whose scope has its outcome already ends the rest alone', async (t) => {
  const stop = seq('s', [a('x'), of('complete', 'c', { scope: 'p', output: 'no' }), a('never')])
  const d = new Driver([any([stop, a('y'), a('z')]), a('after')]).start()
  d.complete('p.y', 1).complete('p.s.x')
  t.same([d.status('p.z'), d.status('p.s')], ['cancelled', 'cancelled'])
  d.complete('after', 'end').checkReplay(t)
  t.same([d.state.status, d.state.output], ['completed', 'end'])
})

t.test('`complete` in the rest of an inner join ends the parallel around it', async (t) => {
  const stop = seq('s', [a('x'), of('complete', 'c', { scope: 'q', output: 'q ends' })])
  const q = par('q', [any([stop, a('y'), a('z')]), a('w')])
  const d = new Driver([q, a('after')]).start()
  d.complete('q.p.y')
  t.equal(d.status('q'), 'running')
  d.complete('q.p.s.x')
  t.same([d.status('q'), d.status('q.p.z'), d.status('q.w')], ['completed', 'cancelled', 'cancelled'])
  t.equal(d.state.percentage, 50)
  d.complete('after').checkReplay(t)
  t.equal(d.state.status, 'completed')
})

t.test('an iteration ends after the rest of the joins in it', async (t) => {
  const loop = of('while', 'w', { condition: 'index < 2', steps: [three(), a('after')], maxIterations: 5 })
  const d = new Driver([loop]).start()
  let most = 0
  for (const i of [0, 1]) {
    d.complete(`w[${i}].p.y`).complete(`w[${i}].after`, i)
    t.notOk(d.status(`w[${i + 1}]`))
    d.complete(`w[${i}].p.x`).fail(`w[${i}].p.z`)
    most = Math.max(most, d.state.steps.size)
  }
  d.checkReplay(t)
  t.same([d.state.status, d.state.output], ['completed', 1])
  t.ok(most < 16)
})

t.test('a failed iteration that a foreach bears takes its rest with it', async (t) => {
  const each = of('foreach', 'e', { items: [1, 2], steps: [three(), a('after')], tolerate: 1 })
  const d = new Driver([each]).start().complete('e[0].p.y')
  d.take()
  d.fail('e[0].after')
  t.same(d.take(), [
    'abort e[0].p.x',
    'abort e[0].p.z',
    'perform e[1].p.x 1',
    'perform e[1].p.y 1',
    'perform e[1].p.z 1',
  ])
  d.complete('e[1].p.x').complete('e[1].p.y').complete('e[1].p.z').complete('e[1].after', 'end').checkReplay(t)
  t.same(d.state.output, [null, 'end'])
  t.equal(d.state.percentage, 100)
})

t.test('a catch sees no step of the rest go on, and the percentage counts it as over', async (t) => {
  const attempt = of('try', 't', { steps: [three(), a('bad')], catch: [{ steps: [a('mend')] }] })
  const d = new Driver([attempt, a('after')]).start().complete('t[steps].p.y').fail('t[steps].bad')
  t.equal(d.status('t[steps].p.x'), 'cancelled')
  t.equal(d.state.percentage, 25)
  d.complete('t[catch0].mend')
  t.equal(d.state.percentage, 50)
  d.complete('after').checkReplay(t)
  t.equal(d.state.status, 'completed')
})

t.test('what was completed in the rest is compensated too, the newest first', async (t) => {
  const undo = { compensate: { type: 'echo' } }
  const d = new Driver([any([a('x', undo), a('y', undo)]), a('after')]).start()
  d.complete('p.y').complete('p.x')
  d.take()
  d.fail('after')
  t.same(d.take(), ['perform p.x[compensate].compensate-x 1'])
  d.complete('p.x[compensate].compensate-x')
  t.same(d.take(), ['perform p.y[compensate].compensate-y 1'])
  d.complete('p.y[compensate].compensate-y').checkReplay(t)
  t.equal(d.state.status, 'failed')
})

t.test('a pause holds the rest too; at resume it goes on', async (t) => {
  const steps = [a('x'), seq('s', [a('y'), a('z')])]
  const d = new Driver([any(steps), a('after')]).start().complete('p.x').complete('after')
  d.fact({ type: 'execution.pause_requested', data: {} })
  d.take()
  d.complete('p.s.y')
  t.same([d.state.status, d.take()], ['paused', []])
  d.fact({ type: 'execution.resumed', data: {} })
  t.same(d.take(), ['perform p.s.z 1'])
  d.complete('p.s.z').checkReplay(t)
  t.equal(d.state.status, 'completed')
})

t.test('with nothing left at the join it is as without a rest', async (t) => {
  const d = new Driver([any([a('x')]), a('after')]).start().complete('p.x')
  t.notOk(d.state.steps.get('p')!.runsOn)
  d.complete('after').checkReplay(t)
  t.equal(d.state.status, 'completed')
})

const each = (config: object) => of('foreach', 'e', { items: [0, 1, 2, 3], concurrency: 2, steps: [a('x')], ...config })

t.test('a foreach joins when so many items are completed, and cancels the rest', async (t) => {
  const d = new Driver([each({ join: 2 }), a('after')]).start().complete('e[1].x', 'b')
  d.take()
  d.complete('e[2].x', 'c')
  t.same(d.take(), ['abort e[0].x', 'perform after 1'])
  t.equal(d.state.percentage, 50)
  d.complete('after').checkReplay(t)
  t.equal(d.state.status, 'completed')
})

t.test('the rest of a foreach runs on to the last item; the output is what had arrived', async (t) => {
  const d = new Driver([each({ join: 'any', rest: 'continue' }), a('after', { when: "data[0] == 'a'" })]).start()
  d.complete('e[0].x', 'a')
  t.same([d.status('after'), d.status('e[1].x'), d.status('e[2].x')], ['running', 'running', 'running'])
  d.complete('e[1].x', 'b').complete('after', 'end').fail('e[2].x')
  t.equal(d.state.status, 'running')
  d.complete('e[3].x').checkReplay(t)
  t.same([d.state.status, d.state.output], ['completed', 'end'])
})

t.test('counts are those at the join', async (t) => {
  const d = new Driver([each({ join: 2, rest: 'continue', collect: 'none', tolerate: 4 })]).start()
  d.fail('e[0].x').complete('e[1].x').complete('e[2].x').fail('e[3].x').checkReplay(t)
  t.same(d.state.output, { total: 4, completed: 2, failed: 1 })
})

t.test('too few items for the join fail the foreach, no items too', async (t) => {
  const d = new Driver([each({ join: 4, tolerate: 1 })]).start()
  d.complete('e[0].x').complete('e[1].x').fail('e[2].x').complete('e[3].x').checkReplay(t)
  t.match(d.state.error, {
    type: 'JoinNotReached',
    message: '4 of 4 items were to be completed, and 3 were',
    stepPath: 'e',
  })
  d.fact({ type: 'execution.retried', data: {} }).checkReplay(t)
  t.match(d.state.error, { type: 'JoinNotReached' }, 'nothing is left that a retry could do')
  const none = new Driver([each({ items: '{{ input }}', join: { when: 'true' } })], { input: [] }).start()
  t.match(none.checkReplay(t).state.error, { type: 'JoinNotReached' })
})

t.test('a condition joins a list that grows; from then on nothing is added', async (t) => {
  const grow = { signal: 'more', end: 'enough' }
  const join = { when: 'arrived.completed > 1 && data[0] == input' }
  const d = new Driver([each({ items: [], grow, join, rest: 'continue', concurrency: 5 }), a('after')], { input: 7 })
  d.start().signal('more', 'a').signal('more', 'b').signal('more', 'c')
  d.complete('e[2].x', 1).complete('e[0].x', 7)
  t.equal(d.status('after'), 'running')
  d.signal('more', 'd')
  t.notOk(d.status('e[3]'))
  t.equal(d.state.mailbox.length, 1)
  d.complete('after')
  t.equal(d.state.status, 'running')
  d.complete('e[1].x').checkReplay(t)
  t.equal(d.state.status, 'completed')
})

t.test('a join ends the paging', async (t) => {
  const page = [a('fetch')]
  const d = new Driver([of('foreach', 'e', { page, concurrency: 2, steps: [a('x')], join: 'any', rest: 'continue' })])
  d.start().complete('e[page0].fetch', { items: [1, 2, 3], next: 'n' })
  d.complete('e[0].x').complete('e[1].x').checkReplay(t)
  t.equal(d.state.status, 'running')
  d.complete('e[2].x').checkReplay(t)
  t.equal(d.state.status, 'completed')
  t.notOk(d.status('e[page1]'))
})

t.test('`complete` in an item of the rest ends the rest of the foreach', async (t) => {
  const steps = [a('x'), of('complete', 'c', { scope: 'e' })]
  const list = of('foreach', 'e', {
    items: [0, 1, 2],
    concurrency: 3,
    join: { when: 'arrived.completed == 1' },
    rest: 'continue',
    steps: [of('switch', 's', { cases: [{ when: 'index == 0', steps: [a('y')] }], default: steps })],
  })
  const d = new Driver([list, a('after')]).start().complete('e[0].s[0].y')
  t.equal(d.status('e'), 'completed')
  d.complete('e[1].s[default].x')
  t.equal(d.status('e[2].s[default].x'), 'cancelled')
  t.equal(d.state.percentage, 50)
  d.complete('after').checkReplay(t)
  t.equal(d.state.status, 'completed')
})

t.test('the rest may end while the output of the step that has joined is still asked for', async (t) => {
  const atOnce = gate('g', 'false', { then: [a('x')] })
  const rest = { join: 'any', rest: 'continue' }
  const output = { output: { was: '{{ data }}' } }
  for (const joined of [
    par('c', [atOnce, gate('h', 'false', { then: [a('y')] })], rest, output),
    of('foreach', 'c', { items: [1, 2], steps: [atOnce], ...rest }, output),
  ]) {
    const d = new Driver([joined, a('after')]).start()
    d.complete('after').checkReplay(t)
    t.equal(d.state.status, 'completed', JSON.stringify(joined))
    t.equal(d.state.percentage, 100)
  }
})

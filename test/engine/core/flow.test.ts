import t from 'tap'
import { a, Driver, gate, par, seq } from './driver.ts'

t.test('a sequence performs one step after the other and hands `data` on', async (t) => {
  const d = new Driver([a('one'), a('two')], { input: 'in' }).start()
  t.same(d.take(), ['perform one 1'])
  d.complete('one', { n: 1 })
  t.same(d.take(), ['perform two 1'])
  d.complete('two', [1, 2])
  t.equal(d.state.status, 'completed')
  t.same(d.state.output, [1, 2], 'the output is the data at the end of the root')
})

t.test('a parallel begins all children and joins when the last one ended', async (t) => {
  const d = new Driver([par('fan', [a('x'), a('y')]), a('after')]).start()
  t.same(d.take(), ['perform fan.x 1', 'perform fan.y 1'])
  d.complete('fan.y', 2)
  t.same(d.take(), [], 'a join waits for its slowest branch')
  d.complete('fan.x', 1)
  t.same(d.take(), ['perform after 1'])
})

t.test('a parallel outputs its children by id', async (t) => {
  const d = new Driver([par('fan', [a('x'), a('y')])]).start()
  d.complete('fan.y', 2).complete('fan.x', 1)
  t.same(d.state.output, { x: 1, y: 2 })
})

t.test('a child begins when all that it names are completed', async (t) => {
  const d = new Driver([par('dag', [a('x'), a('y'), a('z', { dependencies: ['x', 'y'] })])]).start()
  t.same(d.take(), ['perform dag.x 1', 'perform dag.y 1'])
  d.complete('dag.x')
  t.same(d.take(), [])
  d.complete('dag.y')
  t.same(d.take(), ['perform dag.z 1'])
})

t.test('concurrency bounds the children that are under way', async (t) => {
  const d = new Driver([par('fan', [a('x'), a('y'), a('z')], { concurrency: 2 })]).start()
  t.same(d.take(), ['perform fan.x 1', 'perform fan.y 1'])
  d.complete('fan.x')
  t.same(d.take(), ['perform fan.z 1'])
})

t.test('a failure in a parallel cancels the siblings and fails the execution', async (t) => {
  const d = new Driver([par('fan', [a('x'), seq('s', [a('y'), a('z')])])]).start()
  d.take()
  d.fail('fan.x')
  t.same(d.take(), ['abort fan.s.y'])
  t.equal(d.status('fan.s.y'), 'cancelled')
  t.equal(d.status('fan.s'), 'cancelled')
  t.equal(d.state.status, 'failed')
  t.match(d.state.error, { type: 'ConnectionError', stepPath: 'fan.x' })
})

t.test('`when` false skips a step, `data` passes by, and its dependants are skipped', async (t) => {
  const d = new Driver([
    a('one'),
    a('two', { when: 'data == "no"' }),
    a('three', { dependencies: ['two'] }),
    a('four'),
  ]).start()
  d.complete('one', 'yes')
  t.equal(d.status('two'), 'skipped')
  t.equal(d.status('three'), 'skipped')
  t.same(d.take(), ['perform one 1', 'perform four 1'])
  t.equal(d.state.percentage, 75, 'skipped counts as done')
})

t.test('a skipped child of a parallel skips the chain that depends on it', async (t) => {
  const d = new Driver([
    par('dag', [a('x', { when: 'false' }), a('y', { dependencies: ['x'] }), a('z', { dependencies: ['y'] }), a('w')]),
  ]).start()
  t.same(
    ['dag.x', 'dag.y', 'dag.z'].map((path) => d.status(path)),
    ['skipped', 'skipped', 'skipped'],
  )
  d.complete('dag.w', 1)
  t.same(d.state.output, { w: 1 })
})

t.test('a true `when` is on record before the step begins', async (t) => {
  const d = new Driver([a('one', { when: 'true' })]).start()
  t.same(
    d.journal.map((event) => event.type),
    ['execution.started', 'step.entered'],
  )
  t.same(d.take(), ['perform one 1'])
})

t.test('gates', async (t) => {
  t.test('a true one goes on, and its result is no data', async (t) => {
    const d = new Driver([gate('g', 'data.length > 0'), a('next')], { input: [1] }).start()
    t.same(d.take(), ['perform next 1'])
    t.equal(d.state.steps.get('g')?.output, true)
    t.equal(d.state.steps.get('next')?.data, '')
  })
  t.test('skip_rest ends the nearest sequence well', async (t) => {
    const d = new Driver([seq('s', [gate('g', 'false'), a('never')]), a('next')]).start()
    t.equal(d.status('s.never'), 'skipped')
    t.equal(d.status('s'), 'completed')
    t.same(d.take(), ['perform next 1'])
  })
  t.test('skip_rest directly under a parallel skips only itself', async (t) => {
    const d = new Driver([par('p', [gate('g', 'false'), a('x')])]).start()
    t.same(d.take(), ['perform p.x 1'])
    d.complete('p.x', 1)
    t.same(d.state.output, { g: false, x: 1 })
  })
  t.test('continue goes on', async (t) => {
    t.same(new Driver([gate('g', 'false', { onFalse: 'continue' }), a('next')]).start().take(), ['perform next 1'])
  })
  t.test('fail fails the step', async (t) => {
    const d = new Driver([gate('g', 'false', { onFalse: 'fail' }), a('next')]).start()
    t.match(d.state.error, { type: 'ConditionNotMet', stepPath: 'g' })
  })
  t.test('an expression that fails is the step’s failure', async (t) => {
    const d = new Driver([gate('g', 'nobody > 1')]).start()
    t.match(d.state.error, { type: 'ExpressionError', stepPath: 'g' })
  })
})

t.test('a condition performs one branch and skips the other', async (t) => {
  const branches = { then: [a('yes'), a('more')], else: [a('no')] }
  const d = new Driver([gate('c', 'input.ok', branches), a('after')], { input: { ok: true } }).start()
  t.equal(d.status('c.no'), 'skipped')
  t.same(d.take(), ['perform c.yes 1'])
  d.complete('c.yes').complete('c.more', 'end')
  t.same(d.take(), ['perform c.more 1', 'perform after 1'])
  t.equal(d.state.steps.get('after')?.data, 'c.more', 'the data at the end of the branch goes on')
  const other = new Driver([gate('c', 'input.ok', { then: [a('yes')] }), a('after')], { input: { ok: false } }).start()
  t.same(other.take(), ['perform after 1'], 'a branch that is left out is empty')
})

t.test('the output is what the workflow says it is', async (t) => {
  const d = new Driver([a('one')], { definition: { output: { sum: '{{ steps.one.output.n + 1 }}' } } }).start()
  d.complete('one', { n: 1 })
  t.same(d.state.output, { sum: 2 })
  const broken = new Driver([a('one')], { definition: { output: '{{ data.map(x => y) }}' } }).start()
  broken.complete('one', [1])
  t.match(broken.state.error, { type: 'ExpressionError' }, 'and one that fails fails the execution')
})

t.test('a chain of ten thousand skipped steps and of as many children needs no stack', async (t) => {
  const many = Array.from({ length: 9_998 }, (_, i) => a(`s${i}`, { dependencies: ['gone'] }))
  const d = new Driver([a('gone', { when: 'false' }), ...many]).start()
  t.equal(d.state.status, 'completed')
  const chain = Array.from({ length: 3_000 }, (_, i) =>
    a(`c${i}`, i === 0 ? { when: 'false' } : { dependencies: [`c${i - 1}`] }),
  )
  t.equal(new Driver([par('p', chain)]).start().state.status, 'completed')
})

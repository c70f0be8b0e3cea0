import t from 'tap'
import { a, Driver, of, par } from '../driver.ts'

t.test('a while asks before each iteration, and sees what the one before came to', async (t) => {
  const loop = of('while', 'pages', { condition: 'data.next != null', steps: [a('fetch')], maxIterations: 10 })
  const d = new Driver([loop, a('after')], { input: { next: 1 } }).start()
  t.same(d.take(), ['perform pages[0].fetch 1'])
  d.complete('pages[0].fetch', { next: 2 })
  t.same(d.take(), ['perform pages[1].fetch 1'])
  d.complete('pages[1].fetch', { next: null })
  t.same(d.take(), ['perform after 1'])
  t.equal(d.state.steps.get('after')!.data, 'pages[1]')
  d.complete('after').checkReplay(t)
  t.equal(d.state.percentage, 100)
})

t.test('a while whose condition is false at once lets `data` pass by', async (t) => {
  const d = new Driver([of('while', 'w', { condition: 'false', steps: [a('x')], maxIterations: 1 })], { input: 7 })
  d.start().checkReplay(t)
  t.equal(d.state.output, 7)
})

t.test('an until runs at least once and ends when its condition is true', async (t) => {
  const d = new Driver([of('until', 'u', { condition: 'data == index', steps: [a('x')], maxIterations: 5 })], {
    input: 0,
  })
  d.start()
  t.same(d.take(), ['perform u[0].x 1'])
  d.complete('u[0].x', 9).complete('u[1].x', 2).checkReplay(t)
  t.equal(d.state.output, 2)
})

t.test('a loop that wants more iterations than it may have fails', async (t) => {
  const d = new Driver([of('while', 'w', { condition: 'true', steps: [a('x')], maxIterations: 2 })]).start()
  d.complete('w[0].x').complete('w[1].x').checkReplay(t)
  t.match(d.state.error, { type: 'LoopLimitExceeded', stepPath: 'w', message: /maxIterations of 2/ })
})

t.test('a loop keeps its last iteration alone, however many there were', async (t) => {
  const loop = of('while', 'w', { condition: 'index < 50', steps: [a('x'), a('y')], maxIterations: 100 })
  const d = new Driver([loop]).start()
  let most = 0
  for (let i = 0; i < 50; i++) {
    d.complete(`w[${i}].x`, i).complete(`w[${i}].y`, `${i}`)
    most = Math.max(most, d.state.steps.size)
  }
  t.ok(most <= 6, `${most} steps at the most`)
  t.equal(d.state.output, '49')
  t.equal(d.status('w[49].y'), 'completed')
})

t.test('a step within a loop reads the others of its own iteration, and `index`', async (t) => {
  const loop = of('while', 'w', {
    condition: 'index < 2',
    steps: [a('x'), a('y', { when: 'steps.x.output == index * 10' })],
    maxIterations: 5,
  })
  const d = new Driver([loop]).start()
  d.complete('w[0].x', 0).complete('w[0].y', 'y')
  t.same(d.state.steps.get('w[1].x')?.status, 'running')
  d.complete('w[1].x', 11)
  t.equal(d.status('w[1].y'), 'skipped', '11 is not 10')
  t.equal(d.state.output, 11)
  d.checkReplay(t)
})

t.test('a failed iteration fails the loop; retry goes on with it', async (t) => {
  const loop = of('while', 'w', { condition: 'index < 2', steps: [a('x')], maxIterations: 5 })
  const d = new Driver([loop]).start()
  d.complete('w[0].x').fail('w[1].x')
  t.equal(d.state.status, 'failed')
  d.take()
  d.fact({ type: 'execution.retried', data: {} })
  t.same(d.take(), ['perform w[1].x 1'])
  d.complete('w[1].x', 'again').checkReplay(t)
  t.equal(d.state.output, 'again')
})

t.test('a foreach runs its steps for each item, some at once, and collects the outputs in order', async (t) => {
  const each = of('foreach', 'all', { items: '{{ input }}', steps: [a('x')], concurrency: 2 })
  const d = new Driver([each], { input: ['a', 'b', 'c', 'd'] }).start()
  t.same(d.take(), ['perform all[0].x 1', 'perform all[1].x 1'])
  d.complete('all[1].x', 'B')
  t.same(d.take(), ['perform all[2].x 1'])
  t.equal(d.state.percentage, 25)
  d.complete('all[2].x', 'C').complete('all[0].x', 'A').complete('all[3].x', 'D').checkReplay(t)
  t.same(d.state.output, ['A', 'B', 'C', 'D'])
  t.equal(d.state.steps.size, 2, 'items that have ended leave the state')
})

t.test('its steps see the item by name and its index; loops within loops see their own', async (t) => {
  const inner = of('foreach', 'cells', {
    items: '{{ row }}',
    as: 'cell',
    steps: [a('x', { when: 'cell == row[index] && steps.first.status == "completed"' })],
  })
  const outer = of('foreach', 'rows', { items: [[1, 2], [3]], as: 'row', steps: [a('first'), inner] })
  const d = new Driver([outer]).start()
  d.complete('rows[0].first').complete('rows[0].cells[0].x', 1).complete('rows[0].cells[1].x', 2)
  d.complete('rows[1].first').complete('rows[1].cells[0].x', 3).checkReplay(t)
  t.same(d.state.output, [[1, 2], [3]])
})

t.test('a foreach bears as many failures as it tolerates', async (t) => {
  const each = (config: object) =>
    of('foreach', 'all', { items: [1, 2, 3, 4], steps: [a('x')], concurrency: 4, ...config })
  const two = new Driver([each({ tolerate: 2, collect: 'errors' })]).start()
  two.fail('all[0].x').complete('all[1].x').fail('all[2].x').complete('all[3].x').checkReplay(t)
  t.match(two.state.output, [
    { index: 0, error: { type: 'ConnectionError' } },
    { index: 2, error: { type: 'ConnectionError' } },
  ])
  const share = new Driver([each({ tolerate: '25%' })]).start()
  share.fail('all[0].x').complete('all[1].x', 'b')
  t.equal(share.state.status, 'running')
  share.take()
  share.fail('all[2].x').checkReplay(t)
  t.same(share.take(), ['abort all[3].x'], 'the second failure is one too many')
  t.equal(share.state.status, 'failed')
  share.fact({ type: 'execution.retried', data: {} })
  t.same(share.take(), ['perform all[2].x 1', 'perform all[3].x 1'])
  share.complete('all[2].x', 'c').complete('all[3].x', 'd').checkReplay(t)
  t.same(share.state.output, [null, 'b', 'c', 'd'], 'what was tolerated stays so')
})

t.test('collect none counts only, and an empty list is complete at once', async (t) => {
  const d = new Driver([of('foreach', 'all', { items: [1, 2], steps: [a('x')], collect: 'none' })]).start()
  d.complete('all[0].x').complete('all[1].x').checkReplay(t)
  t.same(d.state.output, { total: 2, completed: 2, failed: 0 })
  const empty = new Driver([of('foreach', 'all', { items: '{{ input }}', steps: [a('x')] })], { input: [] }).start()
  t.same(empty.checkReplay(t).state.output, [])
})

t.test('items that are no list fail the step', async (t) => {
  const d = new Driver([of('foreach', 'all', { items: '{{ input.rows }}', steps: [a('x')] })], { input: {} }).start()
  t.match(d.checkReplay(t).state.error, { type: 'ValidationError', message: 'items must be a list, and is undefined' })
  const input = { rows: {} }
  const other = new Driver([of('foreach', 'all', { items: '{{ input.rows }}', steps: [a('x')] })], { input }).start()
  t.match(other.checkReplay(t).state.error, { message: 'items must be a list, and is an object' })
})

t.test('a pause in a loop holds it where it is, and resume goes on', async (t) => {
  const each = of('foreach', 'all', { items: [1, 2], steps: [a('x')] })
  const d = new Driver([
    par('p', [each, of('while', 'w', { condition: 'index < 2', steps: [a('y')], maxIterations: 9 })]),
  ])
  d.start()
  d.fact({ type: 'execution.pause_requested', data: {} }).complete('p.all[0].x').complete('p.w[0].y')
  t.equal(d.state.status, 'paused')
  d.take()
  d.fact({ type: 'execution.resumed', data: {} })
  t.same(d.take().sort(), ['perform p.all[1].x 1', 'perform p.w[1].y 1'])
  d.complete('p.all[1].x').complete('p.w[1].y', 'y').checkReplay(t)
  t.same(d.state.output, { all: ['p.all[0].x', 'p.all[1].x'], w: 'y' })
})

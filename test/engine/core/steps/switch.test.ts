import t from 'tap'
import { a, Driver, of } from '../driver.ts'

const bySize = (config: object = {}) =>
  of('switch', 'size', {
    cases: [
      { name: 'large', when: 'input.n > 100', steps: [a('big')] },
      { when: 'input.n > 10', steps: [a('medium'), a('more')] },
    ],
    ...config,
  })

t.test('a switch takes the first case that is true and skips the others', async (t) => {
  const d = new Driver([bySize(), a('after')], { input: { n: 50 } }).start()
  t.same(d.take(), ['perform size[1].medium 1'])
  t.equal(d.status('size[large]'), 'skipped')
  d.complete('size[1].medium').complete('size[1].more', 'm')
  t.same(d.take(), ['perform size[1].more 1', 'perform after 1'])
  t.equal(d.state.steps.get('after')!.data, 'size[1]', 'the output of the case flows on')
  d.complete('after', { x: 1 })
  t.equal(d.state.status, 'completed')
  d.checkReplay(t)
})

t.test('without a case that is true the default runs, without a default `data` passes by', async (t) => {
  const d = new Driver([bySize({ default: [a('small')] })], { input: { n: 1 } }).start()
  t.same(d.take(), ['perform size[default].small 1'])
  d.complete('size[default].small', 's').checkReplay(t)
  t.equal(d.state.output, 's')
  const none = new Driver([bySize()], { input: { n: 1 } }).start().checkReplay(t)
  t.equal(none.state.status, 'completed')
  t.same(none.state.output, { n: 1 })
})

t.test('with mode all every case that is true runs at once, and all are waited for', async (t) => {
  const d = new Driver([bySize({ mode: 'all' })], { input: { n: 500 } }).start()
  t.same(d.take(), ['perform size[large].big 1', 'perform size[1].medium 1'])
  d.complete('size[1].medium').complete('size[1].more', 'm')
  t.equal(d.state.status, 'running')
  d.complete('size[large].big', 'b').checkReplay(t)
  t.same(d.state.output, { large: 'b', 1: 'm' })
})

t.test('a case that fails cancels the others; retry takes up where it failed', async (t) => {
  const d = new Driver([bySize({ mode: 'all' })], { input: { n: 500 } }).start()
  d.complete('size[1].medium')
  d.take()
  d.fail('size[large].big')
  t.same(d.take(), ['abort size[1].more'])
  t.equal(d.state.status, 'failed')
  d.fact({ type: 'execution.retried', data: {} })
  t.same(d.take(), ['perform size[large].big 1', 'perform size[1].more 1'])
  d.complete('size[large].big', 1).complete('size[1].more', 2).checkReplay(t)
  t.same(d.state.output, { large: 1, 1: 2 })
})

t.test('a case whose condition cannot be evaluated fails the step', async (t) => {
  const odd = of('switch', 'size', { cases: [{ when: 'nothing > 1', steps: [a('x')] }] })
  const d = new Driver([odd]).start().checkReplay(t)
  t.match(d.state.error, { type: 'ExpressionError', stepPath: 'size' })
})

t.test('what comes after it reads the steps of its cases, whether they ran or not', async (t) => {
  const d = new Driver(
    [bySize(), a('after', { when: "steps.medium.status == 'completed' && steps.big.status == 'skipped'" })],
    {
      input: { n: 50 },
    },
  ).start()
  d.complete('size[1].medium').complete('size[1].more')
  t.equal(d.status('after'), 'running')
  d.checkReplay(t)
})

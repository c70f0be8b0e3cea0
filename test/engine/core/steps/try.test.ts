import t from 'tap'
import { a, Driver, of } from '../driver.ts'

const guarded = (config: object = {}) =>
  of('try', 'guard', {
    steps: [a('risky'), a('next')],
    catch: [
      { errors: ['TimeoutError'], steps: [a('slow')] },
      {
        when: 'problem.details.status == 404',
        as: 'problem',
        steps: [a('missing', { when: "problem.type == 'Http4xx'" })],
      },
    ],
    ...config,
  })

t.test('a try that ends well skips its catches; the output of its steps flows on', async (t) => {
  const d = new Driver([guarded()]).start()
  d.complete('guard[steps].risky').complete('guard[steps].next', 'n').checkReplay(t)
  t.equal(d.status('guard[catch0]'), 'skipped')
  t.equal(d.state.output, 'n')
})

t.test('the first catch whose types and condition fit takes the error, and its steps see it', async (t) => {
  const d = new Driver([guarded(), a('after')]).start()
  d.take()
  d.fail('guard[steps].risky', { error: { type: 'Http4xx', details: { status: 404 } } })
  t.same(d.take(), ['perform guard[catch1].missing 1'])
  d.complete('guard[catch1].missing', 'none')
  t.equal(d.state.steps.get('after')!.data, 'guard[catch1]')
  d.complete('after').checkReplay(t)
  t.equal(d.state.status, 'completed')
})

t.test('an error that no catch takes fails the try, after `finally`', async (t) => {
  const d = new Driver([guarded({ finally: [a('clean')] })]).start()
  d.take()
  d.fail('guard[steps].risky', { error: { type: 'Other', details: {} } })
  t.same(d.take(), ['perform guard[finally].clean 1'])
  d.complete('guard[finally].clean').checkReplay(t)
  t.match(d.state.error, { type: 'Other', stepPath: 'guard[steps].risky' })
})

t.test('`finally` runs after a success too, and its own failure counts', async (t) => {
  const d = new Driver([of('try', 'g', { steps: [a('x')], finally: [a('clean')] })]).start()
  d.complete('g[steps].x', 1)
  t.equal(d.state.status, 'running')
  d.fail('g[finally].clean').checkReplay(t)
  t.match(d.state.error, { stepPath: 'g[finally].clean' })
  d.fact({ type: 'execution.retried', data: {} })
  d.complete('g[finally].clean').checkReplay(t)
  t.equal(d.state.output, 1, 'the output is that of the steps, not of finally')
})

t.test('a catch that fails fails the try with its own error', async (t) => {
  const d = new Driver([guarded()]).start()
  d.fail('guard[steps].risky', { error: { type: 'TimeoutError' } })
    .fail('guard[catch0].slow')
    .checkReplay(t)
  t.match(d.state.error, { type: 'ConnectionError', stepPath: 'guard[catch0].slow' })
})

t.test('retry begins the body that failed again, and `finally` after it', async (t) => {
  const d = new Driver([guarded({ finally: [a('clean')] })]).start()
  d.fail('guard[steps].risky', { error: { type: 'Other', details: {} } }).complete('guard[finally].clean')
  t.equal(d.state.status, 'failed')
  d.take()
  d.fact({ type: 'execution.retried', data: {} })
  t.same(d.take(), ['perform guard[steps].risky 1'])
  d.complete('guard[steps].risky').complete('guard[steps].next', 'n')
  t.same(d.take(), ['perform guard[steps].next 1', 'perform guard[finally].clean 1'])
  d.complete('guard[finally].clean').checkReplay(t)
  t.equal(d.state.output, 'n')
})

t.test('`fail` fails with an error of its own type, which a catch takes', async (t) => {
  const d = new Driver(
    [
      of('try', 'g', {
        steps: [
          of('fail', 'stop', {
            error: 'OutOfStock',
            message: 'no {{ input.what }}',
            details: { what: '{{ input.what }}' },
          }),
        ],
        catch: [{ errors: ['OutOfStock'], steps: [a('order', { when: "error.details.what == 'nails'" })] }],
      }),
    ],
    { input: { what: 'nails' } },
  ).start()
  t.same(d.take(), ['perform g[catch0].order 1'])
  d.checkReplay(t)
  const alone = new Driver([of('fail', 'stop', { error: 'OutOfStock', message: 'none' })]).start()
  t.match(alone.checkReplay(t).state.error, { type: 'OutOfStock', message: 'none', stepPath: 'stop' })
})

import t from 'tap'
import { a, Driver, of, par } from '../driver.ts'

const at = 1_000

t.test('a wait ends after its duration; `data` passes it by', async (t) => {
  const d = new Driver([of('wait', 'w', { durationMs: '{{ input.ms }}' }), a('x')], { input: { ms: 500 } }).start()
  t.same(d.take(), [`set_timer wait w ${at + 500}`])
  t.equal(d.status('w'), 'waiting')
  d.passTime(499)
  t.equal(d.status('w'), 'waiting')
  d.passTime(1)
  t.equal(d.status('x'), 'running')
  t.equal(d.state.steps.get('x')!.data, '')
  t.equal(d.state.checkpoints.recent.at(-1)!.stepId, 'w', 'it is a checkpoint')
  d.checkReplay(t)
})

t.test('a wait until a time that has passed ends at once', async (t) => {
  const d = new Driver([of('wait', 'w', { until: '1970-01-01T00:00:00Z' })]).start().passTime(0)
  t.equal(d.checkReplay(t).state.status, 'completed')
})

t.test('a time or duration that is none fails the wait', async (t) => {
  for (const config of [{ durationMs: '{{ input }}' }, { until: '{{ input }}' }]) {
    const d = new Driver([of('wait', 'w', config)], { input: 'soon' }).start()
    t.match(d.checkReplay(t).state.error, { type: 'ValidationError', stepPath: 'w' })
  }
})

t.test('a wait that comes due during a pause acts at resume', async (t) => {
  const d = new Driver([of('wait', 'w', { durationMs: 100 })]).start()
  d.fact({ type: 'execution.pause_requested', data: {} }).passTime(200)
  t.equal(d.status('w'), 'waiting')
  d.fact({ type: 'execution.resumed', data: {} }).passTime(0).checkReplay(t)
  t.equal(d.state.status, 'completed')
})

const payment = (rest: object = {}) =>
  of('wait_for_signal', 'pay', { signal: 'paid', correlation: 'signal.payload.order == input.order', ...rest })

t.test('a signal that fits is taken, before or after the wait began', async (t) => {
  const after = new Driver([payment(), a('x')], { input: { order: 7 } }).start()
  t.equal(after.status('pay'), 'waiting')
  after.signal('paid', { order: 8 }).signal('other', { order: 7 })
  t.equal(after.status('pay'), 'waiting')
  after.signal('paid', { order: 7 })
  t.equal(after.status('x'), 'running')
  t.same(
    after.state.mailbox.map(({ name }) => name),
    ['paid', 'other'],
    'only the one that was taken is gone',
  )
  t.same(after.checkReplay(t).state.steps.get('pay')!.output, { order: 7 })
  const before = new Driver([a('x'), payment()], { input: { order: 7 } }).start()
  before.signal('paid', { order: 7 }).complete('x')
  t.equal(before.checkReplay(t).state.status, 'completed')
})

t.test('a signal whose payload does not fit the schema is left to others', async (t) => {
  const numbered = of('wait_for_signal', 'number', { signal: 'go', schema: { type: 'integer' } })
  const d = new Driver([numbered, of('wait_for_signal', 'any', { signal: 'go' })]).start()
  d.signal('go', 'seven')
  t.equal(d.status('number'), 'waiting')
  d.signal('go', 7)
  t.equal(d.state.status, 'completed')
  d.checkReplay(t)
  t.equal(d.state.steps.get('number')!.output, 7)
  t.equal(d.state.steps.get('any')!.output, 'seven')
})

t.test('a transient wait takes no signal that came before it began; that one stays for another', async (t) => {
  const transient = of('wait_for_signal', 'now', { signal: 'go', transient: true })
  const d = new Driver([a('x'), transient, of('wait_for_signal', 'then', { signal: 'go' })]).start()
  d.signal('go', 'early').complete('x')
  t.equal(d.status('now'), 'waiting')
  d.signal('go', 'in time').checkReplay(t)
  t.equal(d.state.steps.get('now')!.output, 'in time')
  t.equal(d.state.output, 'early')
})

t.test('one signal sets one waiter free, and each of two signals one of two', async (t) => {
  const both = () =>
    par('p', [of('wait_for_signal', 'one', { signal: 'go' }), of('wait_for_signal', 'two', { signal: 'go' })])
  const d = new Driver([both()]).start().signal('go', 1)
  t.same([d.status('p.one'), d.status('p.two')], ['completed', 'waiting'])
  d.signal('go', 2).checkReplay(t)
  t.same(d.state.output, { one: 1, two: 2 })
  const early = new Driver([a('x'), both()]).start().signal('go', 1).signal('go', 2).complete('x')
  t.same(early.checkReplay(t).state.output, { one: 1, two: 2 }, 'also when both signals were there first')
})

t.test('a wait for a signal that is over fails, or goes on with null', async (t) => {
  const failing = new Driver([payment({ timeoutMs: 50 })], { input: { order: 7 } }).start().passTime(50)
  t.match(failing.checkReplay(t).state.error, { type: 'TimeoutError', stepPath: 'pay' })
  const going = new Driver([payment({ timeoutMs: '{{ 25 * 2 }}', onTimeout: 'continue' })], { input: { order: 7 } })
    .start()
    .passTime(50)
  t.equal(going.state.status, 'completed')
  t.equal(going.checkReplay(t).state.output, null)
})

t.test('a signal during a pause is kept and taken at resume', async (t) => {
  const d = new Driver([payment()], { input: { order: 7 } }).start()
  d.fact({ type: 'execution.pause_requested', data: {} }).signal('paid', { order: 7 })
  t.equal(d.status('pay'), 'waiting')
  d.fact({ type: 'execution.resumed', data: {} }).checkReplay(t)
  t.equal(d.state.status, 'completed')
})

t.test('recovery waits for what was waited for', async (t) => {
  const d = new Driver([par('p', [payment({ timeoutMs: 70 }), of('wait', 'w', { durationMs: 30 })])]).start()
  t.same(d.pending(), [`set_timer wait p.pay ${at + 70}`, `set_timer wait p.w ${at + 30}`])
})

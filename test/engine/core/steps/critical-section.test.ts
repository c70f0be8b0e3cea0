import t from 'tap'
import { a, Driver, of, par } from '../driver.ts'

const section = (id: string, mutex: string, steps: object[], rest: object = {}) =>
  of('critical_section', id, { mutex, steps }, rest)
const slots = (d: Driver): string[] =>
  d
    .take()
    .filter((text) => text.includes('slot'))
    .sort()

t.test('its steps run in order once it has the mutex, which it gives back when they have ended', async (t) => {
  const d = new Driver([section('s', 'm-{{ input }}', [a('x'), a('y', { when: 'false' }), a('z')]), a('after')], {
    input: 7,
  }).start()
  t.match(d.commands, [{ type: 'ask_slot', path: 's', scope: 'mutex', key: 'm-7', limit: 1, onLimit: 'queue' }])
  t.equal(d.status('s.x'), undefined)
  d.take()
  t.same(d.grant('s').take(), ['perform s.x 1'])
  t.same(d.complete('s.x').take(), ['perform s.z 1'])
  t.same(d.complete('s.z', 'last').take(), ['release_slot s', 'perform after 1'])
  t.equal(d.state.steps.get('after')!.data, 's.z')
  d.complete('after').checkReplay(t)
  t.equal(d.state.status, 'completed')
})

t.test('however it ends, the mutex is given back', async (t) => {
  const steps = [section('s', 'm', [a('x')], { timeoutMs: 50 })]
  const within = (policy: object) => {
    const d = new Driver([par('p', [...steps, a('other')], policy)]).start()
    d.grant('p.s').take()
    return d
  }
  const ends: [(d: Driver) => Driver, object?][] = [
    [(d) => d.fail('p.s.x')],
    [(d) => d.passTime(50)],
    [(d) => d.complete('p.other'), { join: 'any' }],
    [(d) => d.fail('p.other'), { onFailure: 'fail_fast' }],
    [(d) => d.fact({ type: 'execution.cancelled', data: {} })],
  ]
  for (const [end, policy = {}] of ends) t.same(slots(end(within(policy)).checkReplay(t)), ['release_slot p.s'])
  const done = of('complete', 'done', {})
  const ended = new Driver([section('s', 'm', [a('x'), done])]).start().grant('s')
  ended.take()
  t.same(slots(ended.complete('s.x').checkReplay(t)), ['release_slot s'])
  t.equal(ended.state.status, 'completed')
})

t.test('who loses a race while it waits leaves the line', async (t) => {
  const branches = [{ steps: [section('s', 'm', [a('x')])] }, { steps: [a('y')] }]
  const d = new Driver([of('race', 'r', { branches })]).start()
  t.same(slots(d), ['ask_slot r[0].s'])
  t.same(slots(d.complete('r[1].y').checkReplay(t)), ['release_slot r[0].s'])
})

t.test('a name that is evaluated and stands around it already is an error, not a wait for itself', async (t) => {
  const d = new Driver([section('s', 'm', [section('inner', '{{ input }}', [a('x')])])], { input: 'm' }).start()
  d.grant('s').checkReplay(t)
  t.match(d.state, { status: 'failed', error: { type: 'ConcurrencyDeadlock', stepPath: 's.inner' } })
  t.same(slots(d), ['ask_slot s', 'release_slot s'])
})

t.test('a retry waits for the mutex again, and then goes on where it failed', async (t) => {
  const d = new Driver([section('s', 'm', [a('x'), a('y')])]).start().grant('s').complete('s.x').fail('s.y')
  t.equal(d.state.status, 'failed')
  d.take()
  d.fact({ type: 'execution.retried', data: {} })
  t.same(d.take(), ['ask_slot s'])
  t.same(d.grant('s').take(), ['perform s.y 1'])
  d.complete('s.y').checkReplay(t)
  t.equal(d.state.status, 'completed')
})

t.test('what runs on in it after a join keeps the mutex until it has ended', async (t) => {
  const join = par('p', [a('x'), a('y')], { join: 'any', rest: 'continue' })
  const d = new Driver([section('s', 'm', [join, a('z')]), a('after')]).start().grant('s')
  d.complete('s.p.x').complete('s.z').take()
  t.equal(d.status('s'), 'running')
  t.same(d.complete('s.p.y').take(), ['release_slot s', 'perform after 1'])
  d.complete('after').checkReplay(t)
  t.equal(d.state.status, 'completed')
})

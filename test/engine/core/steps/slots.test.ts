import t from 'tap'
import { isMoot } from '../../../../src/engine/core/moot.ts'
import { regroupSlots } from '../../../../src/engine/core/slots.ts'
import { a, Driver, gate, of, par, seq } from '../driver.ts'

const keyed = (id: string, rest: object = {}) => a(id, { concurrency: { scope: 's', ...rest } })

t.test('a step asks for its slot before it begins, and gives it back when it ends', async (t) => {
  const d = new Driver([keyed('x', { key: '{{ input }}', limit: 3 }), a('y')], { input: 'k' }).start()
  t.match(d.commands, [{ type: 'ask_slot', path: 'x', ticket: 2, scope: 'shared:s', key: 'k', limit: 3 }])
  t.equal(d.status('x'), 'waiting')
  t.same(d.pending(), [], 'who waits in a line has nothing under way')
  d.take()
  d.grant('x', 1)
  t.same(d.take(), [], 'a slot of another ticket is none of its')
  t.same(d.grant('x').take(), ['perform x 1'])
  t.same(d.grant('x').take(), [], 'it is granted once')
  t.same(d.fail('x', { retryAt: 2_000 }).take(), ['set_timer retry x 2000'], 'a retry keeps it')
  d.at = 2_000
  t.same(d.passTime(0).take(), ['perform x 2'])
  t.same(d.complete('x').take(), ['release_slot x', 'perform y 1'])
  t.notOk(d.state.steps.get('x')!.slot)
  d.checkReplay(t)
})

t.test('`when` is asked first; a step that is skipped asks for nothing', async (t) => {
  const d = new Driver([a('x', { when: 'input', concurrency: {} }), a('y', { when: '!input', concurrency: {} })], {
    input: false,
  }).start()
  t.equal(d.status('x'), 'skipped')
  t.same(d.take(), ['ask_slot y'])
  t.match(d.state.steps.get('y')!.slot, { scope: 'step:w/y', key: '' }, 'without a scope the step has one of its own')
  d.checkReplay(t)
})

t.test('whatever ends a step gives back what it holds or waits for', async (t) => {
  const both = () =>
    new Driver([par('p', [keyed('x'), keyed('y'), a('z')], { onFailure: 'fail_fast' })]).start().grant('p.x')
  const failed = both()
  failed.take()
  failed.fail('p.z')
  t.same(
    failed
      .take()
      .filter((text) => text.startsWith('release'))
      .sort(),
    ['release_slot p.x', 'release_slot p.y'],
  )
  failed.checkReplay(t)
  const cancelled = both()
  cancelled.take()
  cancelled.fact({ type: 'execution.cancelled', data: {} })
  t.same(
    cancelled
      .take()
      .filter((text) => text.startsWith('release'))
      .sort(),
    ['release_slot p.x', 'release_slot p.y'],
  )
  cancelled.checkReplay(t)
})

t.test('a slot that comes during a pause is used at resume', async (t) => {
  const d = new Driver([keyed('x')]).start()
  d.take()
  d.fact({ type: 'execution.pause_requested', data: {} }).grant('x')
  t.same(d.take(), [])
  t.equal(d.status('x'), 'pending')
  t.same(d.fact({ type: 'execution.resumed', data: {} }).take(), ['perform x 1'])
  const unasked = new Driver([a('w'), keyed('x')]).start()
  unasked.fact({ type: 'execution.pause_requested', data: {} }).complete('w')
  unasked.take()
  t.same(unasked.fact({ type: 'execution.resumed', data: {} }).take(), ['ask_slot x'])
  for (const one of [d, unasked]) one.checkReplay(t)
})

t.test('who waits in line for a while only leaves it when that is over, and fails', async (t) => {
  const steps = [of('try', 't', { steps: [keyed('x', { waitTimeoutMs: 500 })], catch: [{ steps: [a('c')] }] })]
  const d = new Driver(steps).start()
  const path = 't[steps].x'
  t.same(d.take(), [`ask_slot ${path}`, `set_timer slot ${path} 1500`])
  t.same(d.pending(), [`set_timer slot ${path} 1500`], 'whoever goes on with it sets the timer again')
  d.passTime(499)
  t.equal(d.status(path), 'waiting')
  d.passTime(1)
  const details = { scope: 'shared:s', key: '', limit: 1, waitTimeoutMs: 500 }
  t.match(d.state.steps.get(path)!.error, { type: 'ConcurrencyTimeout', stepPath: path, details })
  t.same(d.take().slice(0, 2), [`clear_timer slot ${path}`, `release_slot ${path}`])
  d.fact({ type: 'slot.granted', path, data: { ticket: 3 } })
  t.same(d.take(), [], 'a slot that comes too late has been given back')
  const granted = new Driver(steps).start().grant(path)
  t.same(granted.take().slice(2), [`clear_timer slot ${path}`, `perform ${path} 1`])
  const late = { ticket: 3, holders: [], outcome: 'fail', timeoutMs: 500 } as const
  t.ok(isMoot(granted.state, { type: 'slot.refused', path, data: late }), 'the timer comes too late')
  t.same(granted.passTime(1_000).take(), [])
  const own = new Driver([a('x')], { definition: { concurrency: { waitTimeoutMs: 500 } } })
  const queued = { scope: 'workflow:w', key: '', limit: 1, onLimit: 'queue', waitTimeoutMs: 500 } as const
  own.fact({ type: 'execution.queued', data: queued })
  t.same(own.pending(), ['set_timer slot  1500'])
  own.passTime(500)
  t.match(own.state, { status: 'failed', error: { type: 'ConcurrencyTimeout' }, slot: undefined })
  for (const one of [d, granted, own]) one.checkReplay(t)
})

t.test('a wait that ends during a pause fails at resume, unless the slot has come', async (t) => {
  const paused = () => {
    const d = new Driver([keyed('x', { waitTimeoutMs: 500 })]).start()
    d.fact({ type: 'execution.pause_requested', data: {} })
    t.same(d.take().slice(2), ['clear_timer slot x'])
    return d.passTime(900)
  }
  const d = paused()
  t.equal(d.status('x'), 'waiting')
  t.same(d.fact({ type: 'execution.resumed', data: {} }).take(), ['set_timer slot x 1500'])
  d.passTime(0)
  t.match(d.state, { status: 'failed', error: { type: 'ConcurrencyTimeout' } })
  const lucky = paused().grant('x').fact({ type: 'execution.resumed', data: {} }).passTime(0)
  t.equal(lucky.status('x'), 'running')
  const own = new Driver([a('x')], { definition: { concurrency: { waitTimeoutMs: 500 } } })
  const queued = { scope: 'workflow:w', key: '', limit: 1, onLimit: 'queue', waitTimeoutMs: 500 } as const
  own.fact({ type: 'execution.queued', data: queued }).fact({ type: 'execution.pause_requested', data: {} })
  own.passTime(900).take()
  t.equal(own.state.status, 'paused')
  t.same(own.fact({ type: 'execution.resumed', data: {} }).take(), ['set_timer slot  1500'])
  for (const one of [d, lucky, own]) one.checkReplay(t)
})

t.test('a step that must not wait fails, and its execution goes on as after any failure', async (t) => {
  const steps = [
    of('try', 't', {
      steps: [keyed('x', { onLimit: 'reject' })],
      catch: [{ errors: ['ConcurrencyLimit'], steps: [a('c')] }],
    }),
  ]
  const d = new Driver(steps).start()
  const path = 't[steps].x'
  const { ticket } = d.state.steps.get(path)!.slot!
  d.fact({ type: 'slot.refused', path, data: { ticket: 99, holders: [], outcome: 'fail' } })
  t.equal(d.status(path), 'waiting', 'a refusal of another ticket is none of its')
  d.fact({ type: 'slot.refused', path, data: { ticket, holders: ['h'], outcome: 'fail' } })
  t.match(d.state.steps.get(path)!.error, { type: 'ConcurrencyLimit', details: { holders: ['h'] } })
  t.equal(d.status('t[catch 0].c') ?? d.status('t[catch0].c') ?? d.status('t[0].c'), 'running')
  const gone = new Driver([keyed('x', { onLimit: 'cancel_new' })]).start()
  gone.fact({ type: 'slot.refused', path: 'x', data: { ticket: 2, holders: ['h'], outcome: 'cancel' } })
  t.equal(gone.state.status, 'cancelled')
  for (const one of [d, gone]) one.checkReplay(t)
})

t.test('an execution that needs a slot starts with it, and gives it back at its end', async (t) => {
  const d = new Driver([a('x')], { definition: { concurrency: { key: '{{ input }}' } }, input: 7 })
  d.fact({ type: 'execution.queued', data: { scope: 'workflow:w', key: '7', limit: 1, onLimit: 'queue' } })
  t.match(d.state, { status: 'pending', slot: { ticket: 1, key: '7', isHeld: false } })
  d.take()
  d.grant('').start()
  t.same(d.take(), ['perform x 1'])
  t.same(d.complete('x').take(), ['release_slot '])
  t.equal(d.state.status, 'completed')
  d.checkReplay(t)
  const refused = new Driver([a('x')], { definition: { concurrency: {} } })
  refused.fact({ type: 'execution.queued', data: { scope: 'workflow:w', key: '', limit: 1, onLimit: 'reject' } })
  refused.fact({ type: 'slot.refused', data: { ticket: 1, holders: ['h'], outcome: 'fail' } })
  t.match(refused.state, { status: 'failed', error: { type: 'ConcurrencyLimit' } })
  refused.checkReplay(t)
})

t.test('an execution that is refused its slot while it is paused fails at resume', async (t) => {
  const d = new Driver([a('x')], { definition: { concurrency: {} } })
  d.fact({ type: 'execution.queued', data: { scope: 'workflow:w', key: '', limit: 1, onLimit: 'reject' } })
  d.fact({ type: 'execution.pause_requested', data: {} })
  d.fact({ type: 'slot.refused', data: { ticket: 1, holders: ['h'], outcome: 'fail' } })
  t.equal(d.state.status, 'paused')
  t.same(d.pending(), [])
  d.checkReplay(t)
  d.fact({ type: 'execution.resumed', data: {} })
  t.match(d.state, {
    status: 'failed',
    error: { type: 'ConcurrencyLimit', details: { holders: ['h'] } },
    slot: undefined,
  })
  d.checkReplay(t)
})

t.test('a retry has its slots again before anything goes on', async (t) => {
  const section = seq('s', [a('x'), a('y')], { concurrency: {} })
  const d = new Driver([section], { definition: { concurrency: { scope: 'whole' } } })
  d.fact({ type: 'execution.queued', data: { scope: 'shared:whole', key: '', limit: 1, onLimit: 'queue' } })
  d.grant('').start().grant('s').complete('s.x').fail('s.y')
  t.equal(d.state.status, 'failed')
  t.same([d.state.slot, d.state.steps.get('s')!.slot], [undefined, undefined])
  d.take()
  t.same(d.fact({ type: 'execution.retried', data: {} }).take(), ['ask_slot '])
  t.same(d.pending(), [])
  t.same(d.grant('').take(), ['ask_slot s'], 'then the section that is to go on')
  t.same(d.grant('s').take(), ['perform s.y 1'])
  t.equal(d.complete('s.y').state.status, 'completed')
  d.checkReplay(t)
})

t.test('what took an execution out of service has taken its slots: a retry asks for them again', async (t) => {
  const d = new Driver([seq('s', [a('x'), keyed('y')], { concurrency: {} })]).start().grant('s')
  d.complete('s.x').grant('s.y')
  d.take()
  d.fact({ type: 'execution.retried', data: {} })
  t.same(d.take(), ['ask_slot s'])
  d.fact({ type: 'execution.pause_requested', data: {} })
  t.same(d.fact({ type: 'execution.resumed', data: {} }).take(), [], 'nothing is asked for twice')
  t.same(
    d.grant('s').take(),
    ['ask_slot s.y'],
    'in the order in which they were taken, so that nobody waits in a circle',
  )
  t.same(d.pending(), [])
  t.same(d.grant('s.y').take(), ['perform s.y 1'])
  d.complete('s.y')
  t.same(d.take(), ['release_slot s.y', 'release_slot s'])
  d.checkReplay(t)
})

t.test('a rollback keeps what was held all the time, gives back the rest and asks for what is gone', async (t) => {
  const build = () =>
    new Driver([seq('s', [a('x'), keyed('y')], { concurrency: {} }), a('z')]).start().grant('s').complete('s.x')
  const back = (present: Driver) => {
    const d = build()
    const slots = regroupSlots(present.state, d.state)!
    d.take()
    const data = { checkpointIndex: 0, toSeq: d.state.seq, generation: 1, kept: [], slots, resume: false }
    d.state.seq = present.state.seq
    return { d: d.fact({ type: 'execution.rolled_back', data }), slots }
  }
  const within = build().grant('s.y')
  const kept = back(within)
  t.match(kept.slots, { kept: [{ path: 's' }], released: [{ path: 's.y' }] })
  t.same(kept.d.take(), ['release_slot s.y'])
  t.same(kept.d.fact({ type: 'execution.resumed', data: {} }).take(), ['ask_slot s.y'])

  const after = build().grant('s.y').complete('s.y')
  const lost = back(after)
  t.same(lost.slots, { kept: [], released: [] })
  t.same(lost.d.take(), [])
  t.same(lost.d.fact({ type: 'execution.resumed', data: {} }).take(), ['ask_slot s'], 'nothing goes on without it')
  t.same(lost.d.grant('s').take(), ['ask_slot s.y'])
  t.same(lost.d.grant('s.y').take(), ['perform s.y 1'])
})

t.test('a step fails that would wait for a slot which a step around it holds', async (t) => {
  const inner = (limit: number) => a('in', { concurrency: { scope: 's', key: '{{ input }}', limit } })
  const around = (limit: number) => seq('out', [inner(limit)], { concurrency: { scope: 's', key: 'k', limit } })
  const d = new Driver([around(1)], { input: 'k' }).start().grant('out')
  t.match(d.checkReplay(t).state.error, { type: 'ConcurrencyDeadlock', stepPath: 'out.in' })
  const roomy = new Driver([around(2)], { input: 'k' }).start().grant('out')
  t.equal(roomy.status('out.in'), 'waiting', 'there is another slot to wait for')
  const beside = new Driver([par('p', [keyed('x'), keyed('y')])]).start().grant('p.x')
  t.equal(beside.status('p.y'), 'waiting', 'branches wait for each other')
  const gates = new Driver([gate('g', 'true'), keyed('x')]).start()
  t.equal(gates.status('x'), 'waiting')
})

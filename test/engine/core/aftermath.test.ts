/** What an execution does when its flow has failed: compensations in reverse order, then onFailure. */
import t from 'tap'
import { a, Driver, of, par } from './driver.ts'

const undo = { compensate: { type: 'echo' } }
const failing = { definition: { onFailure: [a('tell')] } }

t.test('onFailure runs when the execution fails, sees the error, and then it is failed with that', async (t) => {
  const tell = a('tell', { when: "error.type == 'Broken' && steps.x.status == 'completed'" })
  const d = new Driver([a('x'), a('y'), a('z')], { definition: { onFailure: [tell, a('last')] } }).start()
  d.complete('x', 1)
  d.take()
  d.fail('y', { error: { type: 'Broken' } })
  t.same(d.take(), ['perform [onFailure].tell 1'])
  t.equal(d.state.status, 'running')
  t.equal(d.state.steps.get('[onFailure].tell')!.data, 'x', 'the data as it stood')
  d.complete('[onFailure].tell').complete('[onFailure].last').checkReplay(t)
  t.equal(d.state.status, 'failed')
  t.match(d.state.error, { type: 'Broken', stepPath: 'y' })
  t.equal(d.state.percentage, 33)
  t.equal(d.state.completedLeaves, 1, 'they are no part of the whole')
  t.equal(d.state.checkpoints.next, 1, 'and make no checkpoints')
})

t.test('an execution that ends well runs no onFailure', async (t) => {
  const d = new Driver([a('x')], failing).start().complete('x', 1).checkReplay(t)
  t.equal(d.state.status, 'completed')
  t.notOk(d.status('[onFailure]'))
})

t.test('onFailure that fails itself is named beside the first error', async (t) => {
  const d = new Driver([a('x')], failing).start().fail('x', { error: { type: 'First', message: 'no' } })
  d.fail('[onFailure].tell', { error: { type: 'Second', message: 'neither' } }).checkReplay(t)
  t.match(d.state.error, {
    type: 'First',
    message: 'no; then onFailure failed: neither',
    details: { aftermathFailures: [{ what: 'onFailure', type: 'Second', stepPath: '[onFailure].tell' }] },
  })
})

t.test('after a retry the flow goes on, and onFailure runs again when it fails again', async (t) => {
  const d = new Driver([a('x')], failing).start().fail('x').complete('[onFailure].tell')
  t.equal(d.state.status, 'failed')
  d.take()
  d.fact({ type: 'execution.retried', data: {} })
  t.same(d.take(), ['perform x 1'])
  t.notOk(d.status('[onFailure]'))
  d.fail('x')
  t.same(d.take(), ['perform [onFailure].tell 1'])
  d.complete('[onFailure].tell').checkReplay(t)
  t.equal(d.state.status, 'failed')
})

t.test('the timeout of the execution is a failure too, and bounds what runs after it no more', async (t) => {
  const definition = { onFailure: [a('tell')], timeoutMs: 500 }
  const d = new Driver([par('p', [a('x'), a('y')])], { definition }).start()
  d.take()
  d.passTime(500)
  t.same(d.take(), ['abort p.x', 'abort p.y', 'clear_timer execution_timeout ', 'perform [onFailure].tell 1'])
  d.passTime(10_000).complete('[onFailure].tell').checkReplay(t)
  t.match(d.state.error, { type: 'TimeoutError' })
})

t.test('so is an output that cannot be evaluated', async (t) => {
  const definition = { onFailure: [a('tell')], output: '{{ nothing }}' }
  const d = new Driver([a('x')], { definition }).start().complete('x', {})
  t.equal(d.status('[onFailure].tell'), 'running')
  d.complete('[onFailure].tell').checkReplay(t)
  t.match(d.state.error, { type: 'ExpressionError' })
})

t.test('completed steps are compensated in reverse order of their completion, one after the other', async (t) => {
  const d = new Driver([a('first', undo), par('p', [a('x', undo), a('y', undo), a('plain')]), a('last', undo)], failing)
  d.start().complete('first').complete('p.y').complete('p.x').complete('p.plain')
  d.take()
  d.fail('last')
  t.same(d.take(), ['perform p.x[compensate].compensate-x 1'], 'what failed itself has nothing to be undone')
  d.complete('p.x[compensate].compensate-x')
  t.same(d.take(), ['perform p.y[compensate].compensate-y 1'])
  d.complete('p.y[compensate].compensate-y').complete('first[compensate].compensate-first')
  t.same(
    d.take(),
    ['perform first[compensate].compensate-first 1', 'perform [onFailure].tell 1'],
    'onFailure comes last',
  )
  d.complete('[onFailure].tell').checkReplay(t)
  t.equal(d.state.status, 'failed')
  t.match(d.state.error, { stepPath: 'last' })
  t.same(d.state.completions, [])
})

t.test('a compensation sees what its step saw and came to, why it runs, and its own steps', async (t) => {
  const seen = [
    'completed.data.n == 1',
    "completed.output == 'paid'",
    'completed.meta.status == 201',
    "data == 'paid'",
    "error.type == 'Broken'",
    "steps.pay.output == 'paid'",
    'input.n == 1',
  ].join(' && ')
  const compensate = [a('refund', { when: seen }), a('mail', { when: "steps.refund.output == 'back'" })]
  const d = new Driver([a('pay', { compensate }), a('x')], { input: { n: 1 } }).start()
  d.complete('pay', 'paid', { status: 201 }).fail('x', { error: { type: 'Broken' } })
  t.equal(d.status('pay[compensate].refund'), 'running')
  d.complete('pay[compensate].refund', 'back')
  t.equal(d.status('pay[compensate].mail'), 'running')
  d.complete('pay[compensate].mail').checkReplay(t)
  t.equal(d.state.status, 'failed')
})

t.test('the iterations of loops are compensated, the last one first, though they have left the state', async (t) => {
  const compensate = [a('release', { when: 'completed.output == completed.data + completed.output - completed.data' })]
  const each = of('foreach', 'all', { items: [1, 2], steps: [a('fetch'), a('hold', { compensate })] })
  const d = new Driver([each, a('x')]).start()
  d.complete('all[0].fetch', 10).complete('all[0].hold', 100).complete('all[1].fetch', 20).complete('all[1].hold', 200)
  d.checkReplay(t)
  d.fail('x')
  t.same(d.state.completions!.at(-1)!.kept, { data: 20, output: 200 })
  t.equal(d.status('all[1].hold[compensate].release'), 'running')
  d.complete('all[1].hold[compensate].release')
  t.same(d.state.steps.get('all[0].hold[compensate].release')!.data, 'all[0].hold')
  t.equal(d.state.steps.get('all[0].hold')!.output, 100)
  d.complete('all[0].hold[compensate].release').checkReplay(t)
  t.equal(d.state.status, 'failed')
})

t.test('a race is compensated as what has ended: its compensation decides nothing', async (t) => {
  const branch = (...steps: object[]) => ({ steps })
  const race = (id: string, when?: string) => {
    const branches = [branch(a(`${id}1`, { ...(when && { when }) })), branch(a(`${id}2`, { when: 'false' }))]
    return of('race', id, { branches, decidedBy: 'first_step' }, undo)
  }
  const loop = of('while', 'loop', { condition: 'index < 2', steps: [race('won')], maxIterations: 2 })
  const d = new Driver([loop, race('none', 'false'), a('bad')]).start()
  d.complete('loop[0].won[0].won1').complete('loop[1].won[0].won1')
  t.match(d.state.steps.get('none')!.frame, { winner: null })
  d.take()
  d.fail('bad').complete('none[compensate].compensate-none')
  d.complete('loop[1].won[compensate].compensate-won').complete('loop[0].won[compensate].compensate-won')
  t.equal(d.state.status, 'failed')
  t.match(d.checkReplay(t).state.steps.get('none')!.frame, { winner: null })
})

t.test(
  'a compensation is retried; one that fails in the end is named, and the others are made all the same',
  async (t) => {
    const d = new Driver([a('x', undo), a('y', undo), a('z')]).start().complete('x').complete('y')
    d.fail('z', { error: { type: 'First', message: 'no' } })
    d.fail('y[compensate].compensate-y', { retryAt: 2_000 })
    d.take()
    d.passTime(1_000)
    t.same(d.take(), ['perform y[compensate].compensate-y 2'])
    d.fail('y[compensate].compensate-y', { error: { message: 'gone' } })
      .complete('x[compensate].compensate-x')
      .checkReplay(t)
    t.match(d.state.error, {
      type: 'First',
      message: 'no; then the compensation of y failed: gone',
      stepPath: 'z',
      details: { aftermathFailures: [{ type: 'ConnectionError', stepPath: 'y[compensate].compensate-y' }] },
    })
  },
)

t.test('a failure that is caught compensates nothing; one that fails the execution later does', async (t) => {
  const d = new Driver([
    of('try', 'g', { steps: [a('x', undo), a('y')], catch: [{ steps: [a('c')] }] }),
    a('z'),
  ]).start()
  d.complete('g[steps].x').fail('g[steps].y').complete('g[catch0].c')
  t.equal(d.status('z'), 'running')
  d.fail('z')
  t.equal(d.status('g[steps].x[compensate].compensate-x'), 'running')
  d.complete('g[steps].x[compensate].compensate-x').checkReplay(t)
})

t.test('a pause holds what would be compensated next, and a cancel ends it', async (t) => {
  const d = new Driver([a('x', undo), a('y', undo), a('z')], failing).start().complete('x').complete('y').fail('z')
  d.fact({ type: 'execution.pause_requested', data: {} }).complete('y[compensate].compensate-y')
  t.equal(d.state.status, 'paused')
  d.take()
  d.fact({ type: 'execution.resumed', data: {} })
  t.same(d.take(), ['perform x[compensate].compensate-x 1'])
  t.same(d.pending(), ['perform x[compensate].compensate-x 1'], 'it is all that must be under way')
  d.fact({ type: 'execution.cancelled', data: {} }).checkReplay(t)
  t.same(d.take(), ['abort x[compensate].compensate-x'])
  t.equal(d.state.status, 'cancelled')
})

const back = (toSeq: number, rest: object = {}) =>
  ({
    type: 'execution.compensating',
    data: { checkpointIndex: 0, toSeq, resume: true, requestId: 'r', ...rest },
  }) as const

t.test('a rollback with compensate ends the flow, undoes what came after the checkpoint, then is made', async (t) => {
  const seen = { compensate: [a('undo', { when: 'error == null' })] }
  const d = new Driver([a('x', undo), a('y', undo), a('z', seen), par('p', [a('slow'), a('v')])], failing).start()
  d.complete('x')
  const { seq } = d.state
  d.complete('y').complete('z').complete('p.v')
  d.take()
  d.fact(back(seq))
  t.same(d.take(), ['abort p.slow', 'perform z[compensate].undo 1'])
  d.complete('z[compensate].undo')
  t.same(d.take(), ['perform y[compensate].compensate-y 1'])
  d.complete('y[compensate].compensate-y').checkReplay(t)
  t.same(d.take(), ['roll_back'], 'x was completed before the checkpoint, and onFailure is for failures')
  t.same(d.pending(), ['roll_back'], 'also for the node that takes over now')
})

t.test(
  'an execution that has ended is undone too; a compensation that fails then fails it, and both are named',
  async (t) => {
    const d = new Driver([a('x'), a('y', undo)]).start().complete('x')
    const { seq } = d.state
    d.complete('y')
    t.equal(d.state.status, 'completed')
    d.fact(back(seq))
    t.equal(d.state.status, 'running')
    t.equal(d.state.output, null)
    d.fail('y[compensate].compensate-y', { error: { message: 'gone' } }).checkReplay(t)
    t.equal(d.state.status, 'failed')
    t.match(d.state.error, {
      type: 'CompensationFailed',
      message: 'the rollback to checkpoint 0 was given up; then the compensation of y failed: gone',
      details: { aftermathFailures: [{ type: 'ConnectionError', stepPath: 'y[compensate].compensate-y' }] },
    })
    t.match(d.journal.at(-1), { type: 'execution.failed', data: { requestId: 'r' } }, 'which answers the request')
  },
)

t.test('a pause holds the compensations of a rollback, and the rollback itself', async (t) => {
  const d = new Driver([a('x'), a('y', undo)]).start().complete('x')
  d.complete('y').fact(back(2))
  d.fact({ type: 'execution.pause_requested', data: {} })
  d.take()
  d.complete('y[compensate].compensate-y')
  t.equal(d.state.status, 'paused')
  t.same(d.pending(), [])
  d.take()
  d.fact({ type: 'execution.resumed', data: {} }).checkReplay(t)
  t.same(d.take(), ['roll_back'])
})

t.test('a composite that was completed is compensated as one, in place of what stands within it', async (t) => {
  const d = new Driver([a('first', undo), par('p', [a('x', undo), a('y', undo)], {}, undo), a('bad')]).start()
  d.complete('first').complete('p.x').complete('p.y')
  d.take()
  d.fail('bad')
  t.same(d.take(), ['perform p[compensate].compensate-p 1'])
  t.equal(d.state.steps.get('p[compensate]')!.data, 'p', 'its data is the output of what it takes back')
  d.complete('p[compensate].compensate-p')
  t.same(d.take(), ['perform first[compensate].compensate-first 1'])
  d.complete('first[compensate].compensate-first').checkReplay(t)
  t.equal(d.state.status, 'failed')
})

t.test('of a composite that failed halfway what was completed within it is compensated', async (t) => {
  const d = new Driver([par('p', [a('x', undo), a('y', undo)], {}, undo)]).start().complete('p.x')
  d.take()
  d.fail('p.y')
  t.same(d.take(), ['perform p.x[compensate].compensate-x 1'])
  d.complete('p.x[compensate].compensate-x').checkReplay(t)
  t.equal(d.state.status, 'failed')
})

t.test('a composite in a loop keeps what its compensation sees', async (t) => {
  const seen = { compensate: [a('undo', { when: "completed.output == 'out' && completed.data == 'in'" })] }
  const inner = of('sequential', 's', { steps: [a('x')] }, seen)
  const d = new Driver([of('foreach', 'e', { items: [1], steps: [inner] }), a('bad')], { input: 'in' }).start()
  d.complete('e[0].s.x', 'out')
  t.notOk(d.status('e[0].s'))
  d.take()
  d.fail('bad')
  t.same(d.take(), ['perform e[0].s[compensate].undo 1'])
  d.complete('e[0].s[compensate].undo').checkReplay(t)
  t.equal(d.state.status, 'failed')
})

t.test('a loop that is compensated as one bears failures within it', async (t) => {
  const each = of('foreach', 'e', { items: [1, 2], steps: [a('x', undo)], tolerate: 1 }, undo)
  const d = new Driver([each, a('bad')]).start().complete('e[0].x').fail('e[1].x')
  d.take()
  d.fail('bad')
  t.same(d.take(), ['perform e[compensate].compensate-e 1'])
  d.complete('e[compensate].compensate-e').checkReplay(t)
  t.equal(d.state.status, 'failed')
})

t.test('a rollback into a composite takes back what within it came after, one before it the composite', async (t) => {
  const run = () => {
    const inner = of('sequential', 's', { steps: [a('x', undo), a('y', undo), a('z', undo)] }, undo)
    const d = new Driver([a('first'), inner, a('last', undo)]).start().complete('first').complete('s.x').complete('s.y')
    d.complete('s.z').complete('last')
    d.take()
    return d
  }
  const seqOf = (d: Driver, path: string) => d.journal.find((e) => e.type === 'step.completed' && e.path === path)!.seq
  const into = run()
  into.fact(back(seqOf(into, 's.x'))).complete('last[compensate].compensate-last')
  into.complete('s.z[compensate].compensate-z').complete('s.y[compensate].compensate-y').checkReplay(t)
  t.same(into.take().slice(1), [
    'perform s.z[compensate].compensate-z 1',
    'perform s.y[compensate].compensate-y 1',
    'roll_back',
  ])
  const before = run()
  before.fact(back(seqOf(before, 'first'))).complete('last[compensate].compensate-last')
  before.complete('s[compensate].compensate-s').checkReplay(t)
  t.same(before.take().slice(1), ['perform s[compensate].compensate-s 1', 'roll_back'])
})

t.test('what runs on after the join of a composite is compensated by itself', async (t) => {
  const p = par('p', [a('x', undo), a('y', undo)], { join: 'any', rest: 'continue' }, undo)
  const d = new Driver([p, a('bad')]).start().complete('p.x').complete('p.y')
  d.take()
  d.fail('bad')
  t.same(d.take(), ['perform p.y[compensate].compensate-y 1'])
  d.complete('p.y[compensate].compensate-y')
  t.same(d.take(), ['perform p[compensate].compensate-p 1'])
  d.complete('p[compensate].compensate-p').checkReplay(t)
})

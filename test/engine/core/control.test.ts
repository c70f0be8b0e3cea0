import t from 'tap'
import { refusalOf } from '../../../src/engine/core/control.ts'
import { effectiveRanges, fold } from '../../../src/engine/core/fold.ts'
import { snapshotOf, stateOf } from '../../../src/engine/core/snapshot.ts'
import { createState, FORMAT } from '../../../src/engine/core/state.ts'
import { a, Driver, gate, par, seq } from './driver.ts'

const pauseRequest = { type: 'execution.pause_requested', data: { requestId: 'r' } } as const

t.test('a pause waits for the running attempts and begins nothing new', async (t) => {
  const d = new Driver([a('one'), a('two')]).start()
  d.fact(pauseRequest)
  t.equal(d.state.requested, 'pause')
  t.equal(d.state.status, 'running')
  d.take()
  d.complete('one')
  t.equal(d.state.status, 'paused')
  t.same(d.take(), [])
  t.match(d.journal.at(-1), { type: 'execution.paused', data: { requestId: 'r' } }, 'the event answers the request')
  d.fact({ type: 'execution.resumed', data: {} })
  t.same(d.take(), ['perform two 1'])
})

t.test('a pause that nothing holds up takes effect at once', async (t) => {
  const d = new Driver([a('one')]).start()
  d.fail('one', { retryAt: 5_000 })
  d.take()
  d.fact(pauseRequest)
  t.equal(d.state.status, 'paused')
  t.same(d.take(), ['clear_timer retry one'])
  d.at = 9_000
  d.fact({ type: 'execution.resumed', data: {} })
  t.same(d.take(), ['set_timer retry one 5000'], 'a retry that came due meanwhile acts at resume')
})

t.test('a pause that the end of the execution overtakes is moot', async (t) => {
  const failing = new Driver([a('one'), a('two')]).start().fact(pauseRequest).fail('one')
  t.equal(failing.state.status, 'failed')
  const completing = new Driver([a('one')]).start().fact(pauseRequest).complete('one')
  t.equal(completing.state.status, 'completed')
  t.notOk([...failing.journal, ...completing.journal].some((event) => event.type === 'execution.paused'))
})

t.test('what was found out about a step that a sibling has ended meanwhile is moot', async (t) => {
  const d = new Driver([par('p', [gate('bad', 'false', { onFalse: 'fail' }), gate('good', 'true')])]).start()
  t.equal(d.state.status, 'failed')
  t.equal(d.status('p.good'), 'cancelled')
  t.equal(d.state.completedLeaves, 0)
})

t.test('a resume takes back a pause that has not taken effect', async (t) => {
  const d = new Driver([par('p', [a('one'), a('two')], { concurrency: 1 })]).start()
  d.fact(pauseRequest).fact({ type: 'execution.resumed', data: {} })
  d.take()
  d.complete('p.one')
  t.same(d.take(), ['perform p.two 1'])
})

t.test('the execution’s timeout stands still while it is paused', async (t) => {
  const d = new Driver([a('one'), a('two')], { definition: { timeoutMs: 10_000 } }).start()
  t.same(d.take(), ['set_timer execution_timeout  11000', 'perform one 1'])
  d.at = 4_000
  d.fact(pauseRequest).complete('one')
  t.same(d.take(), ['clear_timer execution_timeout '])
  d.at = 100_000
  d.fact({ type: 'execution.resumed', data: {} })
  t.same(d.take(), ['set_timer execution_timeout  107000', 'perform two 1'])
})

t.test('a cancel aborts what runs and ends what is open', async (t) => {
  const d = new Driver([par('p', [a('one'), a('two')]), a('three')]).start()
  d.complete('p.one').take()
  d.fact({ type: 'execution.cancelled', data: {} })
  t.same(d.take(), ['abort p.two'])
  t.equal(d.state.status, 'cancelled')
  t.equal(d.status('p.one'), 'completed')
  t.equal(d.status('p.two'), 'cancelled')
  t.same(d.pending(), [])
})

t.test('a retry goes on from the failed step; completed siblings stay', async (t) => {
  const d = new Driver([par('p', [a('one'), seq('s', [a('two'), a('three')]), a('four')]), a('five')]).start()
  d.complete('p.one').complete('p.s.two').fail('p.s.three')
  t.equal(d.state.status, 'failed')
  d.take()
  d.fact({ type: 'execution.retried', data: {} })
  t.same(d.take(), ['perform p.s.three 1', 'perform p.four 1'])
  t.equal(d.status('p.one'), 'completed')
  d.complete('p.s.three').complete('p.four').complete('five', 'end')
  t.equal(d.state.status, 'completed')
})

t.test('a retry asks a condition and an output that failed again', async (t) => {
  const d = new Driver([gate('g', 'nobody')]).start()
  d.fact({ type: 'execution.retried', data: {} })
  t.equal(d.state.status, 'failed')
  t.equal(d.journal.filter((event) => event.type === 'step.failed').length, 2)
})

t.test('a rollback brings back the state at the checkpoint under a new generation', async (t) => {
  const d = new Driver([a('one'), a('two'), a('three')], { definition: { timeoutMs: 10_000 } }).start()
  d.at = 2_000
  d.complete('one')
  const checkpoint = d.state.checkpoints.recent[0]!
  d.at = 3_000
  d.complete('two').complete('three')
  t.equal(d.state.status, 'completed')
  const { state: old } = replayed(d, checkpoint.seq)
  old.seq = d.state.seq
  Object.assign(d.state, old)
  d.at = 60_000
  d.take()
  d.fact({
    type: 'execution.rolled_back',
    data: { checkpointIndex: 0, toSeq: checkpoint.seq, generation: 1, kept: [], resume: false },
  })
  t.equal(d.state.status, 'paused')
  t.equal(d.state.percentage, 33)
  t.equal(d.status('three'), undefined)
  t.equal(d.status('two'), 'pending', 'what was in flight begins anew')
  d.at = 70_000
  d.fact({ type: 'execution.resumed', data: {} })
  t.same(d.take(), ['set_timer execution_timeout  79000', 'perform two 1'], 'timeouts keep the rest that they had')
  d.complete('two')
  t.equal(d.state.checkpoints.next, 2, 'the index counts the effective history')
})

t.test('what each status allows', async (t) => {
  const allowed = (d: Driver): string[] =>
    (['pause', 'resume', 'cancel', 'retry', 'rollback'] as const).filter(
      (action) => refusalOf(d.state, action) === null,
    )
  const fresh = () => new Driver([a('one')])
  t.same(allowed(fresh()), ['pause', 'cancel'])
  t.same(allowed(fresh().start()), ['pause', 'cancel', 'rollback'])
  t.same(allowed(fresh().start().fact(pauseRequest)), ['resume', 'cancel', 'rollback'])
  t.same(allowed(fresh().start().fact({ type: 'execution.cancelled', data: {} })), ['rollback'])
  t.same(allowed(fresh().start().fail('one')), ['retry', 'rollback'])
  t.same(allowed(fresh().start().complete('one')), ['rollback'])
})

t.test('effective history', async (t) => {
  t.same(effectiveRanges([], 9), [[1, 9]])
  t.same(effectiveRanges([{ seq: 6, toSeq: 3 }], 9), [
    [1, 3],
    [6, 9],
  ])
  t.same(
    effectiveRanges(
      [
        { seq: 6, toSeq: 3 },
        { seq: 8, toSeq: 7 },
      ],
      9,
    ),
    [
      [1, 3],
      [6, 7],
      [8, 9],
    ],
  )
  t.same(
    effectiveRanges(
      [
        { seq: 6, toSeq: 3 },
        { seq: 8, toSeq: 2 },
      ],
      9,
    ),
    [
      [1, 2],
      [8, 9],
    ],
    'a rollback behind a rollback',
  )
  t.same(effectiveRanges([{ seq: 6, toSeq: 3 }], 4), [[1, 4]], 'as it was before the rollback')
})

t.test('replay and snapshots give the state that was', async (t) => {
  const d = new Driver([
    a('one', { when: 'true' }),
    par('p', [a('two'), gate('c', 'true', { then: [a('three')] })]),
    a('four'),
  ])
  d.start()
    .complete('one', 1)
    .complete('p.two', { x: [1] })
    .fail('p.c.three', { retryAt: 2_000 })
  d.fact({ type: 'timer.fired', path: 'p.c.three', attempt: 2, data: { timer: 'retry' } })
  d.fact({ type: 'signal.received', data: { signal: { id: 's', name: 'go', payload: null, at: 1 } } })
  t.same(replayed(d).state, d.state)
  const copy = stateOf(JSON.parse(JSON.stringify(snapshotOf(d.state))), d.state.input)
  t.same(copy, d.state)
  t.same(d.pending(), ['perform p.c.three 2'], 'the running attempt is performed again')
})

function replayed(d: Driver, through = Number.POSITIVE_INFINITY) {
  const { variables } = d.plan
  const state = createState({ executionId: 'x', format: FORMAT, input: d.state.input, variables })
  return {
    state: fold(
      d.plan,
      state,
      d.journal.filter((event) => event.seq <= through),
    ),
  }
}

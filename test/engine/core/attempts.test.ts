import t from 'tap'
import type { ActionPlan, RetryPolicy } from '../../../src/definition/plan.ts'
import { progressOf } from '../../../src/engine/core/progress.ts'
import { backoffMs, nextRetryAt } from '../../../src/engine/core/retry.ts'
import { StepScope } from '../../../src/engine/core/scope.ts'
import { idempotencyKeyOf } from '../../../src/engine/core/state.ts'
import { a, Driver, par, seq } from './driver.ts'

const policy: RetryPolicy = {
  maxAttempts: 5,
  initialIntervalMs: 100,
  backoffCoefficient: 2,
  maxIntervalMs: 500,
  jitter: 0,
  maxElapsedMs: null,
  retryOn: null,
  nonRetryable: [],
  when: null,
}
const failure = {
  error: { type: 'Http5xx', message: '', retryable: true },
  attempt: 1,
  firstStartedAt: 0,
  at: 1_000,
  seed: 'x',
}

t.test('backoff grows exponentially up to its cap', async (t) => {
  t.same(
    [1, 2, 3, 4, 9].map((attempt) => backoffMs(policy, attempt, 'x')),
    [100, 200, 400, 500, 500],
  )
})

t.test('jitter is spread within its share and the same at every replay', async (t) => {
  const waits = Array.from({ length: 1_000 }, (_, i) => backoffMs({ ...policy, jitter: 0.2 }, 1, `e${i}`))
  t.ok(waits.every((wait) => wait >= 80 && wait <= 120))
  t.ok(new Set(waits).size > 35, 'spread')
  t.equal(backoffMs({ ...policy, jitter: 0.2 }, 1, 'e7'), waits[7])
})

t.test('the policy decides what is retried', async (t) => {
  t.equal(nextRetryAt(policy, failure), 1_100)
  t.equal(nextRetryAt(policy, { ...failure, attempt: 5 }), null, 'the attempts are used up')
  t.equal(nextRetryAt({ ...policy, nonRetryable: ['Http5xx'] }, failure), null)
  t.equal(nextRetryAt({ ...policy, retryOn: ['TimeoutError'] }, failure), null)
  t.equal(
    nextRetryAt({ ...policy, retryOn: ['Http5xx'] }, { ...failure, error: { ...failure.error, retryable: false } }),
    1_100,
  )
  t.equal(nextRetryAt(policy, { ...failure, error: { ...failure.error, retryable: false } }), null)
  t.equal(nextRetryAt({ ...policy, maxElapsedMs: 1_100 }, failure), null, 'the budget would be over by then')
  t.equal(nextRetryAt({ ...policy, maxElapsedMs: 1_101 }, failure), 1_100)
})

t.test('a policy with `when` goes by that, within what its lists let through', async (t) => {
  const at = (when: string, more: object, error: object, attempt = 1) => {
    const d = new Driver(
      [a('x', { retryPolicy: { maxAttempts: 5, initialIntervalMs: 100, jitter: 0, when, ...more } })],
      {
        input: { patient: true },
      },
    ).start()
    const { retry } = d.plan.steps.get('x') as ActionPlan
    const info = { id: 'x', workflowId: 'w', correlationId: null, triggeredBy: null }
    const scope = new StepScope(d.plan, d.state, d.state.steps.get('x')!, info)
    return nextRetryAt(retry, { ...failure, attempt, error: { ...failure.error, ...error } }, scope)
  }
  const gone = { type: 'Http4xx', retryable: false, details: { status: 404 } }
  t.equal(at('error.details.status == 404 && attempt < 2 && input.patient', {}, gone), 1_100)
  t.equal(at('error.details.status == 404 && attempt < 2', {}, gone, 2), null)
  t.equal(at('false', {}, { retryable: true }), null, 'it decides in place of the error itself')
  t.equal(at('true', { nonRetryable: ['Http4xx'] }, gone), null)
  t.equal(at('true', { retryOn: ['Http5xx'] }, gone), null)
  t.equal(at('error.details.status == 404', { retryOn: ['Http4xx'] }, gone), 1_100)
  t.throws(() => at('nothing', {}, gone), { name: 'ExpressionError' })
})

t.test('a retry comes no sooner than the other side asked for', async (t) => {
  const asked = (retryAfterMs: number) => ({ ...failure, error: { ...failure.error, details: { retryAfterMs } } })
  t.equal(nextRetryAt(policy, asked(60_000)), 61_000)
  t.equal(nextRetryAt(policy, asked(1)), 1_100)
  t.equal(nextRetryAt({ ...policy, maxElapsedMs: 10_000 }, asked(60_000)), null, 'but within the budget')
})

t.test('a failed attempt waits for its retry, then is the next attempt with the same key', async (t) => {
  const d = new Driver([a('one'), a('two')]).start()
  const key = idempotencyKeyOf(d.state, 'one')
  d.take()
  d.fail('one', { retryAt: 2_000 })
  t.same(d.take(), ['set_timer retry one 2000'])
  t.equal(d.status('one'), 'waiting')
  t.same(d.pending(), ['set_timer retry one 2000'])
  d.fact({ type: 'timer.fired', path: 'one', attempt: 2, data: { timer: 'retry' } })
  t.same(d.take(), ['perform one 2'])
  t.equal(idempotencyKeyOf(d.state, 'one'), key)
  d.complete('one')
  t.same(d.take(), ['perform two 1'])
  t.equal(d.state.steps.get('one')?.error, undefined)
})

t.test('an at_most_once step is performed after its start is on record, and never again', async (t) => {
  const d = new Driver([a('one', { delivery: 'at_most_once' })]).start()
  t.same(
    d.journal.map((event) => event.type),
    ['execution.started', 'step.started'],
  )
  t.same(d.take(), ['perform one 1'])
  t.same(d.pending(), ['interrupt one 1'])
})

t.test('a composite’s timeout cancels what is inside and fails it', async (t) => {
  const d = new Driver([seq('s', [a('one'), a('two')], { timeoutMs: 500 })]).start()
  t.same(d.take(), ['set_timer step_timeout s 1500', 'perform s.one 1'])
  d.fact({ type: 'step.failed', path: 's', data: { error: { type: 'TimeoutError', message: '' }, retryAt: null } })
  t.same(d.take(), ['clear_timer step_timeout s', 'abort s.one'])
  t.equal(d.state.status, 'failed')
})

t.test('checkpoints come after leaves, and the last ones are kept, with those of the root', async (t) => {
  const d = new Driver([a('r0'), par('p', [a('x'), a('y'), a('z')]), a('r1')], {
    definition: { checkpoints: { keep: 2 } },
  })
  d.start().complete('r0').complete('p.x').complete('p.y').complete('p.z')
  t.same(
    d.state.checkpoints.recent.map((c) => [c.index, c.path]),
    [
      [2, 'p.y'],
      [3, 'p.z'],
    ],
  )
  t.same(
    d.state.checkpoints.root.map((c) => [c.index, c.path]),
    [[0, 'r0']],
  )
})

t.test('the percentage shares each composite’s part equally, never falls, and is 100 only at the end', async (t) => {
  const d = new Driver([a('one'), par('p', [a('x'), a('y')]), a('two')]).start()
  const seen = [d.state.percentage]
  for (const path of ['one', 'p.x', 'p.y', 'two']) seen.push(d.complete(path).state.percentage)
  t.same(seen, [0, 33, 50, 66, 100])
  const many = new Driver(Array.from({ length: 100 }, (_, i) => a(`s${i}`))).start()
  for (let i = 0; i < 99; i++) t.equal(many.complete(`s${i}`).state.percentage, i + 1)
})

t.test('an attempt that was put off does not count, and its wait shows in the estimate', async (t) => {
  const d = new Driver([a('one'), a('two')]).start()
  d.take()
  const error = { type: 'CircuitOpenError', message: '' }
  d.fact({ type: 'step.failed', path: 'one', attempt: 1, data: { error, retryAt: 31_000, deferred: true } })
  t.same(d.take(), ['set_timer retry one 31000'])
  t.match(d.state.steps.get('one'), { status: 'waiting', attempt: 0, error })
  t.equal(d.state.runningAttempts, 0)
  const medians = new Map(Object.entries({ one: 100, two: 200 }))
  t.match(progressOf(d.plan, d.state, medians, 1_000), { estimatedRemainingMs: 30_300, estimatedCompletionAt: 31_300 })
  d.passTime(30_000)
  t.same(d.take(), ['perform one 1'], 'the first attempt, once more')
  d.complete('one').complete('two')
  t.equal(d.state.status, 'completed')
  d.checkReplay(t)
})

t.test('a step that began by a clock ahead of this one takes no longer than its median', async (t) => {
  const d = new Driver([a('one')]).start()
  t.match(progressOf(d.plan, d.state, new Map([['one', 100]]), d.state.at - 50), { estimatedRemainingMs: 100 })
})

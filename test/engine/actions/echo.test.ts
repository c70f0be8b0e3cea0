import t from 'tap'
import { ActionError } from '../../../src/engine/actions/action.ts'
import { echo } from '../../../src/engine/actions/echo.ts'
import { attempt, contextOf, failure } from './attempt.ts'

t.test('without a delay the answer is there at once, without a promise', async (t) => {
  t.same(echo.perform({ value: { a: 1 } }, contextOf()), { output: { a: 1 } })
})

t.test('the value defaults to the data of the step; null is a value', async (t) => {
  t.same(await attempt(echo, {}, { data: [1, 2] }), { output: [1, 2] })
  t.same(await attempt(echo, { value: null }, { data: [1, 2] }), { output: null })
})

t.test('after a delay the value comes, and a failure too', async (t) => {
  t.same(await attempt(echo, { value: 1, delayMs: 1 }), { output: 1 })
  t.match(await failure(echo, { delayMs: 1, fail: 'late' }), { type: 'EchoError', message: 'late' })
})

t.test('an abort ends a delay at once with its reason', async (t) => {
  const abort = new AbortController()
  const reason = new Error('cancelled')
  const running = attempt(echo, { delayMs: 2_000_000_000 }, { signal: abort.signal })
  abort.abort(reason)
  await t.rejects(running, reason)
  await t.rejects(attempt(echo, { delayMs: 2_000_000_000 }, { signal: abort.signal }), reason)
})

t.test('it fails as it is told', async (t) => {
  t.match(await failure(echo, { fail: true }), { type: 'EchoError', retryable: true })
  t.match(await failure(echo, { fail: 'no' }), { type: 'EchoError', message: 'no' })
  t.match(await failure(echo, { fail: { type: 'Http5xx', message: 'm', retryable: false } }), {
    type: 'Http5xx',
    message: 'm',
    retryable: false,
  })
  t.same(await attempt(echo, { value: 1, fail: false }), { output: 1 })
})

t.test('with untilAttempt it fails before that attempt and succeeds from it on', async (t) => {
  const config = { value: 'done', fail: { untilAttempt: 3 } }
  await failure(echo, config, { attempt: 2 })
  t.same(await attempt(echo, config, { attempt: 3 }), { output: 'done' })
})

t.test('a node that may perform nothing does not even echo', async (t) => {
  const dead = new ActionError('StepInterrupted', 'the lease is over')
  const refuse = () => {
    throw dead
  }
  await t.rejects(attempt(echo, {}, { mayPerform: refuse }), dead)
})

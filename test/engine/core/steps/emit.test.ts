import t from 'tap'
import { a, Driver, of } from '../driver.ts'

const emit = (rest: object = {}) => of('emit', 'e', { signal: 'news', to: { correlationId: 'c' } }, rest)
const sent = (d: Driver) => d.fact({ type: 'step.completed', path: 'e', data: { output: { delivered: 2 } } })

t.test('it asks who is there, is a checkpoint when it is sent, and data passes by', async (t) => {
  const d = new Driver([a('before'), emit(), a('after')]).start().complete('before', 'kept')
  t.ok(d.take().includes('look_up e'))
  t.same(d.pending(), ['look_up e'], 'recovery asks again')
  sent(d).checkReplay(t)
  t.equal(d.state.steps.get('after')!.data, 'before')
  t.same(d.state.steps.get('e')!.output, { delivered: 2 })
  t.equal(d.state.checkpoints.next, 2)
  t.same(d.pending(), ['perform after 1'])
})

t.test('what a pause finds unanswered is asked at resume; what fails begins again with a retry', async (t) => {
  const d = new Driver([emit()]).start().fact({ type: 'execution.pause_requested', data: {} })
  d.take()
  d.fact({ type: 'execution.resumed', data: {} })
  t.same(d.take(), ['look_up e'])
  const error = { type: 'NoReceiver', message: 'nobody' }
  d.fact({ type: 'step.failed', path: 'e', data: { error, retryAt: null } })
  t.match(d.state, { status: 'failed', error })
  d.take()
  d.fact({ type: 'execution.retried', data: {} })
  t.same(d.take(), ['look_up e'])
  sent(d).checkReplay(t)
  t.equal(d.state.status, 'completed')
})

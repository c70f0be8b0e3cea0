/** executionKey over REST: one live execution a key, and what the policies say of the next start. */
import t from 'tap'
import { echo, failing, startApi } from './api.ts'

const api = await startApi(t)
const gated = (name: string) => ({ id: 'a', name: 'a', type: 'action', config: { type: 'gate', name } })

const start = (workflowId: string, body: object, headers: Record<string, string> = {}, query = '') =>
  api.call('POST', `/api/workflows/executions${query}`, { body: { workflowId, ...body }, headers })

t.test('a live execution keeps its key: 409 with the remedy, or 200 with it', async (t) => {
  const { id } = await api.workflow([gated('live')])
  const first = await start(id, { executionKey: 'order-1' })
  t.match(first, { status: 201, body: { executionKey: 'order-1' } })
  await api.gate('live').reached
  const second = await start(id, { executionKey: 'order-1' })
  t.match(second, { status: 409, body: { code: 'EXECUTION_KEY_LIVE', executionId: first.body.id } })
  t.match(second.body.detail, /use_existing or cancel_existing/)
  const third = await start(id, { executionKey: 'order-1', conflictPolicy: 'use_existing' })
  t.match(third, { status: 200, body: { id: first.body.id }, headers: { location: first.headers.location } })
  t.equal(third.headers['idempotency-replayed'], undefined)
  const { body: listed } = await api.call('GET', '/api/workflows/executions?executionKey=order-1')
  t.same(
    listed.items.map((item: { id: string }) => item.id),
    [first.body.id],
  )
  api.gate('live').open()
})

t.test('cancel_existing starts only when the one before has ended', async (t) => {
  const { id } = await api.workflow([gated('cancelled')])
  const first = await start(id, { executionKey: 'nightly' })
  await api.gate('cancelled').reached
  const second = await start(id, { executionKey: 'nightly', conflictPolicy: 'cancel_existing' })
  t.equal(second.status, 201)
  t.not(second.body.id, first.body.id)
  const { body } = await api.call('GET', `/api/workflows/executions/${first.body.id}`)
  t.equal(body.status, 'cancelled')
  const { body: events } = await api.call('GET', `/api/workflows/executions/${first.body.id}/events`)
  t.match(events.items.at(-1), { type: 'execution.cancelled', data: { reason: /executionKey/ } })
})

t.test('the reuse policy decides what may follow an ended execution', async (t) => {
  const { id: good } = await api.workflow([echo('a')])
  const { id: bad } = await api.workflow([failing('a')])
  for (const [workflowId, statusOfFailedOnly] of [
    [good, 409],
    [bad, 201],
  ] as const) {
    const first = await start(workflowId, { executionKey: 'k' }, {}, '?waitMs=20000')
    const rejected = await start(workflowId, { executionKey: 'k', reusePolicy: 'reject' })
    t.match(rejected, { status: 409, body: { code: 'EXECUTION_KEY_USED', executionId: first.body.id } })
    const failedOnly = { executionKey: 'k', reusePolicy: 'failed_only' }
    t.equal((await start(workflowId, failedOnly, {}, '?waitMs=20000')).status, statusOfFailedOnly)
    t.equal((await start(workflowId, { executionKey: 'k' }, {}, '?waitMs=20000')).status, 201, 'allow is the default')
  }
})

t.test('an ended execution is not brought back while another has its key', async (t) => {
  const { id } = await api.workflow([failing('a')])
  const first = await start(id, { executionKey: 'k' }, {}, '?waitMs=20000')
  t.equal(first.body.status, 'failed')
  const { id: blocked } = first.body
  // Not due for years: it is live all the while.
  const second = await start(id, { executionKey: 'k', startAt: '2099-01-01T00:00:00Z' })
  t.equal(second.status, 201)
  t.match(await api.call('PATCH', `/api/workflows/executions/${blocked}`, { body: { action: 'retry' } }), {
    status: 409,
    body: { code: 'EXECUTION_KEY_LIVE', executionId: second.body.id },
  })
  await api.call('PATCH', `/api/workflows/executions/${second.body.id}`, { body: { action: 'cancel' } })
  t.equal((await api.call('PATCH', `/api/workflows/executions/${blocked}`, { body: { action: 'retry' } })).status, 200)
})

t.test('an Idempotency-Key beside it makes a repeat harmless', async (t) => {
  const { id } = await api.workflow([echo('a')])
  const headers = { 'idempotency-key': 'beside' }
  const first = await start(id, { executionKey: 'k' }, headers)
  const repeat = await start(id, { executionKey: 'k' }, headers)
  t.match(repeat, { status: 200, body: { id: first.body.id }, headers: { 'idempotency-replayed': 'true' } })
  t.match(await start(id, { executionKey: 'other' }, headers), {
    status: 409,
    body: { code: 'IDEMPOTENCY_KEY_REUSED' },
  })
})

t.test('policies that mean nothing are refused with their pointers', async (t) => {
  const { id } = await api.workflow([echo('a')])
  const pointers = async (body: object) => {
    const answer = await start(id, body)
    return [answer.status, answer.body.errors.map((fault: { pointer: string }) => fault.pointer)]
  }
  t.same(await pointers({ reusePolicy: 'allow', conflictPolicy: 'fail' }), [422, ['/reusePolicy', '/conflictPolicy']])
  const impossible = { executionKey: 'k', reusePolicy: 'reject', conflictPolicy: 'cancel_existing' }
  t.same(await pointers(impossible), [422, ['/conflictPolicy']])
  t.same(await pointers({ executionKey: '', reusePolicy: 'sometimes' }), [422, ['/executionKey', '/reusePolicy']])
})

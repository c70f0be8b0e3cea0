import t from 'tap'
import { echo, failing, type Gate, gateStep, newGate, startApi } from './api.ts'

const api = await startApi(t)

/** An execution whose first step runs and waits at its gate. */
async function running(): Promise<{ id: string; url: string; gate: Gate }> {
  const name = newGate()
  const { id: workflowId } = await api.workflow([gateStep('g', name), echo('b', 'end')])
  const { body } = await api.call('POST', '/api/workflows/executions', { body: { workflowId } })
  await api.gate(name).reached
  return { id: body.id, url: `/api/workflows/executions/${body.id}`, gate: api.gate(name) }
}

const patch = (url: string, action: string, more: object = {}) => api.call('PATCH', url, { body: { action, ...more } })

t.test('pause takes effect when the running attempt has ended; resume goes on from there', async (t) => {
  const { id, url, gate } = await running()
  const pausing = patch(url, 'pause', { reason: 'lunch' })
  await api.event(id, 'execution.pause_requested')
  t.match(await api.call('GET', url), { body: { status: 'running', requested: 'pause' } })
  gate.open()
  const currentStep = { id: 'b', path: 'b' }
  t.match(await pausing, { status: 200, body: { status: 'paused', requested: null, currentStep } })
  t.match(await api.call('GET', url), { body: { currentStep } })
  t.match(await api.call('GET', `${url}/progress`), { body: { currentStep } }, 'as progress has it')
  t.match(await patch(url, 'pause'), {
    status: 409,
    body: { code: 'EXECUTION_STATUS_CONFLICT', executionStatus: 'paused' },
  })
  const resumed = await patch(url, 'resume')
  t.equal(resumed.status, 200)
  t.match(await api.call('GET', `${url}?waitMs=20000`), { body: { status: 'completed', output: 'end' } })
  const { items } = (await api.call('GET', `${url}/events`)).body
  t.match(items.find((event: { type: string }) => event.type === 'execution.paused').data, { reason: 'lunch' })
})

t.test('a pause that has not taken effect after 5 s is answered with 202, and so is its repeat', async (t) => {
  const { id, url, gate } = await running()
  const ask = { body: { action: 'pause' }, headers: { 'idempotency-key': 'pause-1' } }
  const first = api.call('PATCH', url, ask)
  await api.event(id, 'execution.pause_requested')
  const repeat = api.call('PATCH', url, ask)
  const answer = { status: 202, body: { status: 'running', requested: 'pause' } }
  t.match(await first, answer)
  t.match(await repeat, { ...answer, headers: { 'idempotency-replayed': 'true' } })
  gate.open()
  await api.event(id, 'execution.paused')
  t.match(await api.call('GET', url), { body: { status: 'paused', requested: null } })
})

t.test('cancel aborts the running attempt', async (t) => {
  const { url } = await running()
  t.match(await patch(url, 'cancel'), { status: 200, body: { status: 'cancelled' } })
  for (const action of ['pause', 'resume', 'cancel', 'retry']) {
    t.match(
      await patch(url, action),
      { status: 409, body: { code: 'EXECUTION_STATUS_CONFLICT', executionStatus: 'cancelled' } },
      action,
    )
  }
})

t.test('retry runs a failed execution again from its failed step', async (t) => {
  const { id: workflowId } = await api.workflow([echo('a'), failing('b')])
  const { id } = await api.run(workflowId)
  const url = `/api/workflows/executions/${id}`
  t.match(await patch(url, 'retry'), { status: 200 })
  t.match(await api.call('GET', `${url}?waitMs=20000`), { body: { status: 'failed' } })
  const { items } = (await api.call('GET', `${url}/events`)).body
  t.equal(
    items.filter((event: { type: string; path?: string }) => event.type === 'step.completed' && event.path === 'a')
      .length,
    1,
  )
  t.equal(items.filter((event: { type: string }) => event.type === 'step.failed').length, 2)
})

t.test('what the status forbids is 409 with the present status', async (t) => {
  const { url, gate } = await running()
  t.match(await patch(url, 'resume'), {
    status: 409,
    body: { code: 'EXECUTION_STATUS_CONFLICT', executionStatus: 'running' },
  })
  t.match(await patch(url, 'retry'), { status: 409, body: { executionStatus: 'running' } })
  gate.open()
  t.match(await api.call('GET', `${url}?waitMs=20000`), { body: { status: 'completed' } })
  t.match(await patch(url, 'cancel'), { status: 409, body: { executionStatus: 'completed', detail: /completed/ } })
})

t.test('an unknown action, field or reason is 422', async (t) => {
  const { url } = await running()
  t.match(await patch(url, 'stop'), { status: 422, body: { errors: [{ pointer: '/action' }] } })
  t.match(await patch(url, 'pause', { when: 'now' }), { status: 422, body: { errors: [{ pointer: '/when' }] } })
  t.match(await patch(url, 'pause', { reason: 'a\0b' }), {
    status: 422,
    body: { errors: [{ pointer: '/reason' }] },
  })
  t.match(await api.call('PATCH', url, { rawBody: '' }), { status: 422 })
  t.match(await api.call('PATCH', url, { rawBody: '{' }), { status: 400 })
})

t.test('control under an Idempotency-Key happens once', async (t) => {
  const { url } = await running()
  const headers = { 'idempotency-key': 'cancel-1' }
  const first = await api.call('PATCH', url, { body: { action: 'cancel' }, headers })
  t.match(first, { status: 200, body: { status: 'cancelled' } })
  const again = await api.call('PATCH', url, { body: { action: 'cancel' }, headers })
  t.match(again, { status: 200, body: { status: 'cancelled' } }, 'without the key it would be 409')
  t.equal(again.headers['idempotency-replayed'], 'true')
  t.match(await api.call('PATCH', url, { body: { action: 'retry' }, headers }), {
    status: 409,
    body: { code: 'IDEMPOTENCY_KEY_REUSED' },
  })
})

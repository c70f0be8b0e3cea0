import t from 'tap'
import { echo, startApi } from './api.ts'

const api = await startApi(t)

/** An execution that has not begun: its signals wait. */
async function pending(): Promise<string> {
  const { id: workflowId } = await api.workflow([echo('a')])
  const startAt = new Date(Date.now() + 3_600_000).toISOString()
  const { body } = await api.call('POST', '/api/workflows/executions', { body: { workflowId, startAt } })
  return `/api/workflows/executions/${body.id}`
}

t.test('a signal is taken with 202, whatever its payload', async (t) => {
  const url = await pending()
  for (const body of [{ by: 'ada' }, null, 5, 'text', [], 'a\0b']) {
    t.match(
      await api.call('POST', `${url}/signals/approved`, { body }),
      { status: 202, body: { name: 'approved' } },
      JSON.stringify(body),
    )
  }
  t.match(await api.call('POST', `${url}/signals/approved`), { status: 202 }, 'no payload')
  t.match(await api.call('POST', `${url}/signals/${encodeURIComponent('mit Umläuten/2')}`), {
    status: 202,
    body: { name: 'mit Umläuten/2' },
  })
})

t.test('a finished execution records a signal without effect', async (t) => {
  const { id: workflowId } = await api.workflow([echo('a')])
  const { id } = await api.run(workflowId)
  t.match(await api.call('POST', `/api/workflows/executions/${id}/signals/late`, { body: 1 }), { status: 202 })
})

t.test('a signal under an Idempotency-Key is sent once', async (t) => {
  const url = await pending()
  const headers = { 'idempotency-key': 'signal-1' }
  t.match(await api.call('POST', `${url}/signals/go`, { body: 1, headers }), { status: 202 })
  const again = await api.call('POST', `${url}/signals/go`, { body: 1, headers })
  t.equal(again.status, 200)
  t.equal(again.headers['idempotency-replayed'], 'true')
  t.match(await api.call('POST', `${url}/signals/go`, { body: 2, headers }), {
    status: 409,
    body: { code: 'IDEMPOTENCY_KEY_REUSED' },
  })
})

t.test('a signal is refused when its name, payload or JSON is bad', async (t) => {
  const url = await pending()
  t.match(await api.call('POST', `${url}/signals/a%00b`, { body: 1 }), {
    status: 422,
    body: { errors: [{ pointer: '/name' }] },
  })
  t.match(await api.call('POST', `${url}/signals/${'x'.repeat(201)}`, { body: 1 }), { status: 422 })
  t.match(await api.call('POST', `${url}/signals/go`, { rawBody: '{' }), { status: 400 })
  t.match(await api.call('POST', `${url}/signals/go`, { body: 'x'.repeat(1_048_600) }), {
    status: 413,
    body: { code: 'PAYLOAD_TOO_LARGE' },
  })
})

t.test('a signal that fits no step that waits for it is refused, and nothing is kept of it', async (t) => {
  const wait = (id: string, schema: object) => ({ id, type: 'wait_for_signal', config: { signal: 'paid', schema } })
  const order = { type: 'object', required: ['order'], properties: { order: { type: 'integer' } } }
  const { id: workflowId } = await api.workflow([wait('order', order), wait('text', { type: 'string' })])
  const { body } = await api.call('POST', '/api/workflows/executions', { body: { workflowId } })
  const url = `/api/workflows/executions/${body.id}`
  const headers = { 'idempotency-key': 'paid-1' }
  t.match(await api.call('POST', `${url}/signals/paid`, { body: { order: 'seven' }, headers }), {
    status: 422,
    body: { code: 'SIGNAL_INVALID', errors: [{ pointer: '/order', message: 'must be an integer' }] },
  })
  // A later step takes it, so it is kept.
  t.match(await api.call('POST', `${url}/signals/paid`, { body: 'text' }), { status: 202 })
  t.match(await api.call('POST', `${url}/signals/paid`, { body: { order: 7 }, headers }), { status: 202 })
  t.match(await api.call('GET', `${url}?waitMs=60000`), { body: { status: 'completed', output: 'text' } })
})

t.test('1,000 signals are kept, the next is 429', async (t) => {
  const url = await pending()
  for (let sent = 0; sent < 1000; sent += 50) {
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => api.call('POST', `${url}/signals/flood`, { body: 1 })),
    )
    if (answers.some(({ status }) => status !== 202))
      t.fail(JSON.stringify(answers.find(({ status }) => status !== 202)))
  }
  const { status, headers, body } = await api.call('POST', `${url}/signals/flood`, { body: 1 })
  t.equal(status, 429)
  t.equal(body.code, 'SIGNALS_FULL')
  t.ok(headers['retry-after'])
})

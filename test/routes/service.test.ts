import { type AddressInfo, connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { Metrics } from '../../src/telemetry/metrics.ts'
import { echo, gateStep, startApi } from './api.ts'

const api = await startApi(t)

t.test('live is 200 while the process runs; ready only while the engine does', async (t) => {
  const api = await startApi(t)
  t.same((await api.call('GET', '/health/live')).body, { status: 'ok', reasons: [] })
  t.match(await api.call('GET', '/health/ready'), { status: 200, body: { status: 'ok', reasons: [] } })
  await api.engine.stop()
  t.match(await api.call('GET', '/health/live'), { status: 200 })
  const { status, body } = await api.call('GET', '/health/ready')
  t.equal(status, 503)
  t.equal(body.status, 'unavailable')
  t.ok(body.reasons.length > 0)
})

t.test('an engine that has stopped takes nothing: 503', async (t) => {
  const api = await startApi(t)
  const { id: workflowId } = await api.workflow([echo('a')])
  await api.engine.stop()
  const { status, headers, body } = await api.call('POST', '/api/workflows/executions', { body: { workflowId } })
  t.equal(status, 503)
  t.equal(body.code, 'DATABASE_UNAVAILABLE')
  t.ok(headers['retry-after'])
})

t.test('metrics are those that the process has; without any there are none', async (t) => {
  t.match(await api.call('GET', '/metrics'), { status: 404, body: { code: 'ROUTE_NOT_FOUND' } })
  const measured = await startApi(t, { metrics: new Metrics() })
  const answer = await measured.app.inject('/metrics')
  t.match(answer.body, /^# HELP cairn_/)
  t.match(answer.headers['content-type'], /^text\/plain/)
  t.ok(answer.headers['x-request-id'])
})

t.test('every answer carries a request id: the sane one that came, or a new one', async (t) => {
  const idOf = async (url: string, headers = {}) => (await api.call('GET', url, { headers })).headers['x-request-id']
  t.equal(await idOf('/health/live', { 'x-request-id': 'mine-1' }), 'mine-1')
  for (const bad of ['', 'a b', 'x'.repeat(200), 'ä'])
    t.match(await idOf('/health/live', { 'x-request-id': bad }), /^[0-9a-f-]{36}$/)
  for (const url of ['/nowhere', '/api/workflows/%zz', '/openapi.json', '/docs/errors']) {
    t.match((await api.app.inject(url)).headers['x-request-id'], /^[0-9a-f-]{36}$/, url)
  }
})

t.test('a correlation id is answered, also in problems; one that is too long is refused', async (t) => {
  const { headers, body } = await api.call('GET', '/api/workflows/x', { headers: { 'x-correlation-id': 'order 7' } })
  t.equal(headers['x-correlation-id'], 'order 7')
  t.equal(body.correlationId, 'order 7')
  t.match(await api.call('GET', '/health/live', { headers: { 'x-correlation-id': 'x'.repeat(201) } }), {
    status: 422,
    body: { errors: [{ pointer: '/x-correlation-id' }] },
  })
})

t.test('an unknown route is 404, whatever the method', async (t) => {
  for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']) {
    t.match(
      await api.call(method, '/nowhere'),
      { status: 404, body: { code: 'ROUTE_NOT_FOUND', instance: '/nowhere' } },
      method,
    )
  }
})

t.test('an address that does not take the method is 405 and says what it takes', async (t) => {
  const id = '0199f3a8-7c1e-7d3a-9b52-0c8e4f6a1d27'
  const refused = [
    ['DELETE', '/health/live', 'GET, HEAD'],
    ['POST', `/api/workflows/executions/${id}`, 'GET, HEAD, PATCH'],
    ['PATCH', `/api/workflows/${id}?x=1`, 'DELETE, GET, HEAD, PUT'],
    ['PUT', '/api/workflows', 'GET, HEAD, POST'],
    ['GET', `/api/workflows/executions/${id}/signals/go`, 'POST'],
    ['POST', `/api/workflows/executions/${id}/stream`, 'GET, HEAD'],
  ] as const
  for (const [method, url, allow] of refused) {
    const { status, headers, body } = await api.call(method, url)
    t.match({ status, allow: headers.allow, code: body.code }, { status: 405, allow, code: 'METHOD_NOT_ALLOWED' }, url)
  }
  t.match(await api.call('POST', `/api/workflows/executions/${id}/nowhere`), { status: 404 })
})

t.test('a problem says nothing of what went wrong inside, but its id, which the log has', async (t) => {
  const lines: string[] = []
  const { pino } = await import('pino')
  const api = await startApi(t, { logger: pino({ level: 'info' }, { write: (line: string) => void lines.push(line) }) })
  api.engine.getProgress = async () => {
    throw new Error('the password is hunter2')
  }
  const url = '/api/workflows/executions/0199f3a8-7c1e-7d3a-9b52-0c8e4f6a1d27/progress'
  const { status, body } = await api.call('GET', url)
  t.equal(status, 500)
  t.equal(body.code, 'INTERNAL')
  t.notMatch(JSON.stringify(body), /hunter2/)
  const line = lines.find((text) => text.includes(body.errorId))
  t.match(line, /hunter2/)
})

t.test('what is no request for a route, or none at all, is answered with a problem as well', async (t) => {
  const api = await startApi(t)
  await api.app.listen({ port: 0 })
  const { port } = api.app.server.address() as AddressInfo
  const refused = [
    ['NONSENSE\r\n\r\n', 400, 'HTTP_INVALID', /Invalid method/],
    ['GET /x HTTP/1.1\r\nhost: a\r\nbad header\r\n\r\n', 400, 'HTTP_INVALID', /valid HTTP/],
    ['GET /health/live HTTP/1.1\r\nconnection: close\r\n\r\n', 400, 'HTTP_INVALID', /Host is missing/],
    [`GET /x HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`, 431, 'HEADERS_TOO_LARGE', /16384 bytes/],
    [
      'POST /x?y HTTP/1.1\r\nhost: a\r\nexpect: tea\r\nx-request-id: mine\r\n\r\n',
      417,
      'EXPECTATION_FAILED',
      /Expect: tea/,
    ],
  ] as const
  for (const [request, status, code, detail] of refused) {
    const answer = await exchange(port, request)
    const [head = '', body = ''] = answer.split('\r\n\r\n')
    t.match(head, new RegExp(`^HTTP/1.1 ${status} `), answer)
    t.match(head, /^content-type: application\/problem\+json/im)
    t.match(head, code === 'EXPECTATION_FAILED' ? /^x-request-id: mine/im : /^x-request-id: [0-9a-f-]{36}/im)
    t.match(JSON.parse(body), { code, status, detail, errorId: String, correlationId: null })
    if (code === 'EXPECTATION_FAILED') t.equal(JSON.parse(body).instance, '/x')
  }
})

t.test('a compressed body is refused with what it was', async (t) => {
  t.match(
    await api.call('POST', '/api/workflows', { rawBody: gzipSync('{}'), headers: { 'content-encoding': 'gzip' } }),
    {
      status: 415,
      body: { code: 'MEDIA_TYPE_UNSUPPORTED', detail: /compressed \(content-encoding: gzip\)/ },
    },
  )
  t.match(await api.call('POST', '/api/workflows', { body: {}, headers: { 'content-encoding': 'identity' } }), {
    status: 422,
  })
})

t.test('/docs shows the routes and /docs/errors every error', async (t) => {
  const page = await api.app.inject('/docs')
  t.equal(page.statusCode, 200)
  t.match(page.headers['content-type'], /text\/html/)
  const { body } = await api.call('GET', '/api/workflows/x')
  const errors = await api.app.inject(body.type.split('#')[0])
  t.equal(errors.statusCode, 200)
  t.match(errors.body, `id="${body.type.split('#')[1]}"`)
})

t.test('a server that closes refuses new requests, answers those that wait, and is gone at once', async (t) => {
  t.setTimeout(30_000)
  const api = await startApi(t)
  const { id: workflowId } = await api.workflow([gateStep('never')])
  await api.app.listen({ port: 0 })
  const { port } = api.app.server.address() as AddressInfo
  const { body } = await api.call('POST', '/api/workflows/executions', { body: { workflowId } })
  await api.gate('never').reached
  const waiting = await beginRequest(port, `/api/workflows/executions/${body.id}?waitMs=60000`)
  waiting.finish()
  // Requests that have begun: the server may not cut their connections off.
  const late = await beginRequest(port, '/api/workflows')
  const health = await beginRequest(port, '/health/ready')
  const stuck = await beginRequest(port, '/health/live')
  t.equal((await fetch(`http://127.0.0.1:${port}/health/live`)).status, 200)
  api.app.stopping.addEventListener('abort', () => {
    late.finish()
    health.finish()
  })
  await api.app.close()
  t.match(await waiting.answer, /^HTTP\/1.1 200 .*"status":"running"/s)
  t.match(await late.answer, /^HTTP\/1.1 503 .*connection: close.*ENGINE_STOPPING/is)
  t.match(await health.answer, /^HTTP\/1.1 503 .*the server is stopping/s)
  t.equal(await stuck.answer, '', 'a request that never comes to its end is cut off')
})

/** What the server writes until it ends the connection. */
async function exchange(port: number, request: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(request)
  return (await socket.setEncoding('utf8').toArray()).join('')
}

/** A request of which all but the last line has been sent. */
async function beginRequest(port: number, path: string): Promise<{ finish(): void; answer: Promise<string> }> {
  const socket = connect(port, '127.0.0.1')
  const answer = socket.setEncoding('utf8').toArray()
  const sent = Promise.withResolvers<unknown>()
  socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n`, sent.resolve)
  await sent.promise
  return { finish: () => void socket.write('\r\n'), answer: answer.then((chunks) => chunks.join('')) }
}

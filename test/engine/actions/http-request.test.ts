import { once } from 'node:events'
import { createServer } from 'node:net'
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import t, { type Test } from 'tap'
import type { JsonObject } from '../../../src/definition/json.ts'
import type { HttpOptions } from '../../../src/engine/actions/http-connections.ts'
import { createHttpRequest } from '../../../src/engine/actions/http-request.ts'
import { Secrets } from '../../../src/engine/secrets.ts'
import { freePort } from '../../harness/free-port.ts'
import { attempt, contextOf, failure } from './attempt.ts'
import { listen, sendJson } from './loopback.ts'

const open = (t: Test, options: HttpOptions = { allowPrivateNetwork: true }, secrets = new Secrets()) => {
  const { action, close } = createHttpRequest({ ...options, secrets, maxBytes: 1_048_576 })
  t.teardown(close)
  return action
}

t.test('the output is the parsed body, the rest is meta', async (t) => {
  const server = await listen(t, (_, response) => {
    response.setHeader('x-total', '2').setHeader('set-cookie', ['a=1', 'b=2'])
    sendJson(response, [{ id: 1 }, { id: 2 }])
  })
  const { output, meta } = await attempt(open(t), { url: `${server.url}/data?a=1` })
  t.same(output, [{ id: 1 }, { id: 2 }])
  t.match(meta, {
    status: 200,
    url: `${server.url}/data?a=1`,
    headers: { 'x-total': '2', 'set-cookie': ['a=1', 'b=2'] },
    durationMs: Number,
  })
})

t.test('what is sent: method, query, headers, JSON body, correlation, trace and idempotency', async (t) => {
  const server = await listen(t, (_, response) => response.end())
  await attempt(open(t), {
    url: `${server.url}/orders?fixed=1`,
    method: 'POST',
    query: { text: 'a b&c', list: [1, 'x'], flag: true, none: null },
    headers: { 'X-Number': 7, 'X-None': null },
    body: { sum: 1.5, of: ['ä'] },
  })
  const [request] = server.received
  t.match(request, {
    method: 'POST',
    url: '/orders?fixed=1&text=a+b%26c&list=1&list=x&flag=true',
    body: '{"sum":1.5,"of":["ä"]}',
    headers: {
      'content-type': 'application/json',
      'user-agent': 'cairn',
      'x-number': '7',
      'x-correlation-id': 'correlation-1',
      traceparent: /^00-/,
      'idempotency-key': contextOf().idempotencyKey,
    },
  })
  t.notOk('x-none' in (request?.headers ?? {}))
})

t.test('safe methods carry no Idempotency-Key; the one that a definition sets itself stays', async (t) => {
  const server = await listen(t, (_, response) => response.end())
  const http = open(t)
  await attempt(http, { url: server.url, headers: { 'Idempotency-Key': 'mine' }, method: 'PUT' })
  await attempt(http, { url: server.url }, { correlationId: null, traceparent: undefined })
  t.equal(server.received[0]?.headers['idempotency-key'], 'mine')
  for (const name of ['idempotency-key', 'x-correlation-id', 'traceparent'])
    t.notOk(server.received[1]?.headers[name], name)
})

t.test('a correlation id that cannot stand in a header does not stop the request', async (t) => {
  const server = await listen(t, (_, response) => response.end())
  const http = open(t)
  for (const correlationId of ['a\r\nx-injected: b', 'größe', ''])
    await attempt(http, { url: server.url }, { correlationId })
  for (const { headers } of server.received)
    t.same([headers['x-correlation-id'], headers['x-injected']], [undefined, undefined])
})

t.test('a string is sent as it is, an object as a form when its content type says so', async (t) => {
  const server = await listen(t, (_, response) => response.end())
  const http = open(t)
  await attempt(http, { url: server.url, method: 'POST', body: '<a/>', headers: { 'Content-Type': 'application/xml' } })
  await attempt(http, { url: server.url, method: 'POST', body: 'plain' })
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  await attempt(http, {
    url: server.url,
    method: 'POST',
    headers: form,
    body: { grant_type: 'x y', scope: ['a', 'b'] },
  })
  t.match(server.received, [
    { body: '<a/>', headers: { 'content-type': 'application/xml' } },
    { body: 'plain', headers: { 'content-type': 'text/plain; charset=utf-8' } },
    { body: 'grant_type=x+y&scope=a&scope=b' },
  ])
})

t.test('the three kinds of auth', async (t) => {
  const server = await listen(t, (_, response) => response.end())
  const http = open(t)
  for (const auth of [
    { type: 'bearer', token: 'tok' },
    { type: 'basic', username: 'ü', password: 'p:w' },
    { type: 'header', name: 'X-Api-Key', value: 'k' },
  ]) {
    await attempt(http, { url: server.url, auth })
  }
  t.match(
    server.received.map(({ headers }) => headers),
    [
      { authorization: 'Bearer tok' },
      { authorization: `Basic ${Buffer.from('ü:p:w').toString('base64')}` },
      { 'x-api-key': 'k' },
    ],
  )
})

t.test('how a body is parsed', async (t) => {
  const answers: Record<string, [contentType: string, body: string | Buffer]> = {
    '/problem': ['application/problem+json; charset=utf-8', '{"a":1}'],
    '/text': ['text/plain', '{"a":1}'],
    '/latin': ['text/plain; charset=iso-8859-1', Buffer.from([0xe4])],
    '/odd-charset': ['text/plain; charset=klingon', 'x'],
    '/bytes': ['application/octet-stream', Buffer.from([0, 255, 1])],
    '/empty': ['application/json', ''],
    '/bom': ['application/json', '\ufeff[1]'],
  }
  const server = await listen(t, ({ url }, response) => {
    const [type, body] = answers[url] ?? ['', '']
    response.setHeader('content-type', type).end(body)
  })
  const http = open(t)
  const output = async (path: string, parse?: string) =>
    (await attempt(http, { url: server.url + path, ...(parse && { parse }) })).output
  t.same(await output('/problem'), { a: 1 })
  t.equal(await output('/text'), '{"a":1}')
  t.same(await output('/text', 'json'), { a: 1 })
  t.equal(await output('/problem', 'text'), '{"a":1}')
  t.equal(await output('/latin'), 'ä')
  t.equal(await output('/odd-charset'), 'x')
  t.equal(await output('/bytes', 'base64'), 'AP8B')
  t.equal(await output('/empty'), null)
  t.equal(await output('/empty', 'text'), '')
  t.same(await output('/bom'), [1])
})

t.test('compressed answers are decompressed, whatever the encoding', async (t) => {
  const encodings = { gzip: gzipSync, deflate: deflateSync, br: brotliCompressSync, zstd: zstdCompressSync }
  const server = await listen(t, ({ url }, response) => {
    const name = url.slice(1) as keyof typeof encodings
    response.writeHead(200, { 'content-encoding': name, 'content-type': 'application/json' })
    response.end(encodings[name]('{"a":1}'))
  })
  const http = open(t)
  for (const name of Object.keys(encodings)) {
    t.same((await attempt(http, { url: `${server.url}/${name}` })).output, { a: 1 }, name)
  }
  t.equal(
    (await attempt(http, { url: `${server.url}/gzip`, method: 'HEAD' })).output,
    null,
    'a HEAD has no body to decompress',
  )
})

t.test('a body larger than allowed fails, decompressed size counting', async (t) => {
  const server = await listen(t, ({ url }, response) => {
    if (url === '/bomb')
      return response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(2_000_000)))
    if (url === '/endless')
      return void setImmediate(function more() {
        if (!response.destroyed) response.write('x'.repeat(65_536), () => setImmediate(more))
      })
    response.end('x'.repeat(100))
  })
  const http = open(t)
  t.match(await failure(http, { url: `${server.url}/bomb` }), {
    type: 'PayloadTooLarge',
    retryable: false,
    details: { status: 200 },
  })
  t.match(await failure(http, { url: `${server.url}/endless` }), { type: 'PayloadTooLarge' })
  t.match(await failure(http, { url: server.url, maxResponseBytes: 99 }), { type: 'PayloadTooLarge' })
  t.equal((await attempt(http, { url: server.url, maxResponseBytes: 100 })).output, 'x'.repeat(100))
})

t.test('statuses become typed failures, retryable where another attempt may help', async (t) => {
  const server = await listen(t, ({ url }, response) =>
    sendJson(response, { why: url }, Number.parseInt(url.slice(1), 10)),
  )
  const http = open(t)
  for (const [status, type, retryable] of [
    [304, 'HttpError', false],
    [400, 'Http4xx', false],
    [404, 'Http4xx', false],
    [408, 'Http4xx', true],
    [425, 'Http4xx', true],
    [429, 'Http4xx', true],
    [500, 'Http5xx', true],
    [503, 'Http5xx', true],
  ] as const) {
    t.match(
      await failure(http, { url: `${server.url}/${status}` }),
      { type, retryable, details: { status } },
      `${status}`,
    )
  }
  t.match(
    await failure(http, { url: `${server.url}/404?key=hidden` }).then(({ message }) => message),
    /^GET http:\S+\/404 answered 404$/,
  )
})

t.test('expectedStatus says what is a success', async (t) => {
  const server = await listen(t, ({ url }, response) => sendJson(response, { url }, Number.parseInt(url.slice(1), 10)))
  const http = open(t)
  const { output, meta } = await attempt(http, { url: `${server.url}/404`, expectedStatus: [404, '2xx'] })
  t.same(output, { url: '/404' })
  t.equal(meta?.status, 404)
  t.match(await failure(http, { url: `${server.url}/201`, expectedStatus: [200] }), {
    type: 'HttpError',
    details: { status: 201 },
  })
  t.match(await failure(http, { url: server.url, expectedStatus: ['20x'] }), { type: 'ValidationError' })
})

t.test('Retry-After of 429 and 503 is told in ms', async (t) => {
  const server = await listen(t, ({ url }, response) => {
    const [, status, after] = url.split('/')
    response.writeHead(Number(status), { 'retry-after': decodeURIComponent(after ?? '') }).end()
  })
  const http = open(t)
  const wait = async (path: string) => (await failure(http, { url: server.url + path })).details?.retryAfterMs
  t.equal(await wait('/429/7'), 7_000)
  t.equal(await wait(`/503/${encodeURIComponent(new Date(0).toUTCString())}`), 0)
  t.ok(Number(await wait(`/503/${encodeURIComponent(new Date(Date.now() + 3_600_000).toUTCString())}`)) > 3_000_000)
  t.equal(await wait('/503/soon'), undefined)
  t.equal(await wait('/500/7'), undefined)
})

t.test('the excerpt of an unwelcome body holds no secret, not even half of one', async (t) => {
  const secret = 'hunter-second-hand'
  const server = await listen(t, ({ url }, response) => {
    response.writeHead(url === '/json' ? 200 : 400, { 'content-type': 'application/json' })
    response.end(`${'x'.repeat(1_990)}${secret}`)
  })
  const http = open(t, { allowPrivateNetwork: true }, new Secrets({ S: secret }))
  for (const path of ['/', '/json']) {
    const { details, message } = await failure(http, { url: server.url + path })
    t.equal(details?.body, `${'x'.repeat(1_990)}[redacted]`, path)
    t.notMatch(message, /hunter/)
  }
})

t.test('an answer that says JSON and is none is an HttpError', async (t) => {
  const server = await listen(t, (_, response) => response.setHeader('content-type', 'application/json').end('{"a":'))
  t.match(await failure(open(t), { url: server.url }), {
    type: 'HttpError',
    retryable: false,
    message: /is not valid JSON/,
    details: { status: 200, body: '{"a":' },
  })
})

t.test('an answer nested so deeply that nothing could walk it is an HttpError', async (t) => {
  const server = await listen(t, (_, response) => response.end(`${'['.repeat(400_000)}${']'.repeat(400_000)}`))
  t.match(await failure(open(t), { url: server.url, parse: 'json' }), {
    type: 'HttpError',
    message: /nested too deeply/,
  })
})

t.test('connections that fail are retryable and tell the system code', async (t) => {
  const server = await listen(t, ({ url }, response) => {
    if (url === '/half')
      return response.writeHead(200, { 'content-length': '10' }).write('half', () => response.destroy())
    response.destroy()
  })
  const http = open(t)
  t.match(await failure(http, { url: `http://127.0.0.1:${await freePort()}` }), {
    type: 'ConnectionError',
    retryable: true,
    cause: { type: 'ECONNREFUSED' },
  })
  t.match(await failure(http, { url: 'http://no-such-host.invalid/' }), {
    type: 'ConnectionError',
    cause: { type: /ENOTFOUND|EAI_AGAIN/ },
  })
  t.match(await failure(http, { url: server.url }), {
    type: 'ConnectionError',
    retryable: true,
    cause: { type: 'UND_ERR_SOCKET' },
  })
  t.match(await failure(http, { url: `${server.url}/half` }), { type: 'ConnectionError', retryable: true })
})

t.test('what answers without speaking HTTP is an HttpError', async (t) => {
  const server = createServer((socket) => socket.end('SSH-2.0-OpenSSH\r\n\r\n')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as { port: number }
  t.match(await failure(open(t), { url: `http://127.0.0.1:${port}` }), {
    type: 'HttpError',
    cause: { type: /^HPE_|HTTPParserError/ },
  })
})

t.test('a server that stays silent is a TimeoutError', async (t) => {
  const server = await listen(t, () => {})
  t.match(await failure(open(t), { url: server.url, idleTimeoutMs: 50 }), { type: 'TimeoutError', retryable: true })
})

t.test(
  'an abort ends a request that waits, and one whose body is being read, with the reason of the abort',
  async (t) => {
    const reason = new Error('the step timed out')
    for (const path of ['/silent', '/slow-body', '/slow-error']) {
      const abort = new AbortController()
      const closed = Promise.withResolvers<void>()
      const server = await listen(t, ({ url }, response) => {
        response.on('close', () => closed.resolve())
        if (url !== '/silent') response.writeHead(url === '/slow-error' ? 500 : 200).write('begin')
        setImmediate(() => abort.abort(reason))
      })
      await t.rejects(attempt(open(t), { url: server.url + path }, { signal: abort.signal }), reason, path)
      await closed.promise
    }
    await t.rejects(attempt(open(t), { url: 'http://127.0.0.1:9' }, { signal: AbortSignal.abort(reason) }), reason)
  },
)

t.test('whether it may perform is asked when the socket is there, and nothing is sent when it may not', async (t) => {
  const server = await listen(t, (_, response) => response.end())
  const http = open(t)
  const refusal = new Error('the lease is over')
  const refuse = () => {
    throw refusal
  }
  await t.rejects(attempt(http, { url: server.url, method: 'POST' }, { mayPerform: refuse }), refusal)
  let asked = 0
  await attempt(http, { url: server.url }, { mayPerform: () => void asked++ })
  t.equal(asked, 1)
  t.equal(server.received.length, 1, 'only the second request came')
})

t.test('configs that make no request are refused before anything is sent', async (t) => {
  const http = open(t)
  for (const config of [
    { url: 'data.csv' },
    { url: 'ftp://127.0.0.1/x' },
    { url: 'file:///etc/passwd' },
    { url: 'http://user:pw@127.0.0.1/' },
    { url: 'http://127.0.0.1:9', headers: { Host: 'other' } },
    { url: 'http://127.0.0.1:9', headers: { 'Transfer-Encoding': 'chunked' } },
    { url: 'http://127.0.0.1:9', headers: { 'Content-Length': 5 } },
    { url: 'http://127.0.0.1:9', headers: { 'X-Split': 'a\r\nX-Injected: b' } },
    { url: 'http://127.0.0.1:9', headers: { 'not a name': 'x' } },
    { url: 'http://127.0.0.1:9', auth: { type: 'header', name: 'Host', value: 'other' } },
    { url: 'http://127.0.0.1:9', auth: { type: 'bearer' } },
    { url: 'http://127.0.0.1:9', method: 'CONNECT' },
    { url: 'http://127.0.0.1:9', retries: 3 },
  ]) {
    t.match(await failure(http, config), { type: 'ValidationError', retryable: false }, JSON.stringify(config))
  }
})

t.test('what is written so that no attempt could be made is a fault of the definition', async (t) => {
  const faultsOf = (config: JsonObject) => open(t).conflicts!(config, 'at_least_once')
  t.match(faultsOf({ url: 'data.csv' }), [{ pointer: '/url', message: 'is not an absolute URL' }])
  t.match(faultsOf({ url: 'ftp://a/x' }), [{ pointer: '/url', message: /begins with ftp:/ }])
  t.match(faultsOf({ url: 'http://user:pw@a/' }), [
    { pointer: '/url', message: /holds a user or a password; use auth/ },
  ])
  t.match(faultsOf({ url: 'http://a', headers: { Host: 'b', te: null, 'Proxy-A/b': 'c' } }), [
    { pointer: '/headers/Host', message: /is set by Cairn/ },
    { pointer: '/headers/Proxy-A~1b' },
  ])
  for (const url of ['http://a/\\{{', 'HTTPS://a', '{{ input.scheme }}://a', 'ftp{{ input.rest }}', 5])
    t.same(faultsOf({ url, headers: '{{ input.headers }}' }), [], String(url))
})

t.test('closing ends what is under way', async (t) => {
  const { action, close } = createHttpRequest({
    allowPrivateNetwork: true,
    secrets: new Secrets(),
    maxBytes: 1_048_576,
  })
  const server = await listen(t, () => close())
  t.match(await failure(action, { url: server.url }), { type: 'ConnectionError' })
})

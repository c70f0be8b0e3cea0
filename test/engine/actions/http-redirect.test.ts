import t, { type Test } from 'tap'
import { redirected } from '../../../src/engine/actions/http-exchange.ts'
import { createHttpRequest } from '../../../src/engine/actions/http-request.ts'
import { Secrets } from '../../../src/engine/secrets.ts'
import { attempt, failure } from './attempt.ts'
import { listen } from './loopback.ts'

const open = (t: Test) => {
  const { action, close } = createHttpRequest({
    allowPrivateNetwork: true,
    secrets: new Secrets(),
    maxBytes: 1_048_576,
  })
  t.teardown(close)
  return action
}

t.test('redirects are followed to the end; meta tells where that was', async (t) => {
  const server = await listen(t, ({ url }, response) => {
    const left = Number(url.slice(1))
    if (left > 0) response.writeHead(302, { location: `${left - 1}` }).end('moved')
    else response.end('here')
  })
  const http = open(t)
  const { output, meta } = await attempt(http, { url: `${server.url}/5` })
  t.equal(output, 'here')
  t.equal(meta?.url, `${server.url}/0`)
  t.match(await failure(http, { url: `${server.url}/6` }), { type: 'HttpError', message: /More than 5 redirects/ })
  t.match(await failure(http, { url: `${server.url}/1`, followRedirects: 0 }), {
    type: 'HttpError',
    details: { status: 302 },
  })
  t.match(await attempt(http, { url: `${server.url}/1`, expectedStatus: [302] }), {
    output: 'moved',
    meta: { status: 302 },
  })
})

t.test('a redirect that leads nowhere, or out of HTTP, is the answer itself', async (t) => {
  const server = await listen(t, ({ url }, response) => {
    if (url === '/file') response.setHeader('location', 'file:///etc/passwd')
    if (url === '/bad') response.setHeader('location', 'http://[')
    response.writeHead(302).end()
  })
  const http = open(t)
  for (const path of ['/none', '/file', '/bad']) {
    t.match(await failure(http, { url: server.url + path }), { type: 'HttpError', details: { status: 302 } }, path)
  }
})

t.test('to another origin goes nothing that could authorize; within the origin all of it goes', async (t) => {
  const other = await listen(t, (_, response) => response.end('other'))
  const server = await listen(t, ({ url }, response) => {
    if (url === '/away') response.writeHead(307, { location: `${other.url}/` }).end()
    else if (url === '/within') response.writeHead(307, { location: '/end' }).end()
    else response.end('same')
  })
  const http = open(t)
  const config = {
    method: 'POST',
    body: { a: 1 },
    headers: { Cookie: 'session=1', 'X-Api-Key': 'k', 'Accept-Language': 'de' },
    auth: { type: 'bearer', token: 'tok' },
  }
  await attempt(http, { ...config, url: `${server.url}/within` })
  t.match(server.received[1], {
    method: 'POST',
    body: '{"a":1}',
    headers: { authorization: 'Bearer tok', cookie: 'session=1', 'x-api-key': 'k' },
  })
  await attempt(http, { ...config, url: `${server.url}/away` })
  const [arrived] = other.received
  t.match(arrived, {
    method: 'POST',
    body: '{"a":1}',
    headers: { 'accept-language': 'de', 'content-type': 'application/json', 'idempotency-key': /./, traceparent: /./ },
  })
  for (const name of ['authorization', 'cookie', 'x-api-key']) t.notOk(arrived?.headers[name], name)
})

t.test('which method and body a redirect asks for', async (t) => {
  const headers = { 'content-type': 'text/plain', accept: '*/*' }
  const target = new URL('http://h/b')
  const ask = (method: string, status: number) =>
    redirected({ method, url: new URL('http://h/a'), headers, body: 'x' }, status, target)
  for (const [method, status, expected] of [
    ['POST', 301, 'GET'],
    ['POST', 302, 'GET'],
    ['POST', 303, 'GET'],
    ['PUT', 303, 'GET'],
    ['PUT', 302, 'PUT'],
    ['POST', 307, 'POST'],
    ['POST', 308, 'POST'],
    ['HEAD', 303, 'HEAD'],
  ] as const) {
    const next = ask(method, status)
    t.equal(next.method, expected, `${method} ${status}`)
    const dropped = expected === 'GET'
    t.equal(next.body, dropped ? undefined : 'x')
    t.equal('content-type' in next.headers, !dropped)
  }
})

t.test('whether it may perform is asked again at each redirect', async (t) => {
  const server = await listen(t, (_, response) => response.writeHead(302, { location: '/next' }).end())
  const refusal = new Error('the lease is over')
  let asked = 0
  const onlyOnce = () => {
    if (++asked > 1) throw refusal
  }
  await t.rejects(attempt(open(t), { url: server.url }, { mayPerform: onlyOnce }), refusal)
  t.equal(server.received.length, 1)
})

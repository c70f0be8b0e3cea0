import t, { type Test } from 'tap'
import { type HttpOptions, isPublicAddress } from '../../../src/engine/actions/http-connections.ts'
import { createHttpRequest } from '../../../src/engine/actions/http-request.ts'
import { Secrets } from '../../../src/engine/secrets.ts'
import { attempt, failure } from './attempt.ts'
import { listen } from './loopback.ts'

const open = (t: Test, options: HttpOptions = {}) => {
  const { action, close } = createHttpRequest({ ...options, secrets: new Secrets(), maxBytes: 1_048_576 })
  t.teardown(close)
  return action
}
const blocked = { type: 'ConnectionError', retryable: false, details: { reason: 'private_network' } }

/** Hosts that end on this machine or its network, in every notation that URLs know. */
const tricks = [
  '127.0.0.1',
  '127.1',
  '127.0.1',
  '2130706433',
  '0x7f000001',
  '0x7f.1',
  '0177.0.0.1',
  '017700000001',
  '127.0.0.1.',
  'localhost',
  'LOCALHOST',
  '１２７.0.0.1',
  '127。0。0。1',
  'ⓛⓞⓒⓐⓛⓗⓞⓢⓣ',
  '0',
  '0.0.0.0',
  '[::]',
  '[::1]',
  '[0:0:0:0:0:0:0:1]',
  '[::ffff:127.0.0.1]',
  '[::ffff:7f00:1]',
  '[::127.0.0.1]',
  '[64:ff9b::7f00:1]',
  '[2002:7f00:1::]',
  '[2001:0:7f00:1::]',
  '10.0.0.1',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.1.1',
  '169.254.169.254',
  '100.64.0.1',
  '192.0.0.1',
  '192.0.2.1',
  '198.18.0.1',
  '198.51.100.1',
  '203.0.113.1',
  '224.0.0.1',
  '240.0.0.1',
  '255.255.255.255',
  '[fe80::1]',
  '[fec0::1]',
  '[fc00::1]',
  '[fd12:3456::1]',
  '[ff02::1]',
  '[2001:db8::1]',
  '[::ffff:10.0.0.1]',
  '[::ffff:169.254.169.254]',
  '[::ffff:0:127.0.0.1]',
  '[100::1]',
]

t.test('no notation of a private address gets a connection', async (t) => {
  const server = await listen(t, (_, response) => response.end())
  const http = open(t)
  for (const host of tricks) t.match(await failure(http, { url: `http://${host}:${server.port}/` }), blocked, host)
  t.equal(server.received.length, 0)
})

t.test('https is held to the same rule', async (t) => {
  t.match(await failure(open(t), { url: 'https://127.0.0.1/' }), blocked)
  t.match(await failure(open(t), { url: 'https://localhost/' }), blocked)
})

t.test('a redirect to a private address is blocked, also from a host that is allowed', async (t) => {
  const inside = await listen(t, (_, response) => response.end())
  for (const target of [inside.url, `http://localhost:${inside.port}`, `http://[::ffff:127.0.0.1]:${inside.port}`]) {
    const server = await listen(t, (_, response) => response.writeHead(302, { location: target }).end())
    t.match(await failure(open(t, { allowedHosts: [server.host] }), { url: server.url }), blocked, target)
  }
  t.equal(inside.received.length, 0)
})

t.test('an allowed host is allowed with its port and under its name only', async (t) => {
  const server = await listen(t, (_, response) => response.end('in'))
  const http = open(t, { allowedHosts: [`LocalHost:${server.port}`, '[::1]:80'] })
  t.equal((await attempt(http, { url: `http://localhost:${server.port}` })).output, 'in')
  t.match(await failure(http, { url: server.url }), blocked, 'the same server by its address')
  t.match(await failure(http, { url: `http://localhost:${server.port + 1}` }), blocked, 'another port')
})

t.test('an entry of allowedHosts covers the default port when the URL leaves it out', async (t) => {
  const http = open(t, { allowedHosts: ['127.0.0.1:80', '127.0.0.1:443', '[::1]:80'] })
  for (const url of ['http://127.0.0.1/', 'https://127.0.0.1/', 'http://[::1]/']) {
    t.match((await failure(http, { url })).details ?? {}, { reason: undefined }, url)
  }
})

t.test('allowPrivateNetwork lifts the rule', async (t) => {
  const server = await listen(t, (_, response) => response.end('in'))
  t.equal((await attempt(open(t, { allowPrivateNetwork: true }), { url: server.url })).output, 'in')
})

t.test('addresses of the internet are public', async (t) => {
  for (const address of ['1.1.1.1', '93.184.216.34', '172.32.0.1', '2606:4700:4700::1111', '::ffff:8.8.8.8']) {
    t.equal(isPublicAddress(address), true, address)
  }
  for (const text of ['', 'example.com', '127.1', '1.1.1.1.']) t.equal(isPublicAddress(text), false, text)
})

/** Circuit breakers over REST: what is listed, what an operator sets. */
import t from 'tap'
import { startApi } from './api.ts'

const api = await startApi(t)
const set = (key: string, body: object) => api.call('PATCH', `/api/circuit-breakers/${key}`, { body })
const keys = async (query = '') => {
  const { body } = await api.call('GET', `/api/circuit-breakers${query}`)
  return { keys: body.items.map((item: { key: string }) => item.key), nextCursor: body.nextCursor }
}

t.test('an operator holds a circuit open or closed, or lets it be', async (t) => {
  t.match(await set('http:api.example.com', { mode: 'open', reason: 'maintenance' }), {
    status: 200,
    body: { key: 'http:api.example.com', mode: 'open', state: 'open', reason: 'maintenance', openedAt: null, trips: 0 },
  })
  t.match(await set('http:api.example.com', { mode: 'closed' }), {
    body: { mode: 'closed', state: 'closed', reason: null },
  })
  t.match(await set('http:api.example.com', { mode: 'auto' }), { body: { mode: 'auto', state: 'closed' } })
  t.match(await api.call('GET', '/api/circuit-breakers/http%3Aapi.example.com'), {
    status: 200,
    body: { key: 'http:api.example.com', mode: 'auto', state: 'closed', isProbed: false, error: null },
  })
})

t.test('circuits are listed by key, page by page', async (t) => {
  for (const key of ['agent:b', 'database:main', 'payments ä']) await set(encodeURIComponent(key), { mode: 'closed' })
  const all = ['agent:b', 'database:main', 'http:api.example.com', 'payments ä']
  t.same(await keys(), { keys: all, nextCursor: null })
  const first = await keys('?limit=3')
  t.same(first.keys, all.slice(0, 3))
  t.same(await keys(`?limit=3&cursor=${first.nextCursor}`), { keys: all.slice(3), nextCursor: null })
})

t.test('what is wrong is said', async (t) => {
  t.match(await api.call('GET', '/api/circuit-breakers/http:unknown'), {
    status: 404,
    body: { code: 'CIRCUIT_NOT_FOUND', detail: /PATCH sets any/ },
  })
  t.match(await set('http:a', { mode: 'ajar' }), { status: 422, body: { errors: [{ pointer: '/mode' }] } })
  t.match(await set('http:a', { mode: 'open', until: 1 }), { status: 422, body: { errors: [{ pointer: '/until' }] } })
  t.match(await set('http:a', { mode: 'open', reason: 'a\0' }), {
    status: 422,
    body: { errors: [{ pointer: '/reason' }] },
  })
  t.match(await api.call('GET', '/api/circuit-breakers?cursor=!'), { status: 422, body: { code: 'CURSOR_INVALID' } })
})

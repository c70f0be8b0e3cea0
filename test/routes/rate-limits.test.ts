/** Rate limits over REST: what is listed. */
import t from 'tap'
import { startApi } from './api.ts'

const api = await startApi(t)
const hour = 3_600_000
const step = {
  id: 'a',
  type: 'action',
  config: { type: 'echo' },
  rateLimit: { scope: 'crm', key: '{{ input.key }}', limit: 1, periodMs: hour },
}
const list = async (query = '') => {
  const { body } = await api.call('GET', `/api/rate-limits${query}`)
  return { keys: body.items.map((item: { key: string }) => item.key), nextCursor: body.nextCursor, items: body.items }
}

t.test('keys in use are listed with when they are free, page by page', async (t) => {
  t.match(await list(), { keys: [], nextCursor: null })
  const { id } = await api.workflow([step])
  for (const key of ['b', 'a', 'ü c']) await api.run(id, { key })
  const all = await list()
  t.same(all.keys, ['a', 'b', 'ü c'])
  const [first] = all.items
  t.match(first, { scope: 'shared:crm', limit: 1, periodMs: hour, burst: 1, lastGrantedAt: first.lastAskedAt })
  t.equal(Date.parse(first.nextFreeAt) - Date.parse(first.lastGrantedAt), hour)
  const page = await list('?limit=2')
  t.same(page.keys, ['a', 'b'])
  t.match(await list(`?limit=2&cursor=${page.nextCursor}`), { keys: ['ü c'], nextCursor: null })
  t.match(await list(`?key=${encodeURIComponent('ü c')}&scope=shared%3Acrm`), { keys: ['ü c'], nextCursor: null })
  t.match(await list('?scope=shared%3Aerp'), { keys: [] })
})

t.test('a step without a name to share is listed under its own, and is free again when its time is over', async (t) => {
  const { rateLimit: _, ...bare } = step
  const { id } = await api.workflow([{ ...bare, rateLimit: { limit: 1, periodMs: 1 } }])
  await api.run(id)
  const { items } = await list(`?scope=step:${id}/a`)
  t.match(items, [{ scope: `step:${id}/a`, key: '', nextFreeAt: null }])
})

t.test('a step that waits for its place says so in the progress', async (t) => {
  const { id } = await api.workflow([step])
  await api.run(id, { key: 'taken' })
  const { body } = await api.call('POST', '/api/workflows/executions', {
    body: { workflowId: id, input: { key: 'taken' } },
  })
  await api.event(body.id, 'execution.parked')
  const { body: progress } = await api.call('GET', `/api/workflows/executions/${body.id}/progress`)
  t.match(progress, { status: 'waiting', steps: [{ status: 'waiting', attempt: 0, error: { type: 'RateLimited' } }] })
  t.ok(progress.estimatedRemainingMs > hour / 2 && progress.estimatedRemainingMs <= hour, 'the estimate includes it')
})

t.test('what is wrong is said', async (t) => {
  t.match(await api.call('GET', '/api/rate-limits?cursor=!'), { status: 422, body: { code: 'CURSOR_INVALID' } })
  const foreign = Buffer.from('["a\\u0000","b"]').toString('base64url')
  t.match(await api.call('GET', `/api/rate-limits?cursor=${foreign}`), {
    status: 422,
    body: { code: 'CURSOR_INVALID' },
  })
  t.match(await api.call('GET', '/api/rate-limits?key=%00'), { status: 422, body: { errors: [{ pointer: '/key' }] } })
  const faulty = { ...step, rateLimit: { limit: 0, periodMs: 0, burst: 0 } }
  t.match(await api.call('POST', '/api/workflows', { body: { name: 'faulty', steps: [faulty] } }), {
    status: 422,
    body: { errors: ['limit', 'periodMs', 'burst'].map((field) => ({ pointer: `/steps/0/rateLimit/${field}` })) },
  })
})

/** Keys of `concurrency` over REST: who holds them and who waits. */
import t from 'tap'
import { until } from '../harness/condition.ts'
import { gateStep, newGate, startApi, unknownId } from './api.ts'

const api = await startApi(t)
t.setTimeout(120_000)

const list = async (query = '') => (await api.call('GET', `/api/concurrency${query}`)).body
const line = async (scope: string, query = '') =>
  (await api.call('GET', `/api/concurrency/${encodeURIComponent(scope)}${query}`)).body

/** Starts executions, each after the one before is in line; their ids. */
async function startAll(steps: readonly object[], inputs: readonly unknown[], definition = {}) {
  const { id: workflowId } = await api.workflow(steps, definition)
  const ids: string[] = []
  for (const input of inputs) {
    const { body } = await api.call('POST', '/api/workflows/executions', { body: { workflowId, input } })
    await api.event(body.id, 'concurrency' in definition ? 'execution.queued' : 'step.queued')
    ids.push(body.id)
  }
  return { workflowId, ids }
}
const keyed = (gate: string, concurrency: object) => ({ ...gateStep('work', gate), concurrency })
const ended = async (id: string) => (await api.call('GET', `/api/workflows/executions/${id}?waitMs=20000`)).body
const settled = (scope: string, held: number) =>
  until(`${held} hold ${scope}`, async () => {
    const { items } = await list(`?scope=${encodeURIComponent(scope)}`)
    return items.reduce((sum: number, item: { held: number }) => sum + item.held, 0) === held
  })

t.test('keys in use are listed with who holds them and how many wait', async (t) => {
  const gate = newGate()
  const { ids } = await startAll([keyed(gate, { scope: 'crm', key: '{{ input }}', limit: 2 })], ['b', 'a', 'b', 'b'])
  await settled('shared:crm', 3)
  const items = [
    {
      scope: 'shared:crm',
      key: 'a',
      limit: 2,
      held: 1,
      waiting: 0,
      holders: [{ executionId: ids[1], stepPath: 'work' }],
    },
    {
      ...{ scope: 'shared:crm', key: 'b', limit: 2, held: 2, waiting: 1 },
      holders: [{ executionId: ids[0] }, { executionId: ids[2] }],
    },
  ]
  t.match(await list(), { items, nextCursor: null })
  const first = await list('?limit=1')
  t.match(first.items, [items[0]])
  t.match(await list(`?limit=1&cursor=${first.nextCursor}`), { items: [items[1]], nextCursor: null })
  t.match(await list('?key=b&scope=shared:crm'), { items: [items[1]] })
  t.match(await list(`?executionId=${ids[3]}`), { items: [items[1]] })
  t.same(await list('?scope=shared:other'), { items: [], nextCursor: null })
  t.same(await list(`?executionId=${unknownId}`), { items: [], nextCursor: null })
  api.gate(gate).open()
  for (const id of ids) t.match(await ended(id), { status: 'completed' })
  await until('nobody uses it', async () => (await list()).items.length === 0)
})

t.test('a line is read in its order, page by page, the holders first', async (t) => {
  const gate = newGate()
  const { workflowId, ids } = await startAll([gateStep('work', gate)], ['k', 'k', 'k', 'k'], {
    concurrency: { key: '{{ input }}', limit: 1 },
  })
  const scope = `workflow:${workflowId}`
  // Who is more urgent goes before the first, too, as long as that has only asked.
  await settled(scope, 1)
  const urgent = await api.call('POST', '/api/workflows/executions', {
    body: { workflowId, input: 'k', priority: 5 },
  })
  await api.event(urgent.body.id, 'execution.queued')
  const whole = [ids[0], urgent.body.id, ids[1], ids[2], ids[3]]
  const seen: unknown[] = []
  for (let query: string | null = '?key=k&limit=2'; query !== null; ) {
    const { items, nextCursor } = await line(scope, query)
    seen.push(...items)
    query = nextCursor === null ? null : `?key=k&limit=2&cursor=${nextCursor}`
  }
  t.match(
    seen,
    whole.map((executionId, index) => ({
      ...{ executionId, stepPath: null, state: index === 0 ? 'held' : 'waiting' },
      ...{ onLimit: 'queue', isLeaving: false },
    })),
  )
  t.equal(seen.length, whole.length)
  t.same((await line(scope)).items, [], 'the empty key is another one')
  api.gate(gate).open()
  for (const id of whole) t.match(await ended(id), { status: 'completed' })
})

const rejecting = { concurrency: { key: '{{ input }}', limit: 2, onLimit: 'reject' } }
const begin = (body: object, key?: string) =>
  api.call('POST', '/api/workflows/executions', {
    body,
    headers: key === undefined ? {} : { 'idempotency-key': key },
  })
const stored = async (workflowId: string): Promise<string[]> => {
  const { body } = await api.call('GET', `/api/workflows/executions?workflowId=${workflowId}`)
  return body.items.map(({ id }: { id: string }) => id)
}

t.test('a start that would not wait has its slot, or is refused and leaves nothing behind', async (t) => {
  const gate = newGate()
  const { id: workflowId } = await api.workflow([gateStep('work', gate)], rejecting)
  const answers = await Promise.all(Array.from({ length: 6 }, () => begin({ workflowId, input: 'k' })))
  const started = answers.filter(({ status }) => status === 201).map(({ body }) => body.id)
  t.equal(started.length, 2, 'as many as the limit says, however many ask at once')
  for (const { status, body } of answers.filter(({ status }) => status !== 201)) {
    t.match({ status, body }, { status: 409, body: { code: 'CONCURRENCY_LIMIT', key: 'k', limit: 2 } })
    t.equal(body.scope, `workflow:${workflowId}`)
    t.match(body.detail, /"k" .* at most 2/)
    for (const holder of body.holders) t.ok(started.includes(holder))
  }
  const full = await begin({ workflowId, input: 'k' })
  t.same(full.body.holders.toSorted(), started.toSorted())
  t.same((await stored(workflowId)).sort(), started.toSorted())
  t.match(await begin({ workflowId, input: 'other' }), { status: 201 })
  api.gate(gate).open()
  for (const id of started) t.match(await ended(id), { status: 'completed' })
  const { status, body } = await begin({ workflowId, input: 'k' })
  t.equal(status, 201, 'a slot that is given back can be had at once')
  t.match(await ended(body.id), { status: 'completed' })
})

t.test('a start that is refused leaves its keys unused', async (t) => {
  const gate = newGate()
  const { id: workflowId } = await api.workflow([gateStep('work', gate)], {
    concurrency: { onLimit: 'reject' },
  })
  const first = await begin({ workflowId, executionKey: 'order-1' }, `first ${workflowId}`)
  t.equal(first.status, 201)
  t.match(await begin({ workflowId, executionKey: 'order-1' }, `first ${workflowId}`), {
    status: 200,
    body: { id: first.body.id },
  })
  const second = { workflowId, executionKey: 'order-2' }
  t.match(await begin(second, `second ${workflowId}`), { status: 409, body: { holders: [first.body.id] } })
  t.match(await begin({ workflowId, executionKey: 'order-1', conflictPolicy: 'use_existing' }), {
    status: 200,
    body: { id: first.body.id },
  })
  const third = await begin({ workflowId, executionKey: 'order-1', conflictPolicy: 'cancel_existing' })
  t.equal(third.status, 201, 'it takes the slot of the one that it cancels')
  t.match(await ended(first.body.id), { status: 'cancelled' })
  api.gate(gate).open()
  t.match(await ended(third.body.id), { status: 'completed' })
  const again = await begin(second, `second ${workflowId}`)
  t.equal(again.status, 201)
  t.match(await ended(again.body.id), { status: 'completed' })
  t.same((await stored(workflowId)).length, 3)
})

t.test('nothing is cancelled for a start that would be refused all the same', async (t) => {
  const gate = newGate()
  const { id: workflowId } = await api.workflow([gateStep('work', gate)], {
    concurrency: { key: '{{ input }}', onLimit: 'reject' },
  })
  const keyHolder = { workflowId, input: 'a', executionKey: 'order-1' }
  const { body: spared } = await begin(keyHolder)
  const { body: holder } = await begin({ workflowId, input: 'b' })
  const refused = await begin({ ...keyHolder, input: 'b', conflictPolicy: 'cancel_existing' })
  t.match(refused, { status: 409, body: { code: 'CONCURRENCY_LIMIT', key: 'b', holders: [holder.id] } })
  api.gate(gate).open()
  for (const id of [spared.id, holder.id]) t.match(await ended(id), { status: 'completed' })
})

t.test('a start of a later time asks then, and fails when it may not wait', async (t) => {
  const gate = newGate()
  const { id: workflowId } = await api.workflow([gateStep('work', gate)], { concurrency: { onLimit: 'reject' } })
  const { body: holder } = await begin({ workflowId })
  // Later by as much as a busy machine may take to hear of it.
  const later = await begin({ workflowId, startAt: new Date(Date.now() + 1_500).toISOString() })
  t.equal(later.status, 201)
  const error = { type: 'ConcurrencyLimit', details: { key: '', limit: 1, holders: [holder.id] } }
  t.match(await ended(later.body.id), { status: 'failed', error })
  api.gate(gate).open()
  t.match(await ended(holder.id), { status: 'completed' })
})

t.test('what is no cursor of the list is refused', async (t) => {
  const wrong = ['!', Buffer.from('["a"]').toString('base64url'), Buffer.from('["a","b\\u0000"]').toString('base64url')]
  for (const cursor of wrong) {
    t.match(await api.call('GET', `/api/concurrency?cursor=${cursor}`), {
      status: 422,
      body: { code: 'CURSOR_INVALID' },
    })
    const url = `/api/concurrency/mutex?cursor=${cursor}`
    t.match(await api.call('GET', url), { status: 422, body: { code: 'CURSOR_INVALID' } })
  }
  t.match(await api.call('GET', '/api/concurrency?executionId=x'), {
    status: 422,
    body: { errors: [{ pointer: '/executionId' }] },
  })
})

t.test('metrics count what was asked for, granted and refused', async (t) => {
  const { asked, granted, refused } = api.engine.gauges.slots()
  t.ok(granted >= 15)
  t.equal(refused, 4 + 1 + 1 + 1 + 1)
  t.equal(asked, granted + refused)
})

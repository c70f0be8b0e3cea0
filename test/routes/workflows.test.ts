import t from 'tap'
import { echo, startApi, unknownId } from './api.ts'

const api = await startApi(t)

const definition = { name: 'orders', description: 'Takes orders', tags: ['shop', 'daily'], steps: [echo('a', 1)] }

t.test('create answers 201 with the resource, its address and its entity tag', async (t) => {
  const { status, headers, body } = await api.call('POST', '/api/workflows', { body: definition })
  t.equal(status, 201)
  t.equal(headers.location, `/api/workflows/${body.id}`)
  t.equal(headers.etag, '"1"')
  t.match(body, { name: 'orders', description: 'Takes orders', version: 1, status: 'active', tags: ['shop', 'daily'] })
  t.same((await api.call('GET', headers.location as string)).body, body)
})

t.test('create refuses', async (t) => {
  await t.test('a name that is taken, with 409', async (t) => {
    const { status, body } = await api.call('POST', '/api/workflows', { body: definition })
    t.equal(status, 409)
    t.match(body, {
      code: 'WORKFLOW_NAME_TAKEN',
      title: 'Workflow name taken',
      type: '/docs/errors#WORKFLOW_NAME_TAKEN',
    })
  })
  await t.test('an invalid definition, with all its faults and their pointers', async (t) => {
    const { status, body } = await api.call('POST', '/api/workflows', {
      body: {
        name: 'bad',
        colour: 'red',
        steps: [
          { id: '1', type: 'action', config: { type: 'nothing' } },
          { id: 'b', type: 'dance' },
        ],
      },
    })
    t.equal(status, 422)
    t.equal(body.code, 'DEFINITION_INVALID')
    const pointers = body.errors.map((fault: { pointer: string }) => fault.pointer)
    for (const pointer of ['/colour', '/steps/0/id', '/steps/1/type'])
      t.ok(pointers.includes(pointer), `${pointer} of ${pointers}`)
  })
  for (const value of [5, 'text', [], null, true]) {
    await t.test(`${JSON.stringify(value)} in place of a definition`, async (t) => {
      const { status, body } = await api.call('POST', '/api/workflows', { body: value })
      t.equal(status, 422)
      t.equal(body.code, 'DEFINITION_INVALID')
    })
  }
  await t.test('U+0000 in what becomes a text column', async (t) => {
    for (const part of [{ name: 'a\0b' }, { description: 'a\0b' }, { tags: ['a\0b'] }]) {
      const { status, body } = await api.call('POST', '/api/workflows', {
        body: { ...definition, name: 'zero', ...part },
      })
      t.equal(status, 422, JSON.stringify(body))
    }
  })
  await t.test('broken JSON with 400, other media types with 415, too much with 413', async (t) => {
    const broken = await api.call('POST', '/api/workflows', { rawBody: '{"name": ' })
    t.match(broken, { status: 400, body: { code: 'BODY_NOT_JSON', detail: /JSON/ } })
    const poison = await api.call('POST', '/api/workflows', { rawBody: '{"__proto__": {"a": 1}}' })
    t.match(poison, { status: 400, body: { code: 'BODY_NOT_JSON', detail: /__proto__/ } })
    const xml = await api.call('POST', '/api/workflows', {
      rawBody: '<a/>',
      headers: { 'content-type': 'application/xml' },
    })
    t.match(xml, { status: 415, body: { code: 'MEDIA_TYPE_UNSUPPORTED', detail: /application\/xml/ } })
    const large = await api.call('POST', '/api/workflows', { body: { name: 'x'.repeat(1_200_000) } })
    t.match(large, { status: 413, body: { code: 'BODY_TOO_LARGE' } })
  })
})

t.test('create under an Idempotency-Key happens once', async (t) => {
  const headers = { 'idempotency-key': 'orders-1' }
  const first = await api.call('POST', '/api/workflows', { body: { ...definition, name: 'once' }, headers })
  const again = await api.call('POST', '/api/workflows', { body: { ...definition, name: 'once' }, headers })
  t.equal(first.status, 201)
  t.equal(first.headers['idempotency-replayed'], undefined)
  t.equal(again.status, 200)
  t.equal(again.headers['idempotency-replayed'], 'true')
  t.same(again.body, first.body)

  const other = await api.call('POST', '/api/workflows', { body: { ...definition, name: 'other than once' }, headers })
  t.match(other, { status: 409, body: { code: 'IDEMPOTENCY_KEY_REUSED' } })
})

t.test('an Idempotency-Key may not be empty or longer than 255', async (t) => {
  for (const key of ['', 'x'.repeat(256)]) {
    const { status, body } = await api.call('POST', '/api/workflows', {
      body: definition,
      headers: { 'idempotency-key': key },
    })
    t.equal(status, 422)
    t.equal(body.errors[0].pointer, '/idempotency-key')
  }
})

t.test('the list is newest first, filtered and paged', async (t) => {
  const api = await startApi(t)
  const ids: string[] = []
  for (const name of ['a', 'b', 'c'])
    ids.push((await api.workflow([echo('x')], { name, tags: [`tag-${name}`, 'all'] })).id)
  await api.call('DELETE', `/api/workflows/${ids[0]}`)
  const namesOf = async (query: string) =>
    (await api.call('GET', `/api/workflows?${query}`)).body.items.map((item: { name: string }) => item.name)

  t.same(await namesOf(''), ['c', 'b', 'a'])
  t.same(await namesOf('name=b'), ['b'])
  t.same(await namesOf('tag=tag-c'), ['c'])
  t.same(await namesOf('tag=all&status=active'), ['c', 'b'])
  t.same(await namesOf('status=archived'), ['a'])
  t.same(await namesOf(`workflowId=${ids[1]}`), ['b'])
  t.same(await namesOf(`workflowId=${ids[1]!.toUpperCase()}`), ['b'])
  t.same(await namesOf(`workflowId=${unknownId}`), [])

  const first = await api.call('GET', '/api/workflows?limit=2')
  t.equal(first.body.items.length, 2)
  const second = await api.call('GET', `/api/workflows?limit=2&cursor=${first.body.nextCursor}`)
  t.same(
    second.body.items.map((item: { name: string }) => item.name),
    ['a'],
  )
  t.equal(second.body.nextCursor, null)
})

t.test('the list refuses what it does not know', async (t) => {
  const { status, body } = await api.call(
    'GET',
    '/api/workflows?limit=201&status=gone&colour=red&name=%00&workflowId=7',
  )
  t.equal(status, 422)
  t.equal(body.code, 'REQUEST_INVALID')
  t.same(body.errors.map((fault: { pointer: string }) => fault.pointer).sort(), [
    '/colour',
    '/limit',
    '/name',
    '/status',
    '/workflowId',
  ])
  for (const cursor of ['nonsense', '!', 'e30', 'WzFd']) {
    t.match(
      await api.call('GET', `/api/workflows?cursor=${cursor}`),
      { status: 422, body: { code: 'CURSOR_INVALID' } },
      cursor,
    )
  }
  t.match(await api.call('GET', '/api/workflows?limit=1&limit=2'), { status: 422 })
})

t.test('an unknown id is 404, and so is one that is no UUID', async (t) => {
  for (const id of [unknownId, 'nonsense', '7', '%00', '%F0%9F%AA%A8']) {
    for (const [method, body] of [['GET'], ['PUT', definition], ['DELETE']] as const) {
      t.match(
        await api.call(method, `/api/workflows/${id}`, { body }),
        { status: 404, body: { code: 'WORKFLOW_NOT_FOUND' } },
        `${method} ${id}`,
      )
    }
  }
})

t.test('PUT makes a new version and activates it', async (t) => {
  const { id } = await api.workflow([echo('a', 1)], { name: 'grows' })
  const { status, headers, body } = await api.call('PUT', `/api/workflows/${id}`, {
    body: { name: 'grows', steps: [echo('a', 2)] },
    headers: { 'if-match': '"1"' },
  })
  t.equal(status, 200)
  t.equal(headers.etag, '"2"')
  t.equal(body.version, 2)
  t.equal(body.definition.steps[0].config.value, 2)
})

t.test('PUT with If-Match answers 412 when somebody else was first', async (t) => {
  const { id } = await api.workflow([echo('a', 1)], { name: 'contended' })
  const put = (ifMatch: string) =>
    api.call('PUT', `/api/workflows/${id}`, {
      body: { name: 'contended', steps: [echo('a', 2)] },
      headers: { 'if-match': ifMatch },
    })
  t.match(await put('"1"'), { status: 200 })
  t.match(await put('"1"'), { status: 412, body: { code: 'VERSION_CONFLICT' } })
  t.match(await put('*'), { status: 200, body: { version: 3 } })
  t.match(await put('3'), { status: 422, body: { errors: [{ pointer: '/if-match' }] } })
  await api.call('POST', `/api/workflows/${id}/versions/1/activate`)
  t.match(await put('"1"'), { status: 200, body: { version: 4 } }, 'the entity tag is the active version')
})

t.test('PUT refuses an invalid definition with its faults, and the name of another workflow', async (t) => {
  const { id } = await api.workflow([echo('a')], { name: 'one' })
  await api.workflow([echo('a')], { name: 'two' })
  t.match(await api.call('PUT', `/api/workflows/${id}`, { body: { name: 'one', steps: 5 } }), {
    status: 422,
    body: { code: 'DEFINITION_INVALID', errors: [{ pointer: '/steps' }] },
  })
  t.match(await api.call('PUT', `/api/workflows/${id}`, { body: { name: 'two', steps: [echo('a')] } }), {
    status: 409,
    body: { code: 'WORKFLOW_NAME_TAKEN' },
  })
})

t.test('an archived workflow can be read, but takes no versions and starts', async (t) => {
  const { id, name } = await api.workflow([echo('a')])
  t.match(await api.call('DELETE', `/api/workflows/${id}`), { status: 204, body: '' })
  t.match(await api.call('DELETE', `/api/workflows/${id}`), { status: 204 }, 'archiving it again changes nothing')
  t.match(await api.call('GET', `/api/workflows/${id}`), { status: 200, body: { status: 'archived' } })
  const archived = { status: 409, body: { code: 'WORKFLOW_ARCHIVED' } }
  t.match(await api.call('PUT', `/api/workflows/${id}`, { body: { name, steps: [echo('a')] } }), archived)
  t.match(await api.call('POST', '/api/workflows/executions', { body: { workflowId: id } }), archived)
})

t.test('validate tells all faults and stores nothing', async (t) => {
  const api = await startApi(t)
  t.same((await api.call('POST', '/api/workflows/validate', { body: definition })).body, { valid: true, errors: [] })
  const { status, body } = await api.call('POST', '/api/workflows/validate', {
    body: {
      name: 'x',
      steps: [echo('a'), echo('a'), { id: 'c', type: 'condition', config: { condition: 'steps.zz.output > ' } }],
    },
  })
  t.equal(status, 200)
  t.equal(body.valid, false)
  t.ok(body.errors.length >= 2, JSON.stringify(body.errors))
  for (const value of [5, 'text', [], null, false]) {
    t.match(
      await api.call('POST', '/api/workflows/validate', { body: value }),
      { status: 200, body: { valid: false } },
      JSON.stringify(value),
    )
  }
  t.match(await api.call('POST', '/api/workflows/validate', { rawBody: '{' }), { status: 400 })
  t.same((await api.call('GET', '/api/workflows')).body.items, [])
})

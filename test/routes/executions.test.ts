import t from 'tap'
import { echo, failing, startApi, unknownId } from './api.ts'

const api = await startApi(t)

t.test('start answers 201 with the execution and its address', async (t) => {
  const { id: workflowId } = await api.workflow([echo('a', 1), echo('b', 2)])
  const { status, headers, body } = await api.call('POST', '/api/workflows/executions', {
    body: { workflowId, input: { order: 7 }, triggeredBy: 'ada 😀', tags: ['x', 'y'], priority: 5 },
  })
  t.equal(status, 201)
  t.equal(headers.location, `/api/workflows/executions/${body.id}`)
  t.match(body, {
    workflowId,
    workflowVersion: 1,
    requested: null,
    triggeredBy: 'ada 😀',
    correlationId: null,
    executionKey: null,
    tags: ['x', 'y'],
    priority: 5,
    input: { order: 7 },
    parentExecutionId: null,
  })
})

t.test("a start that names no priority has its workflow's, and a sub-workflow its parent's", async (t) => {
  const child = await api.workflow([echo('a', 1)], { name: 'urgent part', priority: 9 })
  const part = { id: 'part', type: 'sub_workflow', config: { workflow: child.name } }
  const { id: workflowId } = await api.workflow([part], { priority: -7 })
  const url = '/api/workflows/executions?waitMs=20000'
  const start = async (body: object) => (await api.call('POST', url, { body })).body
  t.match(await start({ workflowId: child.id }), { priority: 9 })
  t.match(await start({ workflowId, priority: 0 }), { priority: 0 }, "0 is the start's own word")
  const parent = await start({ workflowId })
  t.match(parent, { status: 'completed', priority: -7 })
  const { body } = await api.call('GET', `/api/workflows/executions?parentExecutionId=${parent.id}`)
  t.match(body.items, [{ priority: -7 }])
  for (const priority of [1001, -1001, 1.5, '5']) {
    const definition = { name: 'wrong', steps: [echo('a')], priority }
    t.match(await api.call('POST', '/api/workflows', { body: definition }), {
      status: 422,
      body: { code: 'DEFINITION_INVALID', errors: [{ pointer: '/priority' }] },
    })
  }
})

t.test('start with waitMs answers with the end, as soon as it is there', async (t) => {
  const { id } = await api.workflow([echo('a', 1), echo('b', { sum: 3 })])
  const execution = await api.run(id, { order: 7 })
  t.match(execution, { status: 'completed', output: { sum: 3 }, percentage: 100, error: null, input: { order: 7 } })
  t.ok(Date.parse(execution.completedAt) >= Date.parse(execution.startedAt))
})

t.test('a failed execution says where it stopped and why', async (t) => {
  const { id } = await api.workflow([echo('a'), failing('b'), echo('c')])
  const execution = await api.run(id)
  t.match(execution, {
    status: 'failed',
    output: null,
    error: { type: 'EchoError', message: 'no such luck', stepPath: 'b', attempt: 1 },
  })
  t.ok(execution.percentage < 100)
})

t.test('an execution stays on the version that it was started with', async (t) => {
  const { id, name } = await api.workflow([echo('a', 'old')])
  await api.call('PUT', `/api/workflows/${id}`, { body: { name, steps: [echo('a', 'new')] } })
  t.match(await api.run(id), { workflowVersion: 2, output: 'new' })
  const { body } = await api.call('POST', '/api/workflows/executions?waitMs=20000', {
    body: { workflowId: id, version: 1 },
  })
  t.match(body, { workflowVersion: 1, output: 'old' })
})

t.test('start refuses', async (t) => {
  const { id: workflowId } = await api.workflow([echo('a')], {
    inputSchema: { type: 'object', required: ['order'], properties: { order: { type: 'integer' } } },
  })
  const start = (body: unknown, query = '') => api.call('POST', `/api/workflows/executions${query}`, { body })
  const input = { order: 1 }

  await t.test('an unknown workflow or version with 404', async (t) => {
    t.match(await start({ workflowId: unknownId, input }), { status: 404, body: { code: 'WORKFLOW_NOT_FOUND' } })
    t.match(await start({ workflowId: 'nonsense', input }), { status: 404, body: { code: 'WORKFLOW_NOT_FOUND' } })
    t.match(await start({ workflowId, input, version: 2 }), { status: 404, body: { code: 'VERSION_NOT_FOUND' } })
  })
  await t.test("an input that does not fit the workflow's schema with 422 and pointers", async (t) => {
    t.match(await start({ workflowId, input: { order: 'x' } }), {
      status: 422,
      body: { code: 'INPUT_INVALID', errors: [{ pointer: '/order' }] },
    })
    t.match(await start({ workflowId }), { status: 422, body: { code: 'INPUT_INVALID' } })
  })
  await t.test('unknown and wrong fields with 422 and pointers', async (t) => {
    const { status, body } = await start({
      workflowId,
      input,
      colour: 'red',
      tags: ['a\0'],
      priority: '1',
      startAt: 'soon',
      version: 0,
    })
    t.equal(status, 422)
    const pointers = body.errors.map((fault: { pointer: string }) => fault.pointer).sort()
    t.same(pointers, ['/colour', '/priority', '/startAt', '/tags/0', '/version'])
    t.match(await start({}), { status: 422, body: { errors: [{ pointer: '/workflowId' }] } })
    t.match(await start([]), { status: 422, body: { errors: [{ pointer: '', message: 'must be an object' }] } })
    t.match(await start({ workflowId, input, triggeredBy: 'a\0b' }), {
      status: 422,
      body: { errors: [{ pointer: '/triggeredBy' }] },
    })
    t.match(await start({ workflowId, input, correlationId: 'a\0b' }), {
      status: 422,
      body: { errors: [{ pointer: '/correlationId' }] },
    })
    // As U+FFFD, which each half would become in a text column, two keys would be one.
    const halves = { executionKey: '\ud800', triggeredBy: 'a\udfff', correlationId: '\udc00\ud800', tags: ['\ud800b'] }
    t.match(await start({ workflowId, input, ...halves }), {
      status: 422,
      body: { errors: ['/triggeredBy', '/correlationId', '/tags/0', '/executionKey'].map((pointer) => ({ pointer })) },
    })
    t.match(await start({ workflowId, input, startAt: '2026-12-31T23:59:60Z' }), {
      status: 422,
      body: { errors: [{ pointer: '/startAt' }] },
    })
  })
  await t.test('a wait that is no number or too long with 422', async (t) => {
    for (const waitMs of ['60001', '-1', 'x', '1.5', '']) {
      t.match(
        await start({ workflowId, input }, `?waitMs=${waitMs}`),
        { status: 422, body: { errors: [{ pointer: '/waitMs' }] } },
        waitMs,
      )
    }
    t.match(await start({ workflowId, input }, '?wait=1'), { status: 422, body: { errors: [{ pointer: '/wait' }] } })
  })
  await t.test('broken JSON with 400 and no JSON with 415', async (t) => {
    t.match(await api.call('POST', '/api/workflows/executions', { rawBody: '{"a' }), {
      status: 400,
      body: { code: 'BODY_NOT_JSON' },
    })
    t.match(
      await api.call('POST', '/api/workflows/executions', { rawBody: 'a', headers: { 'content-type': 'text/plain' } }),
      { status: 415 },
    )
    t.match(await api.call('POST', '/api/workflows/executions', { rawBody: '' }), { status: 422 })
  })
  await t.test(
    'what JSON could not give back: bytes that are no UTF-8 with 400, numbers beyond the largest with 422',
    async (t) => {
      const { id } = await api.workflow([echo('a')])
      const startWith = (input: string, encoding: BufferEncoding = 'utf8') =>
        api.call('POST', '/api/workflows/executions', {
          rawBody: Buffer.from(`{"workflowId":"${id}","input":${input}}`, encoding),
        })
      t.match(await startWith('"caf\u00e9"', 'latin1'), {
        status: 400,
        body: { code: 'BODY_NOT_JSON', detail: /UTF-8/ },
      })
      t.match(await startWith('"caf\u00e9"'), { status: 201, body: { input: 'caf\u00e9' } })
      t.match(await startWith(`{"a/b":[1,-1e999],"c":${'9'.repeat(310)}}`), {
        status: 422,
        body: { errors: [{ pointer: '/input/a~1b/1', message: /largest/ }, { pointer: '/input/c' }] },
      })
      const large = [1.7e308, 1e-320, '1e999']
      t.match(await startWith(JSON.stringify(large)), { status: 201, body: { input: large } })
    },
  )
  await t.test('an input that nests too deeply to be stored with 422', async (t) => {
    const { id } = await api.workflow([echo('a')])
    for (const depth of [500, 400_000]) {
      const rawBody = `{"workflowId":"${id}","tags":["\\"[{"],"input":${'['.repeat(depth)}${']'.repeat(depth)}}`
      t.match(await api.call('POST', '/api/workflows/executions', { rawBody }), {
        status: 422,
        body: { errors: [{ pointer: '', message: /500 levels/ }] },
      })
    }
    t.match(
      await start(
        {
          workflowId: id,
          input: JSON.parse(`${'['.repeat(499)}"]]"${']'.repeat(499)}`),
          startAt: '2100-01-01T00:00:00Z',
        },
        '',
      ),
      {
        status: 201,
      },
    )
    await api.call('DELETE', `/api/workflows/${id}`)
  })
  await t.test('an input beyond 1 MiB with 413', async (t) => {
    const { id } = await api.workflow([echo('a')])
    t.match(await start({ workflowId: id, input: 'x'.repeat(1_048_600) }), {
      status: 413,
      body: { code: 'PAYLOAD_TOO_LARGE' },
    })
    t.match(await start({ workflowId: id, input: 'x'.repeat(1_200_000) }), {
      status: 413,
      body: { code: 'BODY_TOO_LARGE' },
    })
  })
  t.same(
    (await api.call('GET', `/api/workflows/executions?workflowId=${workflowId}`)).body.items,
    [],
    'and nothing of it was started',
  )
})

t.test('any JSON is an input and comes back as it was sent', async (t) => {
  const { id } = await api.workflow([echo('a')])
  const inputs = [null, 0, false, '', 'a\0b', [], {}, { z: 1, a: { '': [null] } }, '\ud800', 1e300]
  for (const input of inputs) {
    const execution = await api.run(id, input)
    t.strictSame(execution.input, input, JSON.stringify(input))
    t.strictSame(execution.output, input)
  }
  t.same(Object.keys((await api.run(id, { z: 1, a: 2 })).output), ['z', 'a'], 'keys keep their order')
})

t.test('start under an Idempotency-Key happens once', async (t) => {
  const { id: workflowId } = await api.workflow([echo('a', 1)])
  const headers = { 'idempotency-key': 'start-1' }
  const first = await api.call('POST', '/api/workflows/executions?waitMs=20000', {
    body: { workflowId, input: 1 },
    headers,
  })
  const again = await api.call('POST', '/api/workflows/executions', { body: { workflowId, input: 1 }, headers })
  t.equal(first.status, 201)
  t.equal(again.status, 200)
  t.equal(again.headers['idempotency-replayed'], 'true')
  t.equal(again.headers.location, first.headers.location)
  t.match(again.body, { id: first.body.id, status: 'completed', percentage: 100 }, 'the present resource')
  t.match(await api.call('POST', '/api/workflows/executions', { body: { workflowId, input: 2 }, headers }), {
    status: 409,
    body: { code: 'IDEMPOTENCY_KEY_REUSED' },
  })
  t.equal((await api.call('GET', `/api/workflows/executions?workflowId=${workflowId}`)).body.items.length, 1)
})

t.test('starts that race under one Idempotency-Key make one execution', async (t) => {
  const { id: workflowId } = await api.workflow([echo('a', 1)])
  const start = () =>
    api.call('POST', '/api/workflows/executions', { body: { workflowId }, headers: { 'idempotency-key': 'race' } })
  const answers = await Promise.all(Array.from({ length: 10 }, start))
  t.equal(new Set(answers.map(({ body }) => body.id)).size, 1)
  t.equal(answers.filter(({ status }) => status === 201).length, 1)
})

t.test('startAt in the future leaves it pending', async (t) => {
  const { id: workflowId } = await api.workflow([echo('a', 1)])
  const startAt = new Date(Date.now() + 3_600_000).toISOString()
  const { status, body } = await api.call('POST', '/api/workflows/executions', { body: { workflowId, startAt } })
  t.equal(status, 201)
  t.match(body, { status: 'pending', startedAt: null, percentage: 0, currentStep: null })
  t.match(await api.call('GET', `/api/workflows/executions/${body.id}?waitMs=50`), {
    status: 200,
    body: { status: 'pending' },
  })
})

t.test('the correlation id of the header is stored and answered; one in the body goes before it', async (t) => {
  const { id: workflowId } = await api.workflow([echo('a', 1)])
  const headers = { 'x-correlation-id': 'from-header' }
  const taken = await api.call('POST', '/api/workflows/executions', { body: { workflowId }, headers })
  t.equal(taken.body.correlationId, 'from-header')
  t.equal(taken.headers['x-correlation-id'], 'from-header')
  const named = await api.call('POST', '/api/workflows/executions', {
    body: { workflowId, correlationId: 'from-body' },
    headers,
  })
  t.equal(named.body.correlationId, 'from-body')
})

t.test('the trace context of the caller goes to the engine, unless it is not one', async (t) => {
  const { id: workflowId } = await api.workflow([echo('a', 1)])
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  const stored = async (header: string) => {
    const { body } = await api.call('POST', '/api/workflows/executions', {
      body: { workflowId },
      headers: { traceparent: header },
    })
    return (await api.engine.store.findExecution(body.id))?.traceparent
  }
  t.equal(await stored(traceparent), traceparent)
  t.equal(await stored('00-nonsense'), null)
})

t.test('the list is newest first, without payloads, filtered and paged', async (t) => {
  const api = await startApi(t)
  const one = await api.workflow([echo('a', 1)])
  const two = await api.workflow([failing('a')])
  const start = async (body: object) =>
    (await api.call('POST', '/api/workflows/executions?waitMs=20000', { body })).body
  const a = await start({
    workflowId: one.id,
    triggeredBy: 'ada',
    tags: ['t1'],
    correlationId: 'c1',
    input: { secret: 1 },
  })
  const b = await start({ workflowId: two.id, triggeredBy: 'bob', tags: ['t1', 't2'] })
  const c = await start({ workflowId: one.id, triggeredBy: 'ada' })
  const list = async (query: string) => (await api.call('GET', `/api/workflows/executions?${query}`)).body
  const idsOf = async (query: string) => (await list(query)).items.map((item: { id: string }) => item.id)

  t.same(await idsOf(''), [c.id, b.id, a.id])
  t.same(await idsOf(`workflowId=${one.id}`), [c.id, a.id])
  t.same(await idsOf(`workflowId=${unknownId}`), [])
  t.same(await idsOf('status=failed'), [b.id])
  t.same(await idsOf('triggeredBy=ada&tag=t1'), [a.id])
  t.same(await idsOf('tag=t2'), [b.id])
  t.same(await idsOf('correlationId=c1'), [a.id])
  t.same(
    await idsOf(`createdAfter=${encodeURIComponent(a.createdAt)}&createdBefore=${encodeURIComponent(c.createdAt)}`),
    [b.id],
  )
  t.notOk('input' in (await list('')).items[0] || 'output' in (await list('')).items[0])
  t.match((await list('status=completed')).items[0], { percentage: 100 })

  const first = await list('limit=2')
  t.same(
    first.items.map((item: { id: string }) => item.id),
    [c.id, b.id],
  )
  t.same(await idsOf(`limit=2&cursor=${first.nextCursor}`), [a.id])
  t.equal((await list(`limit=2&cursor=${first.nextCursor}`)).nextCursor, null)
})

t.test('the list refuses what it does not know', async (t) => {
  const { status, body } = await api.call(
    'GET',
    '/api/workflows/executions?status=gone&limit=0&createdAfter=today&tag=%00&sort=id',
  )
  t.equal(status, 422)
  const pointers = body.errors.map((fault: { pointer: string }) => fault.pointer).sort()
  t.same(pointers, ['/createdAfter', '/limit', '/sort', '/status', '/tag'])
  for (const cursor of ['nonsense', 'WzEsIi0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tIl0']) {
    t.match(await api.call('GET', `/api/workflows/executions?cursor=${cursor}`), {
      status: 422,
      body: { code: 'CURSOR_INVALID', errors: [{ pointer: '/cursor' }] },
    })
  }
})

t.test('GET answers with input and output unless fields leaves them out', async (t) => {
  const { id: workflowId } = await api.workflow([echo('a', 'out')])
  const { id } = await api.run(workflowId, 'in')
  const get = async (query: string) => (await api.call('GET', `/api/workflows/executions/${id}${query}`)).body
  t.match(await get(''), { input: 'in', output: 'out' })
  t.same((await get('?fields=')).input, undefined)
  t.same((await get('?fields=id,status')).output, undefined)
  t.match(await get('?fields=output,status'), { output: 'out', input: undefined })
  for (const field of ['colour', '__proto__', 'constructor'])
    t.match(await api.call('GET', `/api/workflows/executions/${id}?fields=id,${field}`), {
      status: 422,
      body: { errors: [{ pointer: '/fields', message: new RegExp(field) }] },
    })
})

t.test('GET with waitMs answers at the end, or when the time is up', async (t) => {
  const { id: workflowId } = await api.workflow([{ id: 'g', type: 'action', config: { type: 'gate', name: 'late' } }])
  const { body } = await api.call('POST', '/api/workflows/executions', { body: { workflowId } })
  const early = await api.call('GET', `/api/workflows/executions/${body.id}?waitMs=50`)
  t.not(early.body.status, 'completed')
  const waiting = api.call('GET', `/api/workflows/executions/${body.id}?waitMs=60000`)
  api.gate('late').open()
  t.match(await waiting, { status: 200, body: { status: 'completed' } })
})

t.test('ids are taken in either case', async (t) => {
  const { id: workflowId } = await api.workflow([echo('a', 1)])
  const { id } = await api.run(workflowId.toUpperCase())
  t.match(await api.call('GET', `/api/workflows/executions/${id.toUpperCase()}`), {
    status: 200,
    body: { id, workflowId },
  })
})

t.test('an unknown execution is 404 everywhere, and so is an id that is no UUID', async (t) => {
  for (const id of [unknownId, 'nonsense', '%00']) {
    const url = `/api/workflows/executions/${id}`
    const missing = { status: 404, body: { code: 'EXECUTION_NOT_FOUND' } }
    for (const part of ['', '?waitMs=10', '/progress', '/steps', '/events', '/checkpoints', '/checkpoints/0']) {
      t.match(await api.call('GET', url + part), missing, url + part)
    }
    t.match(await api.call('PATCH', url, { body: { action: 'pause' } }), missing)
    t.match(await api.call('POST', `${url}/rollback`, { body: { checkpointIndex: 0 } }), missing)
    t.match(await api.call('POST', `${url}/signals/go`, { body: {} }), missing)
  }
})

import t from 'tap'
import { echo, gateStep, startApi } from './api.ts'

const api = await startApi(t)

/** A completed execution of these steps. */
async function completed(steps: readonly object[], definition: object = {}): Promise<string> {
  const { id: workflowId } = await api.workflow(steps, definition)
  const { id, status } = await api.run(workflowId)
  if (status !== 'completed') throw new Error(`it is ${status}`)
  return `/api/workflows/executions/${id}`
}

const parallel = { id: 'fan', type: 'parallel', config: { steps: [echo('x', 'X'), echo('y', 'Y')] } }

t.test('every completed leaf step leaves a checkpoint, counted from 0', async (t) => {
  const url = await completed([echo('a', 1), parallel, echo('b', 2)])
  const { body } = await api.call('GET', `${url}/checkpoints`)
  t.same(
    body.items.map((item: { index: number }) => item.index),
    [0, 1, 2, 3],
  )
  t.match(body.items[0], { stepPath: 'a', stepId: 'a' })
  t.same(
    body.items
      .slice(1, 3)
      .map((item: { stepPath: string }) => item.stepPath)
      .sort(),
    ['fan.x', 'fan.y'],
  )
  t.equal(body.nextCursor, null)

  const first = (await api.call('GET', `${url}/checkpoints?limit=3`)).body
  const second = (await api.call('GET', `${url}/checkpoints?limit=3&cursor=${first.nextCursor}`)).body
  t.same([...first.items, ...second.items], body.items)
  t.match(await api.call('GET', `${url}/checkpoints?cursor=x`), { status: 422, body: { code: 'CURSOR_INVALID' } })
})

t.test('one checkpoint shows the complete state as it was then', async (t) => {
  const url = await completed([echo('a', 1), echo('b', 2)], { variables: { rate: 3 } })
  const { status, body } = await api.call('GET', `${url}/checkpoints/0`)
  t.equal(status, 200)
  t.match(body, {
    index: 0,
    stepPath: 'a',
    state: { variables: { rate: 3 }, steps: { a: { status: 'completed', output: 1 } } },
  })
  t.notOk('output' in (body.state.steps.b ?? {}), 'b was not there yet')
})

t.test('a checkpoint that never existed is 404, one that is no longer kept 410', async (t) => {
  const url = await completed([echo('a'), echo('b'), echo('c')], { checkpoints: { keep: 1 } })
  for (const index of ['3', '-1', 'x', '99999999999']) {
    t.match(
      await api.call('GET', `${url}/checkpoints/${index}`),
      { status: 404, body: { code: 'CHECKPOINT_NOT_FOUND' } },
      index,
    )
  }
  t.match(await api.call('GET', `${url}/checkpoints/0`), {
    status: 410,
    body: { code: 'CHECKPOINT_GONE', detail: /2/ },
  })
  t.match(await api.call('POST', `${url}/rollback`, { body: { checkpointIndex: 9 } }), {
    status: 404,
    body: { code: 'CHECKPOINT_NOT_FOUND' },
  })
  t.match(await api.call('POST', `${url}/rollback`, { body: { checkpointIndex: 0 } }), {
    status: 410,
    body: { code: 'CHECKPOINT_GONE' },
  })
})

t.test(
  'rollback leaves the execution paused at the checkpoint; resumed, it performs the later steps again',
  async (t) => {
    const url = await completed([echo('a', 1), echo('b', 2), echo('c', 3)])
    t.match(await api.call('POST', `${url}/rollback`, { body: { checkpointIndex: 0 } }), {
      status: 200,
      body: { status: 'paused', output: null },
    })
    t.match((await api.call('GET', `${url}/progress`)).body, { status: 'paused', completedSteps: 1, percentage: 33 })
    t.equal((await api.call('GET', `${url}/checkpoints`)).body.items.length, 1)
    await api.call('PATCH', url, { body: { action: 'resume' } })
    t.match((await api.call('GET', `${url}?waitMs=20000`)).body, { status: 'completed', output: 3 })
    const { items } = (await api.call('GET', `${url}/events?limit=200`)).body
    t.ok(items.some((event: { type: string }) => event.type === 'execution.rolled_back'))
    t.equal(
      items.filter((event: { type: string; path?: string }) => event.type === 'step.completed' && event.path === 'b')
        .length,
      2,
    )
  },
)

t.test('rollback with resume goes on at once, also from running', async (t) => {
  const { id: workflowId } = await api.workflow([echo('a', 1), gateStep('hold'), echo('c', 3)])
  const { body } = await api.call('POST', '/api/workflows/executions', { body: { workflowId } })
  const url = `/api/workflows/executions/${body.id}`
  await api.gate('hold').reached
  t.match(await api.call('POST', `${url}/rollback`, { body: { checkpointIndex: 0, resume: true } }), { status: 200 })
  api.gate('hold').open()
  t.match((await api.call('GET', `${url}?waitMs=20000`)).body, { status: 'completed', output: 3 })
})

t.test('rollback guarded by seq is refused when the execution has moved on', async (t) => {
  const url = await completed([echo('a', 1), echo('b', 2)])
  const lastSeq = async () => (await api.call('GET', url)).body.lastSeq
  const rollback = (seq: number) => api.call('POST', `${url}/rollback`, { body: { checkpointIndex: 0, seq } })
  t.match(await rollback((await lastSeq()) - 1), { status: 409, body: { code: 'SEQ_CONFLICT' } })
  t.match(await rollback(await lastSeq()), { status: 200 }, 'the refusal is an event too')
})

t.test(
  'a dry run answers the plan of a rollback and changes nothing; it is refused as the rollback would be',
  async (t) => {
    const undo = { compensate: { type: 'echo', value: 'undone' } }
    const url = await completed([echo('a', 1), { ...echo('b', 2), ...undo }, { ...echo('c', 3), ...undo }])
    const { lastSeq } = (await api.call('GET', url)).body
    const plan = (body: object) => api.call('POST', `${url}/rollback?dryRun=true`, { body })
    const { status, body } = await plan({ checkpointIndex: 0, compensate: true })
    t.equal(status, 200)
    t.match(body, {
      checkpoint: { index: 0, stepPath: 'a' },
      lastSeq,
      compensated: [
        { path: 'c', name: 'c', compensation: 'c[compensate]' },
        { path: 'b', compensation: 'b[compensate]' },
      ],
      performedAgain: [
        { path: 'b', status: 'completed' },
        { path: 'c', status: 'completed' },
      ],
      kept: [{ path: 'a', id: 'a', status: 'completed' }],
      cancelledChildren: [],
      keptChildren: [],
    })
    t.same((await plan({ checkpointIndex: 1 })).body.compensated, [])
    t.match((await api.call('GET', url)).body, { status: 'completed', lastSeq }, 'nothing has happened')
    t.match(await plan({ checkpointIndex: 9 }), { status: 404, body: { code: 'CHECKPOINT_NOT_FOUND' } })
    t.match(await plan({ checkpointIndex: 0, seq: 1 }), { status: 409, body: { code: 'SEQ_CONFLICT' } })
    t.match(await plan({ checkpointIndex: 'first' }), { status: 422 })
    t.match(await api.call('POST', `${url}/rollback?dryRun=perhaps`, { body: { checkpointIndex: 0 } }), { status: 422 })
    const real = await api.call('POST', `${url}/rollback?dryRun=false`, { body: { checkpointIndex: 0, seq: lastSeq } })
    t.match(real, { status: 200, body: { status: 'paused' } })
  },
)

t.test('rollback refuses what it does not know', async (t) => {
  const url = await completed([echo('a', 1)])
  const { status, body } = await api.call('POST', `${url}/rollback`, {
    body: { checkpointIndex: '0', resume: 'yes', seq: 0, to: 1 },
  })
  t.equal(status, 422)
  const pointers = body.errors.map((fault: { pointer: string }) => fault.pointer).sort()
  t.same(pointers, ['/checkpointIndex', '/resume', '/seq', '/to'])
  t.match(await api.call('POST', `${url}/rollback`, { rawBody: '' }), { status: 422 })
  t.match(await api.call('POST', `${url}/rollback`, { rawBody: '[' }), { status: 400 })
})

t.test('rollback under an Idempotency-Key happens once', async (t) => {
  const url = await completed([echo('a', 1), echo('b', 2)])
  const headers = { 'idempotency-key': 'back' }
  t.match(await api.call('POST', `${url}/rollback`, { body: { checkpointIndex: 0 }, headers }), {
    status: 200,
    body: { status: 'paused' },
  })
  const again = await api.call('POST', `${url}/rollback`, { body: { checkpointIndex: 0 }, headers })
  t.match(again, { status: 200, body: { status: 'paused' } })
  t.equal(again.headers['idempotency-replayed'], 'true')
  const { items } = (await api.call('GET', `${url}/events`)).body
  t.equal(items.filter((event: { type: string }) => event.type === 'execution.rolled_back').length, 1)
  t.match(await api.call('POST', `${url}/rollback`, { body: { checkpointIndex: 1 }, headers }), {
    status: 409,
    body: { code: 'IDEMPOTENCY_KEY_REUSED' },
  })
})

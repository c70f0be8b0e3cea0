import pg from 'pg'
import t from 'tap'
import { echo, failing, type Gate, gateStep, newGate, startApi } from './api.ts'

const api = await startApi(t)

/** An execution that has completed `a` and waits at the gate of `g`. */
async function halfway(): Promise<{ url: string; workflowId: string; gate: Gate }> {
  const name = newGate()
  const { id: workflowId } = await api.workflow([echo('a', 1), gateStep('g', name), echo('c', 3)])
  const { body } = await api.call('POST', '/api/workflows/executions', { body: { workflowId } })
  await api.gate(name).reached
  return { url: `/api/workflows/executions/${body.id}`, workflowId, gate: api.gate(name) }
}

t.test('progress tells percentage, current step and all steps', async (t) => {
  const { url, gate } = await halfway()
  const { body } = await api.call('GET', `${url}/progress`)
  t.match(body, {
    status: 'running',
    requested: null,
    currentStep: { id: 'g', path: 'g', number: 2 },
    completedSteps: 1,
    totalSteps: 3,
    percentage: 33,
    steps: [
      { path: 'a', status: 'completed', attempt: 1, error: null },
      { path: 'g' },
      { path: 'c', status: 'pending', startedAt: null },
    ],
  })
  gate.open()
  await api.call('GET', `${url}?waitMs=20000`)
  t.match((await api.call('GET', `${url}/progress`)).body, {
    status: 'completed',
    percentage: 100,
    completedSteps: 3,
    currentStep: null,
  })
})

t.test('the execution itself shows percentage and step of its newest event, in the list too', async (t) => {
  const { url, workflowId } = await halfway()
  const expected = { percentage: 33, currentStep: { id: 'a', path: 'a' } }
  t.match((await api.call('GET', url)).body, expected)
  t.match((await api.call('GET', `/api/workflows/executions?workflowId=${workflowId}`)).body.items[0], expected)
})

t.test('steps are listed in the order of the definition, with attempts, timings and errors, paged', async (t) => {
  const { id: workflowId } = await api.workflow([echo('a'), failing('b'), echo('c')])
  const { id } = await api.run(workflowId)
  const url = `/api/workflows/executions/${id}/steps`
  const { items, nextCursor } = (await api.call('GET', url)).body
  t.match(items, [
    { path: 'a', status: 'completed', attempt: 1 },
    { path: 'b', status: 'failed', attempt: 1, error: { type: 'EchoError' } },
    { path: 'c', status: 'pending', attempt: 0 },
  ])
  t.ok(items[0].durationMs >= 0)
  t.equal(nextCursor, null)
  const first = (await api.call('GET', `${url}?limit=2`)).body
  t.equal(first.items.length, 2)
  t.match((await api.call('GET', `${url}?limit=2&cursor=${first.nextCursor}`)).body, {
    items: [{ path: 'c' }],
    nextCursor: null,
  })
  t.match(await api.call('GET', `${url}?cursor=x`), { status: 422, body: { code: 'CURSOR_INVALID' } })
})

t.test('the journal is read in order, from a seq or a cursor on', async (t) => {
  const { id: workflowId } = await api.workflow([echo('a', 1), echo('b', 2)])
  const { id } = await api.run(workflowId)
  const url = `/api/workflows/executions/${id}/events`
  const { items, nextCursor } = (await api.call('GET', url)).body
  t.same(
    items.map((event: { seq: number }) => event.seq),
    items.map((_: unknown, index: number) => index + 1),
  )
  t.equal(items[0].type, 'execution.started')
  t.equal(items.at(-1).type, 'execution.completed')
  t.equal(items.at(-1).percentage, 100)
  t.match(
    items.find((event: { path?: string }) => event.path === 'a'),
    { type: 'step.completed', executionId: id, data: { output: 1 } },
  )
  t.equal(nextCursor, null)

  t.same((await api.call('GET', `${url}?after=2`)).body.items, items.slice(2))
  t.same((await api.call('GET', `${url}?after=1000`)).body.items, [])
  const first = (await api.call('GET', `${url}?limit=2`)).body
  t.same((await api.call('GET', `${url}?cursor=${first.nextCursor}`)).body.items, items.slice(2))
})

t.test('the journal refuses what it does not know', async (t) => {
  const { id: workflowId } = await api.workflow([echo('a', 1)])
  const { id } = await api.run(workflowId)
  const url = `/api/workflows/executions/${id}/events`
  const { status, body } = await api.call('GET', `${url}?after=-1&limit=500&type=x`)
  t.equal(status, 422)
  t.same(body.errors.map((fault: { pointer: string }) => fault.pointer).sort(), ['/after', '/limit', '/type'])
  t.match(await api.call('GET', `${url}?cursor=x`), { status: 422, body: { code: 'CURSOR_INVALID' } })
})

/** What compaction, or somebody's hands, did to the journal. */
async function deleteEvents(executionId: string, condition: string): Promise<void> {
  const client = new pg.Client({ connectionString: api.databaseUrl })
  await client.connect()
  await client.query(`DELETE FROM execution_events WHERE execution_id = $1 AND ${condition}`, [executionId])
  await client.end()
}

t.test('events that were compacted away are 410, with the first that is kept', async (t) => {
  const { id: workflowId } = await api.workflow([echo('a', 1), echo('b', 2)])
  const { id } = await api.run(workflowId)
  await deleteEvents(id, 'seq <= 2')
  const url = `/api/workflows/executions/${id}/events`
  t.match(await api.call('GET', url), { status: 410, body: { code: 'EVENTS_GONE', firstSeq: 3 } })
  t.match(await api.call('GET', `${url}?after=2`), { status: 200, body: { items: [{ seq: 3 }] } })
})

t.test('a journal with a hole cannot be folded: 500, and progress says what the row does', async (t) => {
  const { id: workflowId } = await api.workflow([echo('a', 1), echo('b', 2)])
  const { id } = await api.run(workflowId)
  await deleteEvents(id, 'seq = 2')
  const url = `/api/workflows/executions/${id}`
  for (const part of ['/steps', '/checkpoints', '/checkpoints/0']) {
    t.match(await api.call('GET', url + part), { status: 500, body: { code: 'HISTORY_INVALID' } }, part)
  }
  t.match(await api.call('GET', `${url}/progress`), {
    status: 200,
    body: { status: 'completed', percentage: 100, steps: [] },
  })
})

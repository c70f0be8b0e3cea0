/** Approvals over REST: what is listed, what may be decided, and what a second decision hears. */
import t from 'tap'
import { until } from '../harness/condition.ts'
import { echo, gateStep, newGate, startApi, unknownId } from './api.ts'

const api = await startApi(t)

const ask = (config: object = {}, id = 'ask') => ({ id, type: 'approval', config: { title: 'Refund?', ...config } })
const form = {
  type: 'object',
  properties: { amount: { type: 'number', maximum: 100 } },
  required: ['amount'],
  additionalProperties: false,
}
const statusUrl = (executionId: string) => `/api/workflows/executions/${executionId}`
const list = async (query: string) => (await api.call('GET', `/api/approvals?${query}`)).body
const decide = (id: string, body: object, headers = {}) => api.call('POST', `/api/approvals/${id}`, { body, headers })

/** Starts an execution of these steps and waits until it asks; its id, and that of the approval. */
async function asked(steps: readonly object[], input: unknown = {}) {
  const { id: workflowId } = await api.workflow(steps)
  const { body } = await api.call('POST', '/api/workflows/executions', { body: { workflowId, input } })
  await api.event(body.id, 'approval.requested')
  const { items } = await list(`executionId=${body.id}&status=open`)
  return { workflowId, executionId: body.id as string, id: items[0].id as string }
}
const ended = async (executionId: string) => (await api.call('GET', `${statusUrl(executionId)}?waitMs=20000`)).body

t.test('an approval is listed, read with its form, and decided', async (t) => {
  const config = {
    title: 'Refund {{ input.amount }}?',
    description: 'Order {{ input.order }}',
    assignees: ['{{ input.who }}'],
    groups: ['finance'],
    form,
    deadline: { durationMs: 3_600_000 },
  }
  const { workflowId, executionId, id } = await asked([ask(config), echo('x', '{{ data.data.amount }}')], {
    ...{ amount: 120, order: 7, who: 'ada' },
  })
  const open = {
    ...{ id, status: 'open', workflowId, workflowVersion: 1, executionId, stepPath: 'ask' },
    ...{ title: 'Refund 120?', description: 'Order 7', assignees: ['ada'], groups: ['finance'] },
    ...{ closedAt: null, decidedBy: null, comment: null },
  }
  const { items } = await list(`workflowId=${workflowId}`)
  t.match(items, [open])
  t.ok(items[0].dueAt > items[0].requestedAt)
  t.notOk('form' in items[0] || 'data' in items[0])
  t.match(await api.call('GET', `/api/approvals/${id.toUpperCase()}`), {
    status: 200,
    body: { ...open, form, data: null },
  })
  const { body: progress } = await api.call('GET', `${statusUrl(executionId)}/progress`)
  t.match(progress, { currentStep: { path: 'ask' }, steps: [{ path: 'ask', status: 'waiting', approvalId: id }] })

  const said = { decision: 'approve', data: { amount: 100 }, by: 'ada', comment: 'less the shipping' }
  const closed = { status: 'approved', decidedBy: 'ada', comment: 'less the shipping' }
  t.match(await decide(id, said), { status: 200, body: { ...closed, data: { amount: 100 }, form } })
  t.match(await ended(executionId), { status: 'completed', output: 100 })
  t.match(await list(`workflowId=${workflowId}`), { items: [{ id, ...closed }] })
  const { body: events } = await api.call('GET', `${statusUrl(executionId)}/events`)
  const types = events.items
    .map(({ type }: { type: string }) => type)
    .filter((type: string) => !type.startsWith('execution'))
  t.strictSame(types, ['approval.requested', 'approval.decided', 'step.completed', 'step.completed'])
  const request = events.items.find(({ type }: { type: string }) => type === 'approval.requested')
  t.match(request, { path: 'ask', data: { approvalId: id, dueAt: items[0].dueAt } }, 'times are RFC 3339')
})

t.test('data that does not fit the form is refused, and the approval stays open', async (t) => {
  const { executionId, id } = await asked([ask({ form })])
  const { status, body } = await decide(id, { decision: 'approve', data: { amount: '5', more: 1 } })
  t.match({ status, body }, { status: 422, body: { code: 'APPROVAL_DATA_INVALID' } })
  t.strictSame(body.errors.map(({ pointer }: { pointer: string }) => pointer).sort(), ['/data/amount', '/data/more'])
  t.match(await decide(id, { decision: 'approve' }), { status: 422, body: { errors: [{ pointer: '/data' }] } })
  t.match(await decide(id, { decision: 'reject', data: {} }), {
    status: 422,
    body: { errors: [{ pointer: '/data/amount' }] },
  })
  t.match(await api.call('GET', `/api/approvals/${id}`), { body: { status: 'open' } })
  t.match(await decide(id, { decision: 'reject', comment: 'no' }), { status: 200, body: { status: 'rejected' } })
  t.match(await ended(executionId), { output: { decision: 'rejected', data: null, by: null, comment: 'no' } })
})

t.test('a second decision is answered with the first one', async (t) => {
  const { id } = await asked([ask()])
  await decide(id, { decision: 'reject', by: 'ada', comment: 'no' })
  const { status, body } = await decide(id, { decision: 'approve', by: 'bob' })
  t.equal(status, 409)
  t.match(body, { code: 'APPROVAL_CLOSED', approvalStatus: 'rejected', decidedBy: 'ada', comment: 'no' })
  t.match(body.detail, /is rejected by ada/)
  t.ok(Date.parse(body.closedAt))
})

t.test('of decisions at the same time one is taken, and all hear which', async (t) => {
  const { id } = await asked([ask()])
  const names = ['ada', 'bob', 'eve', 'joe']
  const answers = await Promise.all(names.map((by) => decide(id, { decision: 'approve', by })))
  const winner = names[answers.findIndex(({ status }) => status === 200)]
  t.strictSame(answers.map(({ status }) => status).sort(), [200, 409, 409, 409])
  for (const { status, body } of answers) if (status === 409) t.equal(body.decidedBy, winner)
  t.match(await api.call('GET', `/api/approvals/${id}`), { body: { decidedBy: winner } })
})

t.test('under an Idempotency-Key a decision is made once', async (t) => {
  const { id } = await asked([ask()])
  const headers = { 'idempotency-key': `decide ${id}` }
  t.match(await decide(id, { decision: 'approve', data: 5 }, headers), { status: 200, body: { status: 'approved' } })
  const again = await decide(id, { decision: 'approve', data: 5 }, headers)
  t.match(again, { status: 200, body: { status: 'approved', data: 5 } })
  t.equal(again.headers['idempotency-replayed'], 'true')
  t.match(await decide(id, { decision: 'reject' }, headers), { status: 409, body: { code: 'IDEMPOTENCY_KEY_REUSED' } })
  const late = { 'idempotency-key': `late ${id}` }
  for (const attempt of ['it came too late', 'and hears so again'])
    t.match(await decide(id, { decision: 'reject' }, late), { status: 409, body: { code: 'APPROVAL_CLOSED' } }, attempt)
})

t.test('a decision that is not taken within 5 s is answered with 202, and so is its repeat', async (t) => {
  const { executionId, id } = await asked([ask()])
  const { store } = api.engine
  const { inboxOf, inboxOfOwner } = store
  // The owner hears of nothing.
  store.inboxOf = store.inboxOfOwner = async () => []
  const headers = { 'idempotency-key': `slow ${id}` }
  const first = decide(id, { decision: 'approve' }, headers)
  await until('it is posted', async () => (await inboxOf([executionId])).length === 1)
  const repeat = decide(id, { decision: 'approve' }, headers)
  const answer = { status: 202, body: { status: 'open', decidedBy: null } }
  t.match(await first, answer)
  t.match(await repeat, { ...answer, headers: { 'idempotency-replayed': 'true' } })
  Object.assign(store, { inboxOf, inboxOfOwner })
  t.match(await ended(executionId), { status: 'completed', output: { decision: 'approved' } })
  t.match(await decide(id, { decision: 'approve' }, headers), { status: 200, body: { status: 'approved' } })
})

t.test('an approval of an execution that was cancelled cannot be decided', async (t) => {
  const { executionId, id } = await asked([ask()])
  await api.call('PATCH', statusUrl(executionId), { body: { action: 'cancel' } })
  t.match(await api.call('GET', `/api/approvals/${id}`), { body: { status: 'cancelled', decidedBy: null } })
  t.match(await decide(id, { decision: 'approve' }), { status: 409, body: { approvalStatus: 'cancelled' } })
  t.same((await list(`executionId=${executionId}&status=open`)).items, [])
  t.equal((await list(`executionId=${executionId}&status=cancelled`)).items.length, 1)
})

t.test('a paused execution takes a decision, and goes on with it at resume', async (t) => {
  const { executionId, id } = await asked([ask(), echo('x', '{{ data.decision }}')])
  t.match(await api.call('PATCH', statusUrl(executionId), { body: { action: 'pause' } }), { status: 200 })
  t.match(await decide(id, { decision: 'approve' }), { status: 200, body: { status: 'approved' } })
  t.match(await api.call('GET', statusUrl(executionId)), { body: { status: 'paused' } })
  await api.call('PATCH', statusUrl(executionId), { body: { action: 'resume' } })
  t.match(await ended(executionId), { status: 'completed', output: 'approved' })
})

t.test('a rollback supersedes what was open, and asks anew', async (t) => {
  const gate = newGate()
  const { executionId, id } = await asked([echo('x'), ask(), gateStep('g', gate)])
  const rollback = { body: { checkpointIndex: 0, resume: true } }
  t.match(await api.call('POST', `${statusUrl(executionId)}/rollback`, rollback), { status: 200 })
  const { items } = await list(`executionId=${executionId}`)
  t.strictSame(new Set(items.map((item: { status: string }) => item.status)), new Set(['open', 'superseded']))
  t.match(await decide(id, { decision: 'approve' }), { status: 409, body: { approvalStatus: 'superseded' } })
  const next = items.find((item: { status: string }) => item.status === 'open')
  t.match(await decide(next.id, { decision: 'approve' }), { status: 200 })
  api.gate(gate).open()
  t.match(await ended(executionId), { status: 'completed' })
})

t.test('approvals are filtered by whom they ask, and come page by page, newest first', async (t) => {
  const { id: workflowId } = await api.workflow([
    {
      id: 'all',
      type: 'parallel',
      config: {
        steps: [ask({ assignees: ['x', 'y'] }, 'a'), ask({ assignees: ['y'], groups: ['g'] }, 'b'), ask({}, 'c')],
      },
    },
  ])
  const { body } = await api.call('POST', '/api/workflows/executions', { body: { workflowId, input: {} } })
  await api.event(body.id, 'execution.parked')
  const paths = async (query: string) =>
    (await list(`workflowId=${workflowId}&${query}`)).items.map((item: { stepPath: string }) => item.stepPath).sort()
  t.strictSame(await paths('assignee=y&status=open'), ['all.a', 'all.b'])
  t.strictSame(await paths('assignee=y&group=g'), ['all.b'])
  t.strictSame(await paths('assignee=z'), [])
  const seen: string[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const page = await list(`workflowId=${workflowId}&limit=1${cursor === '' ? '' : `&cursor=${cursor}`}`)
    t.equal(page.items.length, 1)
    seen.push(page.items[0].stepPath)
    cursor = page.nextCursor
  }
  t.strictSame(seen.toSorted(), ['all.a', 'all.b', 'all.c'])
  t.match(await api.call('GET', '/api/approvals?cursor=nonsense'), { status: 422, body: { code: 'CURSOR_INVALID' } })
})

t.test('what is wrong is said', async (t) => {
  for (const id of [unknownId, 'no-uuid'])
    for (const answer of [await api.call('GET', `/api/approvals/${id}`), await decide(id, { decision: 'approve' })])
      t.match(answer, { status: 404, body: { code: 'APPROVAL_NOT_FOUND' } })
  const { id } = await asked([ask()])
  for (const [body, pointer] of [
    [{}, '/decision'],
    [{ decision: 'maybe' }, '/decision'],
    [{ decision: 'approve', by: 'a\0b' }, '/by'],
    [{ decision: 'approve', more: 1 }, '/more'],
  ] as const)
    t.match(await decide(id, body), { status: 422, body: { errors: [{ pointer }] } }, JSON.stringify(body))
  t.match(await decide(id, { decision: 'approve', data: 'x'.repeat(1_048_500) }), {
    status: 413,
    body: { code: 'PAYLOAD_TOO_LARGE' },
  })
  t.match(await decide(id, { decision: 'approve', data: 'a\0b' }), { status: 200, body: { data: 'a\0b' } })
})

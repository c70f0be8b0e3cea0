/** Approvals on more than one node, parked, quarantined; what they ask can be decided once, wherever that is asked for. */
import t, { type Test } from 'tap'
import type { WorkflowEngine } from '../../src/engine/engine.ts'
import { until } from '../harness/condition.ts'
import { createTestDatabase } from '../harness/database.ts'
import { withClient } from '../harness/server.ts'
import { echo, ended, journalOf, run, seen, startEngine } from './running-engine.ts'

const ask = { id: 'ask', type: 'approval', config: { title: 'Really?' } }

/** The approval that the execution has open. */
async function openApproval(engine: WorkflowEngine, executionId: string): Promise<string> {
  await seen(engine, executionId, 'approval.requested')
  const { items } = await engine.store.listApprovals({ executionId, status: 'open' }, 10)
  return items[0]!.id
}

const isParked = (engine: WorkflowEngine, id: string): Promise<unknown> =>
  until('it is parked', async () => {
    const { status, owner } = await engine.getExecution(id)
    return status === 'waiting' && owner === null
  })

/** What a decision came to: who has decided, or the code of its refusal with whoever had before. */
async function outcome(engine: WorkflowEngine, id: string, by: string): Promise<string> {
  try {
    const { approval } = await engine.decideApproval(id, { decision: 'approve', by })
    return `200 ${approval.by}`
  } catch (error) {
    const { code, details } = error as { code: string; details: { decidedBy: string } }
    return `${code} ${details.decidedBy}`
  }
}

async function twoNodes(t: Test): Promise<[WorkflowEngine, WorkflowEngine]> {
  const { url: databaseUrl } = await createTestDatabase(t)
  return [await startEngine(t, {}, { databaseUrl }), await startEngine(t, {}, { databaseUrl })]
}

t.test('of decisions on two nodes at the same time one is taken, and all hear which', async (t) => {
  const nodes = await twoNodes(t)
  for (const isFirst of [true, false]) {
    const id = await run(nodes[0], [ask, echo('x', { value: '{{ data.by }}' })])
    const approvalId = await openApproval(nodes[1], id)
    if (!isFirst) await isParked(nodes[0], id)
    const outcomes = await Promise.all(
      ['ada', 'bob', 'eve', 'joe'].map((by, index) => outcome(nodes[index % 2]!, approvalId, by)),
    )
    const { status, output } = await ended(nodes[0], id)
    t.equal(status, 'completed')
    t.strictSame(outcomes.toSorted(), [`200 ${output}`, ...Array(3).fill(`APPROVAL_CLOSED ${output}`)])
    const decided = (await journalOf(nodes[0], id)).filter(({ type }) => type === 'approval.decided')
    t.equal(decided.length, 1)
  }
})

t.test('a parked execution wakes by a decision, and by its deadline', async (t) => {
  const engine = await startEngine(t)
  const id = await run(engine, [ask])
  const approvalId = await openApproval(engine, id)
  await isParked(engine, id)
  t.match(await engine.decideApproval(approvalId, { decision: 'reject' }), { effective: true })
  t.match(await ended(engine, id), { status: 'completed', output: { decision: 'rejected' } })
  const onDeadline = { outcome: 'approve' }
  const late = await run(engine, [{ ...ask, config: { title: 'x', deadline: { durationMs: 1_500 }, onDeadline } }])
  await seen(engine, late, 'execution.parked')
  t.match(await ended(engine, late), { status: 'completed', output: { decision: 'approved', by: null } })
  const { items } = await engine.store.listApprovals({ executionId: late }, 10)
  t.match(items, [{ status: 'approved', by: null, requestId: null }])
})

t.test('a quarantined execution has nothing open; after its retry the same can be decided', async (t) => {
  const { url: databaseUrl } = await createTestDatabase(t)
  const engine = await startEngine(t, {}, { databaseUrl })
  const id = await run(engine, [echo('x'), ask])
  const approvalId = await openApproval(engine, id)
  await isParked(engine, id)
  const exchange = (from: string, to: string) =>
    withClient(databaseUrl, (client) =>
      client.query('UPDATE execution_events SET type = $3 WHERE execution_id = $1 AND type = $2', [id, from, to]),
    )
  await exchange('step.completed', 'step.melted')
  // Not by `signal`, which would read the history itself.
  const requestId = '01a210e8-85b7-7700-9dd5-8ac1387bc6ae'
  await engine.store.insertInbox({ executionId: id, kind: 'signal', name: 'wake', payload: null, requestId, at: 0 })
  t.match(await ended(engine, id), { status: 'failed', error: { type: 'InternalError' } })
  t.match(await engine.getApproval(approvalId), { status: 'cancelled', closedAt: null })
  await t.rejects(engine.decideApproval(approvalId, { decision: 'approve' }), { code: 'APPROVAL_CLOSED' })
  await exchange('step.melted', 'step.completed')
  await engine.retryExecution(id)
  t.match(await engine.getApproval(approvalId), { status: 'open' })
  t.match(await engine.decideApproval(approvalId, { decision: 'approve' }), { effective: true })
  t.match(await ended(engine, id), { status: 'completed' })
})

t.test('a rollback with compensation, and a cancel, close what is open', async (t) => {
  const engine = await startEngine(t)
  const id = await run(engine, [echo('x'), echo('y', {}, { compensate: { type: 'echo' } }), ask])
  const approvalId = await openApproval(engine, id)
  await engine.rollback(id, { checkpointIndex: 0, compensate: true, resume: true })
  t.match(await engine.getApproval(approvalId), { status: 'cancelled' })
  await until('it is asked anew', async () => {
    const { items } = await engine.store.listApprovals({ executionId: id, status: 'open' }, 10)
    return items.length === 1 && items[0]!.id !== approvalId
  })
  await engine.cancelExecution(id)
  t.same((await engine.store.listApprovals({ executionId: id, status: 'open' }, 10)).items, [])
})

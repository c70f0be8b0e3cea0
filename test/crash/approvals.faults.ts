/** A node dies around a request for approval, or around the decision: the decision is taken once, whoever has the execution then. */
import t, { type Test } from 'tap'
import type { WorkflowEngine } from '../../src/engine/engine.ts'
import { journalOf, seen } from '../engine/running-engine.ts'
import type { Point } from './points.ts'
import { scenarioEngine, step } from './scenario.ts'
import { agreed, deadAreSwept, dies, endsElsewhere, prepare, type Scene } from './scene.ts'

// Each mostly waits for a process to start.
t.jobs = 2
t.setTimeout(300_000)
const parallel = { buffered: true }

const definition = {
  name: 'refund',
  steps: [
    step('look'),
    { id: 'ask', type: 'approval', config: { title: 'Refund?' } },
    step('pay', { value: '{{ data.decision }}, says {{ data.by }}' }),
  ],
}

/** Another node on the same database. */
async function otherNode(t: Test, { databaseUrl, ledger }: Scene): Promise<WorkflowEngine> {
  const engine = scenarioEngine({ databaseUrl, ledgerUrl: ledger.url })
  t.teardown(() => engine.stop())
  await engine.start()
  return engine
}

/** What the execution asks, once it does. */
async function openApproval(engine: WorkflowEngine, { executionId }: Scene): Promise<string> {
  await seen(engine, executionId, 'approval.requested')
  const { items } = await engine.store.listApprovals({ executionId, status: 'open' }, 10)
  return items[0]!.id
}

const decision = { decision: 'approve', by: 'ada', idempotencyKey: 'refund' } as const

/** It was asked once and decided once, and the list says so. */
async function isDecidedOnce(t: Test, scene: Scene, engine: WorkflowEngine): Promise<void> {
  const { executionId } = scene
  const history = await journalOf(engine, executionId)
  t.match(await agreed(t, scene, engine, history), { status: 'completed', output: 'approved, says ada' })
  for (const type of ['approval.requested', 'approval.decided'])
    t.equal(history.filter((event) => event.type === type).length, 1, type)
  const { items } = await engine.store.listApprovals({ executionId }, 10)
  t.match(items, [{ status: 'approved', by: 'ada' }])
  t.equal(items.length, 1)
  t.same(await engine.store.inboxOf([executionId]), [])
}

for (const point of ['before', 'during', 'after'] as const) {
  t.test(`killed ${point} the flush of the request, what was asked is decided at another node`, parallel, async (t) => {
    const scene = await prepare(t, definition)
    await dies(t, scene, { DIE_AT: `${point} flush approval.requested`, UNDRIVEN: 'yes' })
    await deadAreSwept(scene)
    const engine = await otherNode(t, scene)
    const answer = await engine.decideApproval(await openApproval(engine, scene), decision)
    t.match(answer, { effective: true, replayed: false, approval: { status: 'approved' } })
    await engine.waitForEnd(scene.executionId, 120_000)
    await isDecidedOnce(t, scene, engine)
  })
}

for (const point of ['before', 'during', 'after'] as const) {
  t.test(`a decision that was taken by a node killed ${point} its flush counts once`, parallel, async (t) => {
    const scene = await prepare(t, definition)
    await dies(t, scene, { DIE_AT: 'after flush approval.requested', UNDRIVEN: 'yes' })
    // The dead node's lease still stands: nobody takes the execution over, and the decision waits in its inbox.
    const engine = await otherNode(t, scene)
    const id = await openApproval(engine, scene)
    t.match(await engine.decideApproval(id, decision), { effective: false, approval: { status: 'open' } }, 'durable')
    await engine.stop()
    await deadAreSwept(scene)
    const dieAt: Point = `${point} flush approval.decided`
    await dies(t, scene, { DIE_AT: dieAt, UNDRIVEN: 'yes' })
    await deadAreSwept(scene)
    const { survivor } = await endsElsewhere(t, scene)
    await isDecidedOnce(t, scene, survivor)
    t.match(await survivor.decideApproval(id, decision), { effective: true, replayed: true })
    await t.rejects(survivor.decideApproval(id, { decision: 'reject' }), { code: 'APPROVAL_CLOSED' })
  })
}

import t from 'tap'
import type { ActionContext } from '../../src/engine/actions/action.ts'
import { fingerprint } from '../../src/engine/fingerprint.ts'
import { call, echo, ended, latch, run, seen, startEngine } from './running-engine.ts'

t.test('a repeat of what nobody has answered yet waits for the answer', async (t) => {
  const reached = latch()
  const stuck = ({ signal }: ActionContext) => {
    reached.open()
    return new Promise<null>((resolve) => signal.addEventListener('abort', () => resolve(null)))
  }
  const engine = await startEngine(t, { stuck })
  const executionId = await run(engine, [call('stuck')])
  await reached.promise
  // As left by a node that died right after the commit: the owner has no hint and finds it when it polls.
  const key = { namespace: 'default', route: `control ${executionId}`, key: 'once', at: 0 }
  const payload = { reason: 'enough' }
  await engine.store.insertInboxKeyed(
    { ...key, requestHash: fingerprint(['cancel', null, payload]) },
    { executionId, kind: 'cancel', name: null, payload, requestId: '01a21000-0000-7000-8000-000000000001', at: 0 },
  )
  const repeat = await engine.control(executionId, 'cancel', { reason: 'enough', idempotencyKey: 'once' })
  t.equal(repeat.replayed, true)
  t.equal(repeat.effective, repeat.execution.status === 'cancelled', 'it says what is, however long that takes')
})

t.test(
  'what was asked for before the end of an execution does not make it live again beside the next of its key',
  async (t) => {
    const engine = await startEngine(t)
    const { id: workflowId } = await engine.createWorkflow({ name: 'keyed', steps: [echo('a')] })
    const start = async (rest: object) => (await engine.requestStart({ workflowId, ...rest })).execution.id
    const late = async (executionId: string, wasLive: boolean): Promise<string> => {
      const payload = { checkpointIndex: 0, resume: true, wasLive }
      const requestId = crypto.randomUUID()
      await engine.store.insertInbox({ executionId, kind: 'rollback', name: null, payload, requestId, at: 0 })
      return requestId
    }
    const keyed = await start({ executionKey: 'order-1' })
    await ended(engine, keyed)
    const requestId = await late(keyed, true)
    const { data } = await seen(engine, keyed, 'control.refused')
    t.match(data, { requestId, code: 'EXECUTION_STATUS_CONFLICT', action: 'rollback' })
    t.match(
      await engine.rollback(keyed, { checkpointIndex: 0, resume: true }),
      { effective: true },
      'asked again, it is done',
    )
    const free = await start({})
    await ended(engine, free)
    await late(free, false)
    await seen(engine, free, 'execution.rolled_back')
  },
)

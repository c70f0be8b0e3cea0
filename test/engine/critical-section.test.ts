/** A mutex across branches, executions and nodes: one is within at a time, in the order in which they came. */
import t from 'tap'
import type { WorkflowEngine } from '../../src/engine/engine.ts'
import { until } from '../harness/condition.ts'
import { createTestDatabase } from '../harness/database.ts'
import { type Calls, call, ended, latch, seen, startEngine } from './running-engine.ts'

const section = (id: string, steps: readonly object[], rest: object = {}): object => ({
  id,
  type: 'critical_section',
  config: { mutex: 'ledger', steps },
  ...rest,
})

/** `work` notes who is within by the path of its section; each call waits for `letGo`. */
function door() {
  const within: string[] = []
  const order: string[] = []
  const gates = new Map<string, ReturnType<typeof latch<string>>>()
  const gateOf = (who: string) => gates.get(who) ?? gates.set(who, latch<string>()).get(who)!
  let most = 0
  const work: Calls[string] = async ({ executionId, path, signal }) => {
    const who = `${executionId} ${path}`
    within.push(who)
    order.push(who)
    most = Math.max(most, within.length)
    const leave = (): void => void within.splice(within.indexOf(who), 1)
    signal.addEventListener('abort', leave, { once: true })
    const result = await gateOf(who).promise
    signal.removeEventListener('abort', leave)
    leave()
    return result
  }
  return { work, within, order, most: () => most, letGo: (who: string) => gateOf(who).open('done') }
}

const isWithin = (within: readonly string[], who: string): Promise<unknown> =>
  until(`${who} is within`, async () => within[0] === who)

const define = async (engine: WorkflowEngine, name: string, steps: readonly object[]) =>
  (await engine.createWorkflow({ name, steps })).id

t.test('branches, executions, workflows and nodes take turns, first come, first served', async (t) => {
  const { work, within, order, most, letGo } = door()
  const { url: databaseUrl } = await createTestDatabase(t)
  const engines = [await startEngine(t, { work }, { databaseUrl }), await startEngine(t, { work }, { databaseUrl })]
  const [engine] = engines as [WorkflowEngine]
  const one = await define(engine, 'one', [section('s', [call('work')])])
  const two = await define(engine, 'two', [
    {
      id: 'p',
      type: 'parallel',
      config: { steps: [section('a', [call('work')]), section('b', [{ ...call('work'), id: 'again' }])] },
    },
  ])
  const expected: string[] = []
  const ids: string[] = []
  for (const [index, workflowId] of [one, two, one].entries()) {
    const id = await engines[index % 2]!.startExecution(workflowId)
    const paths = workflowId === one ? ['s'] : ['p.a', 'p.b']
    for (const path of paths) await seen(engine, id, 'step.queued', path)
    expected.push(...paths.map((path) => `${id} ${path}.${path === 'p.b' ? 'again' : 'work'}`))
    ids.push(id)
  }
  for (const who of expected) {
    await isWithin(within, who)
    letGo(who)
  }
  for (const id of ids) t.match(await ended(engine, id), { status: 'completed' })
  t.same(order, expected)
  t.equal(most(), 1)
})

t.test('whatever becomes of who is within, the next one follows', async (t) => {
  const { work, within, most, letGo } = door()
  const engine = await startEngine(t, { work, fails: () => Promise.reject(new Error('no')) })
  const steps = { held: [section('s', [call('work')])], failing: [section('s', [call('fails')])] }
  const held = await define(engine, 'held', steps.held)
  const failing = await define(engine, 'failing', steps.failing)
  const late = await define(engine, 'late', [section('s', [call('work')], { timeoutMs: 100 })])
  const start = async (workflowId: string): Promise<string> => {
    const id = await engine.startExecution(workflowId)
    await seen(engine, id, 'step.queued', 's')
    return id
  }
  const cancelled = await start(held)
  await isWithin(within, `${cancelled} s.work`)
  const [failed, timed, rolledBack, last] = [
    await start(failing),
    await start(late),
    await start(held),
    await start(held),
  ]
  await engine.cancelExecution(cancelled)
  t.match((await ended(engine, failed)).status, 'failed')
  t.match((await ended(engine, timed)).error, { type: 'TimeoutError', stepPath: 's' })
  await isWithin(within, `${rolledBack} s.work`)
  await engine.pauseExecution(last)
  letGo(`${rolledBack} s.work`)
  t.match(await ended(engine, rolledBack), { status: 'completed' })
  await engine.resumeExecution(last)
  await isWithin(within, `${last} s.work`)
  letGo(`${last} s.work`)
  t.match(await ended(engine, last), { status: 'completed' })
  t.equal(most(), 1)
})

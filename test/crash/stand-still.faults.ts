/**
 * A node stands still for longer than its lease (SIGSTOP), others go on with what it had, and it wakes up late (SIGCONT): it
 * commits nothing, begins no attempt, learns that it is dead, and begins anew.
 */
import type { ServerResponse } from 'node:http'
import t, { type Test } from 'tap'
import type { JournalEvent } from '../../src/engine/core/event.ts'
import { listen, type Received, sendJson } from '../engine/actions/loopback.ts'
import { latch } from '../engine/running-engine.ts'
import { until } from '../harness/condition.ts'
import { createTestStore } from '../harness/rows.ts'
import { Cluster, type NodeChild, reborn } from './cluster.ts'
import { violationsOf } from './comparison.ts'
import { type Entry, startLedger } from './ledger.ts'
import { planOf, step } from './scenario.ts'

t.jobs = 3
t.setTimeout(600_000)
const parallel = { buffered: true }

/** Of the node that stands still; the others' is longer than any machine is slow. */
const leaseMs = 8_000

type Delivery = 'at_least_once' | 'at_most_once'

/** A service that is asked by the step `ask` and answers who asked first when the test says so, others at once. */
async function open(t: Test, delivery: Delivery) {
  const { store, url: databaseUrl, database } = await createTestStore(t)
  const ledger = await startLedger(t)
  const [asked, gate] = [latch(), latch()]
  const entries: Entry[] = []
  let isHeld = false
  // Its connection is kept, so that what a late node sends is there at once.
  const service = await listen(t, answered, { keepAliveMs: 600_000 })
  async function answered({ url, headers }: Received, response: ServerResponse): Promise<void> {
    if (url === '/warm') return sendJson(response, 'warm')
    entries.push({ path: 'ask', key: String(headers['idempotency-key']), attempt: 1 })
    const nth = entries.length
    if (isHeld && nth === 1) {
      asked.open()
      await gate.promise
    }
    sendJson(response, `answer ${nth}`)
  }
  const request = (id: string, rest: object = {}) => ({
    id,
    type: 'action',
    config: { type: 'http_request', method: 'POST', url: `${service.url}/${id}` },
    ...rest,
  })
  const definition = {
    name: 'asking',
    steps: [request('warm'), request('ask', { delivery }), step('after', { value: '{{ data }}' })],
  }
  const cluster = new Cluster({ databaseUrl, ledgerUrl: ledger.url, leaseMs: 60_000 })
  t.teardown(() => cluster.kill())

  const begin = async (node: NodeChild): Promise<string> => {
    const url = await node.url
    const post = async (address: string, body: object): Promise<string> => {
      const headers = { 'content-type': 'application/json' }
      const answer = await fetch(`${url}${address}`, { method: 'POST', headers, body: JSON.stringify(body) })
      return ((await answer.json()) as { id: string }).id
    }
    const workflowId = await post('/api/workflows', definition)
    return post('/api/workflows/executions', { workflowId })
  }
  const journalOf = (id: string): Promise<JournalEvent[]> => store.eventsAfter(id, 0, 1_000)
  const ended = (id: string) =>
    until('the execution has ended', async () => {
      const execution = await store.findExecutionView(id)
      return (execution?.status === 'completed' || execution?.status === 'failed') && execution
    })
  return {
    cluster,
    begin,
    journalOf,
    ended,
    hold: () => (isHeld = true),
    asked: asked.promise,
    answer: gate.open,
    /** How often the service was asked. */
    asks: () => entries.length,
    ownedBy: async (node: string) =>
      (await database.pool.query('SELECT FROM workflow_executions WHERE owner = $1', [node])).rowCount,
    /** The journal, the service and the ledger agree. */
    async agree(id: string) {
      const execution = (await store.findExecution(id))!
      const heard = [...entries, ...ledger.entries]
      const history = await journalOf(id)
      t.same(violationsOf({ plan: planOf(definition), execution, history, entries: heard }), [])
      return heard
    },
  }
}

/** The late node is woken; it must leave everything as others have left it, and be of use again. */
async function wakesUp(t: Test, scene: Awaited<ReturnType<typeof open>>, late: NodeChild, id: string): Promise<void> {
  const former = late.ids.at(-1)!
  const [journal, heard] = [await scene.journalOf(id), await scene.agree(id)]
  const present = reborn(late)
  late.process.kill('SIGCONT')
  t.not(await present, former, 'it has learnt that it is dead, and lives anew')
  const { status } = await fetch(`${await late.url}/health/live`)
  t.equal(status, 200, 'the process itself is well')
  t.same(await scene.journalOf(id), journal, 'it has committed nothing')
  t.same(await scene.agree(id), heard, 'and performed nothing')
  t.equal(await scene.ownedBy(former), 0, 'and has taken nothing')
}

/** A node that stands still while the service that it asks has not answered, and another node that takes over. */
async function inTheMiddle(t: Test, delivery: Delivery) {
  const scene = await open(t, delivery)
  scene.hold()
  const late = scene.cluster.start(undefined, { leaseMs })
  const id = await scene.begin(late)
  await scene.asked
  late.process.kill('SIGSTOP')
  scene.cluster.start()
  return { scene, late, id, execution: await scene.ended(id) }
}

t.test('in the middle of an http_request: performed elsewhere, and the late answer is dropped', parallel, async (t) => {
  const { scene, late, id, execution } = await inTheMiddle(t, 'at_least_once')
  t.match(execution, { status: 'completed', output: 'answer 2' })
  t.equal(scene.asks(), 2)
  // It lies in the socket of the process that stands still.
  scene.answer()
  await wakesUp(t, scene, late, id)
  t.ok((await scene.journalOf(id)).some(({ type }) => type === 'execution.recovered'))
})

t.test('in the middle of an at_most_once http_request: it fails elsewhere, and stays failed', parallel, async (t) => {
  const { scene, late, id, execution } = await inTheMiddle(t, 'at_most_once')
  t.match(execution, { status: 'failed', error: { type: 'StepInterrupted', stepPath: 'ask' } })
  scene.answer()
  await wakesUp(t, scene, late, id)
  t.equal(scene.asks(), 1)
})

for (const [point, when] of [
  ['after flush step.completed', 'before it looks whether it may perform an http_request'],
  ['before perform ask', 'after it has looked whether it may perform an http_request'],
] as const) {
  t.test(`right ${when}: performed elsewhere, and not by the late node`, parallel, async (t) => {
    const scene = await open(t, 'at_least_once')
    const late = scene.cluster.start({ point, nth: 1, signal: 'SIGSTOP' }, { leaseMs })
    const id = await scene.begin(late)
    scene.cluster.start()
    t.match(await scene.ended(id), { status: 'completed', output: 'answer 1' })
    await wakesUp(t, scene, late, id)
    t.equal(scene.asks(), 1, 'only the other node has asked')
  })
}

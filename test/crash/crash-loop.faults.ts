/** An action that ends its process takes node after node with it, until its execution is set aside. */
import t, { type Test } from 'tap'
import type { WorkflowEngine } from '../../src/engine/engine.ts'
import { listen, sendJson } from '../engine/actions/loopback.ts'
import { until } from '../harness/condition.ts'
import { createTestStore } from '../harness/rows.ts'
import { Cluster } from './cluster.ts'
import { startLedger } from './ledger.ts'
import { endOf } from './processes.ts'
import { scenarioEngine } from './scenario.ts'

t.setTimeout(600_000)

/** The node that begins the execution, and the five that take it over one after another. */
const deaths = 6

/** A cluster, and a service whose answers wait until the test lets them go, by their path. */
async function open(t: Test) {
  const { store, url: databaseUrl, database } = await createTestStore(t)
  const ledger = await startLedger(t)
  const held: { readonly url: string; answer(): void }[] = []
  const open = new Set<string>()
  const service = await listen(t, ({ url }, response) => {
    const answer = () => sendJson(response, url)
    if (open.has(url)) answer()
    else held.push({ url, answer })
  })
  const cluster = new Cluster({ databaseUrl, ledgerUrl: ledger.url, leaseMs: 60_000 })
  t.teardown(() => cluster.kill())
  const engine = scenarioEngine({ databaseUrl, ledgerUrl: ledger.url, maxRunning: 0 })
  await engine.start()
  const start = async (name: string, paths: readonly string[], type: object = { type: 'http_request' }) => {
    const step = (path: string) => ({
      id: path,
      type: 'action',
      config: { ...type, url: `${service.url}/${name}/${path}` },
    })
    const { id } = await engine.createWorkflow({ name, steps: paths.map(step) })
    return engine.startExecution(id, 'test')
  }
  return {
    cluster,
    start,
    stop: () => engine.stop(),
    find: async (id: string) => (await store.findExecution(id))!,
    asked: (path: string) => service.received.filter(({ url }) => url === path).length,
    /** Answers what was asked, and all that will be. */
    answer(path: string) {
      open.add(path)
      for (const { url, answer } of held) if (url === path) answer()
    },
    /** Answers the latest who asked, and nobody after it. */
    answerLast: (path: string) => held.findLast(({ url }) => url === path)!.answer(),
    completed: async (id: string) =>
      (await store.eventsAfter(id, 0, 1_000)).filter(({ type }) => type === 'step.completed').length,
    sweep: () => database.pool.query('DELETE FROM nodes'),
    survivor: async (): Promise<WorkflowEngine> => {
      const survivor = scenarioEngine({ databaseUrl, ledgerUrl: ledger.url })
      t.teardown(() => survivor.stop())
      await survivor.start()
      return survivor
    },
  }
}

const ends = { exit: 7, kill: 'SIGKILL' } as const

for (const how of ['exit', 'kill'] as const) {
  t.test(`an action that ends its process (${how}): its execution is set aside, the others go on`, async (t) => {
    const scene = await open(t)
    const paths = Array.from({ length: deaths }, (_, index) => `s${index}`)
    const other = await scene.start('other', paths)
    const stuck = await scene.start('stuck', ['wait'])
    const fatal = await scene.start('fatal', ['end'], { type: 'fatal', how })
    // From here on the nodes are the cluster's.
    await scene.stop()

    for (let life = 1; life <= deaths; life++) {
      const node = scene.cluster.start()
      scene.answer(`/other/s${life - 1}`)
      await until(
        'all are at work',
        async () => scene.asked('/fatal/end') === life && scene.asked('/stuck/wait') === life,
      )
      await until('another execution comes a step further', async () => (await scene.completed(other)) === life)
      scene.answerLast('/fatal/end')
      t.equal(await endOf(node.process), ends[how], 'the action has ended the process')
      // Its lease has run out.
      await scene.sweep()
    }

    const survivor = await scene.survivor()
    t.match(await survivor.waitForEnd(fatal, 60_000), { status: 'failed', error: { type: 'CrashLoop' }, owner: null })
    t.equal(scene.asked('/fatal/end'), deaths, 'it was not performed once more')
    t.match(await survivor.waitForEnd(other, 60_000), { status: 'completed', output: `/other/s${deaths - 1}` })
    for (const path of paths) t.ok(scene.asked(`/other/${path}`) <= 2, 'what was completed is not repeated')

    // Nobody can tell which of those that stood still in all six nodes has ended them.
    t.match(await survivor.waitForEnd(stuck, 60_000), { status: 'failed', error: { type: 'CrashLoop' } })
    scene.answer('/stuck/wait')
    await survivor.retryExecution(stuck)
    t.match(await survivor.waitForEnd(stuck, 60_000), { status: 'completed', output: '/stuck/wait' }, 'a retry ends it')
  })
}

/**
 * A node with ten thousand running executions is killed: how long until each of them goes on elsewhere, while the survivors'
 * own executions go on. The time counts from SIGKILL to the committed `execution.recovered`, the lease included.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { parseArgs } from 'node:util'
import type { WorkflowEngine } from '../src/engine/engine.ts'
import { withDatabase } from './database.ts'
import { spread, watchProcess } from './samples.ts'
import { holdingNode } from './takeover-node.ts'

const { values } = parseArgs({
  options: {
    count: { type: 'string' },
    survivors: { type: 'string', default: '2' },
    lease: { type: 'string', default: '15000' },
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})
const count = Number(values.count ?? (values.quick ? 1_000 : 10_000))
const leaseMs = Number(values.lease)
const ownDefinition = {
  name: 'own',
  steps: [{ id: 'one', name: 'One', type: 'action', config: { type: 'echo', value: 1 } }],
}

await withDatabase('takeover', async (url) => {
  const victim = await startVictim(url)
  const after: number[] = []
  const shares: number[] = []
  const over = Promise.withResolvers<void>()
  let ended = 0
  let killedAt = 0
  const survivors = Array.from({ length: Number(values.survivors) }, (_, index) =>
    holdingNode(url, leaseMs, 'end', {
      committed(_row, { events }) {
        for (const { type } of events) {
          if (type !== 'execution.recovered') continue
          after.push(performance.now() - killedAt)
          shares[index] = (shares[index] ?? 0) + 1
        }
        if (events.at(-1)!.type === 'execution.completed' && events.at(-1)!.seq > 4) ended += 1
        if (ended === count) over.resolve()
      },
    }),
  )
  // One after the other: the first one migrates.
  for (const survivor of survivors) await survivor.start()
  const done = watchProcess()
  const own = keepBusy(survivors)
  killedAt = performance.now()
  victim.kill('SIGKILL')
  await over.promise
  const lastEndedMs = Math.round(performance.now() - killedAt)
  const ownMs = await own.stop()
  const figures = {
    count,
    leaseMs,
    survivors: survivors.length,
    shares,
    ...spread(after),
    lastEndedMs,
    ...done(),
    ownMs,
  }
  if (values.json) console.log(JSON.stringify(figures))
  else console.table(Object.entries(figures).map(([name, value]) => ({ name, value: JSON.stringify(value) })))
  for (const survivor of survivors) await survivor.stop()
})

async function startVictim(url: string): Promise<ChildProcess> {
  const victim = fork(path.join(import.meta.dirname, 'takeover-node.ts'), {
    env: { ...process.env, DATABASE_URL: url, COUNT: String(count), LEASE_MS: String(leaseMs) },
  })
  await once(victim, 'message')
  return victim
}

/** Starts an execution on each survivor as soon as the one before has ended; answers how long they took. */
function keepBusy(survivors: readonly WorkflowEngine[]): { stop(): Promise<object> } {
  const durations: number[] = []
  let failed = 0
  let isOver = false
  const loops = survivors.map(async (engine) => {
    const { id } = await engine.createWorkflow({ ...ownDefinition, name: `own ${survivors.indexOf(engine)}` })
    while (!isOver) {
      const startedAt = performance.now()
      try {
        await engine.waitForEnd(await engine.startExecution(id, 'perf', null), 60_000)
        durations.push(performance.now() - startedAt)
      } catch {
        failed += 1
      }
    }
  })
  return {
    async stop() {
      isOver = true
      await Promise.all(loops)
      return { ended: durations.length, failed, ...spread(durations) }
    },
  }
}

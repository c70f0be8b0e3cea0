/**
 * How much later than its commit an event is heard on another node: one process runs the executions, this one watches them,
 * with NOTIFY and without.
 */
import { fork } from 'node:child_process'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { WorkflowEngine } from '../src/engine/engine.ts'
import { withDatabase } from './database.ts'
import { spread } from './samples.ts'
import type { FromOwner, ToOwner } from './watch-owner.ts'
import { machineMs } from './watch-owner.ts'

const { values } = parseArgs({
  options: { executions: { type: 'string', default: '100' }, json: { type: 'boolean', default: false } },
})
const executions = Number(values.executions)

/** The first step leaves time to subscribe; the others end at times of their own. */
const SETTLE_MS = 5_000
const steps = Array.from({ length: 20 }, (_, i) => ({
  id: `s${i}`,
  name: `s${i}`,
  type: 'action',
  config: { type: 'echo', value: i, delayMs: i === 0 ? SETTLE_MS : 150 + i },
}))

interface Watched {
  readonly notify: 'on' | 'off'
  readonly events: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

async function measure(notify: 'on' | 'off'): Promise<Watched> {
  return withDatabase(`watch_${notify}`, async (databaseUrl) => {
    // This node takes up nothing by itself.
    const engine = new WorkflowEngine({ databaseUrl, notify: notify === 'on', maxRunning: 1 })
    await engine.start()
    const { id: workflowId } = await engine.createWorkflow({ name: 'watched', steps })
    const heard = new Map<string, number>()
    const committed = new Map<string, number>()
    const owner = fork(path.join(import.meta.dirname, 'watch-owner.ts'), {
      env: { ...process.env, DATABASE_URL: databaseUrl, NOTIFY: notify },
    })
    const over = new Promise<void>((resolve, reject) => {
      owner.on('message', (message: FromOwner) => {
        if ('started' in message) for (const id of message.started) watch(engine, id, heard)
        else if ('committed' in message)
          for (const [id, seq, at] of message.committed) committed.set(`${id} ${seq}`, at)
        else resolve()
      })
      owner.once('exit', (code) => reject(new Error(`the owner ended: ${code}`)))
    })
    owner.send({ workflowId, executions } satisfies ToOwner)
    await over
    while ([...committed.keys()].some((key) => !heard.has(key) && !key.endsWith(' 1')))
      await new Promise((resolve) => setTimeout(resolve, 50))
    await engine.stop()
    return figures(notify, heard, committed)
  })
}

/** From the snapshot on: what was committed before anybody listened is not late. */
function watch(engine: WorkflowEngine, executionId: string, heard: Map<string, number>): void {
  engine.subscribe(executionId, (message) => {
    if (message.type === 'event') heard.set(`${executionId} ${message.seq}`, machineMs())
  })
}

function figures(notify: 'on' | 'off', heard: Map<string, number>, committed: Map<string, number>): Watched {
  const delays = [...heard].map(([key, at]) => at - committed.get(key)!)
  return { notify, events: delays.length, ...spread(delays) }
}

const measured = [await measure('on'), await measure('off')]
if (values.json) process.stdout.write(`${JSON.stringify(measured)}\n`)
else {
  process.stdout.write(
    `| NOTIFY | executions | events | p50 ms | p99 ms | max ms |\n| --- | --- | --- | --- | --- | --- |\n`,
  )
  for (const { notify, events, p50Ms, p99Ms, maxMs } of measured)
    process.stdout.write(`| ${notify} | ${executions} | ${events} | ${p50Ms} | ${p99Ms} | ${maxMs} |\n`)
}

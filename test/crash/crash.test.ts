import { spawn } from 'node:child_process'
import path from 'node:path'
import t, { type Test } from 'tap'
import type { EventType, JournalEvent } from '../../src/engine/core/event.ts'
import { createTestDatabase } from '../harness/database.ts'
import { type Entry, startLedger } from './ledger.ts'
import { definition, drive, scenarioEngine } from './scenario.ts'

const killedAfter: readonly (EventType | `perform ${string}`)[] = [
  'execution.scheduled',
  'execution.started',
  'step.entered',
  'step.skipped',
  'step.started',
  'step.completed',
  'step.failed',
  'timer.fired',
  'condition.evaluated',
  'execution.parked',
  'execution.pause_requested',
  'execution.paused',
  'execution.resumed',
  'signal.received',
  'execution.failed',
  'execution.retried',
  'execution.completed',
  'execution.rolled_back',
  'perform two',
  'perform once',
  'perform fan.left',
]

for (const killAt of killedAfter) {
  t.test(`killed after "${killAt}", an execution goes on by itself and performs no completed step again`, async (t) => {
    const { url: databaseUrl } = await createTestDatabase(t)
    const { url: ledgerUrl, entries } = await startLedger(t)
    const executionId = await schedule(databaseUrl, ledgerUrl)
    if (killAt !== 'execution.scheduled') {
      const signal = await runVictim({
        DATABASE_URL: databaseUrl,
        LEDGER_URL: ledgerUrl,
        EXECUTION_ID: executionId,
        KILL_AT: killAt,
      })
      t.equal(signal, 'SIGKILL', 'it came to the point where it dies')
    }
    const survivor = scenarioEngine({ databaseUrl, ledgerUrl })
    t.teardown(() => survivor.stop())
    await survivor.start()
    const history = await drive(survivor, executionId)

    t.same(
      history.map((event) => event.seq),
      history.map((_, index) => index + 1),
      'seq has no hole',
    )
    compare(t, history, entries)
    const execution = await survivor.getExecution(executionId)
    t.equal(execution.status, 'completed')
    t.same(execution.output, { sum: 3 }, 'the outcome is that of an undisturbed run')
  })
}

/** Leaves an execution that is due, without running it. */
async function schedule(databaseUrl: string, ledgerUrl: string): Promise<string> {
  const engine = scenarioEngine({ databaseUrl, ledgerUrl })
  await engine.start()
  const workflow = await engine.createWorkflow(definition)
  const executionId = await engine.startExecution(workflow.id, 'test', null, { startAt: Date.now() + 300 })
  await engine.stop()
  return executionId
}

function runVictim(environment: Record<string, string>): Promise<NodeJS.Signals | number | null> {
  const victim = spawn(process.execPath, [path.join(import.meta.dirname, 'victim.ts')], {
    env: { PATH: process.env.PATH, ...environment },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  return new Promise((resolve) => victim.once('exit', (code, signal) => resolve(signal ?? code)))
}

/** What the world saw against what the journal says. */
function compare(t: Test, history: readonly JournalEvent[], entries: readonly Entry[]): void {
  const recorded = new Map<string, JournalEvent[]>()
  let generation = 0
  for (const event of history) {
    if (event.type === 'execution.rolled_back') generation += 1
    if (event.type !== 'step.completed' && event.type !== 'step.failed') continue
    const key = `${event.executionId}/${generation}/${event.path}`
    recorded.set(key, [...(recorded.get(key) ?? []), event])
  }
  for (const [key, seen] of Map.groupBy(entries, (entry) => entry.key)) {
    const events = recorded.get(key) ?? []
    const path = seen[0]!.path
    const ordered = history.filter((event) => event.type === 'execution.retried').length
    if (path === 'once')
      t.ok(seen.length <= 1 + ordered, `${key}: at_most_once is performed again only when somebody orders it`)
    else
      t.ok(seen.length <= events.length + 1, `${key}: performed ${seen.length} times, on record ${events.length} times`)
    const completed = events.filter((event) => event.type === 'step.completed')
    t.ok(completed.length <= 1, `${key}: completed once`)
  }
}

import type { Test } from 'tap'
import type { JournalEvent } from '../../src/engine/core/event.ts'
import type { WorkflowEngine } from '../../src/engine/engine.ts'
import type { ExecutionRow } from '../../src/repository/execution-row.ts'
import { journalOf } from '../engine/running-engine.ts'
import { createTestDatabase } from '../harness/database.ts'
import { withClient } from '../harness/server.ts'
import { violationsOf } from './comparison.ts'
import { executionOf, type Ledger, startLedger } from './ledger.ts'
import type { Point } from './points.ts'
import { endOf, startVictim } from './processes.ts'
import { drive, definition as everything, planOf, scenarioEngine } from './scenario.ts'

/** An execution, by default of the scenario, on a database of its own, and the world that it acts on. */
export interface Scene {
  readonly definition: object
  readonly databaseUrl: string
  readonly ledger: Ledger
  readonly workflowId: string
  readonly executionId: string
  readonly sql: (text: string) => Promise<unknown[]>
}

/** The execution is due, and nobody has run it yet. `others` are workflows that its definition names. */
export async function prepare(
  t: Test,
  definition: object = everything,
  others: readonly object[] = [],
): Promise<Scene> {
  const { url: databaseUrl } = await createTestDatabase(t)
  const ledger = await startLedger(t)
  // A node without room leaves the start to others.
  const engine = scenarioEngine({ databaseUrl, ledgerUrl: ledger.url, maxRunning: 0 })
  await engine.start()
  for (const other of others) await engine.createWorkflow(other)
  const { id: workflowId } = await engine.createWorkflow(definition)
  const executionId = await engine.startExecution(workflowId, 'test')
  await engine.stop()
  const sql = (text: string) => withClient(databaseUrl, async (client) => (await client.query(text)).rows)
  return { definition, databaseUrl, ledger, workflowId, executionId, sql }
}

/**
 * A process takes the execution on and is killed when it comes to the point; with `STOP_AT` it is on its way out by then. It
 * drives the execution through the scenario unless it is told not to.
 */
export async function dies(
  t: Test,
  scene: Scene,
  how: { DIE_AT: Point; STOP_AT?: Point; LEASE_MS?: string; UNDRIVEN?: string },
): Promise<void> {
  const { databaseUrl, ledger, executionId } = scene
  const victim = startVictim(t, {
    DATABASE_URL: databaseUrl,
    LEDGER_URL: ledger.url,
    EXECUTION_ID: executionId,
    ...how,
  })
  t.equal(await endOf(victim), 'SIGKILL', `killed ${how.DIE_AT}`)
}

/** The lease of whoever has died is over: the next process sweeps it away and takes over what it left. */
export async function leasesRunOut({ sql }: Scene): Promise<void> {
  await sql("UPDATE nodes SET expires_at = clock_timestamp() - interval '1 s'")
}

/** Somebody has swept away whoever has died: the next process takes over at once. */
export async function deadAreSwept({ sql }: Scene): Promise<void> {
  await sql('DELETE FROM nodes')
}

/**
 * Another process takes the execution to its end, and everything is as if nobody had died. With a short lease (ms) of its own it
 * soon notices that one has run out.
 */
export async function goesOn(t: Test, scene: Scene, leaseMs?: number): Promise<void> {
  const survivor = await survivorOf(t, scene, leaseMs)
  const history = await drive(survivor, scene.executionId)
  const execution = await agreed(t, scene, survivor, history)
  t.equal(execution.status, 'completed')
  t.same(execution.output, { sum: 3 }, 'the outcome is that of an undisturbed run')
}

/** Another process takes an execution that nobody drives to its end. Journal and ledger agree; the execution, and its journal. */
export async function endsElsewhere(t: Test, scene: Scene) {
  const survivor = await survivorOf(t, scene)
  await survivor.waitForEnd(scene.executionId, 120_000)
  const history = await journalOf(survivor, scene.executionId)
  return { survivor, history, execution: await agreed(t, scene, survivor, history) }
}

async function survivorOf(t: Test, { databaseUrl, ledger }: Scene, leaseMs?: number): Promise<WorkflowEngine> {
  const survivor = scenarioEngine({ databaseUrl, ledgerUrl: ledger.url, leaseMs })
  t.teardown(() => survivor.stop())
  await survivor.start()
  return survivor
}

/** The execution as the survivor has it, when the world heard what the journal says. */
export async function agreed(
  t: Test,
  { ledger, executionId, definition }: Scene,
  survivor: WorkflowEngine,
  history: readonly JournalEvent[],
): Promise<ExecutionRow> {
  const execution = await survivor.getExecution(executionId)
  const entries = ledger.entries.filter((entry) => executionOf(entry) === executionId)
  t.same(violationsOf({ plan: planOf(definition), execution, history, entries }), [])
  return execution
}

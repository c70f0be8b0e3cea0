import { type AtPoint, observeAttempts, pointsOf } from './points.ts'
import { drive, scenarioEngine } from './scenario.ts'

/*
 * The process that dies: it runs the scenario and is killed when it comes to the point DIE_AT. At the point STOP_AT it begins
 * to stop in good order, for deaths on the way out. START names the workflow of which it begins an execution itself, under the
 * key START_KEY if there is one; otherwise it takes EXECUTION_ID on, and leaves it to itself when it is UNDRIVEN.
 */
const { DATABASE_URL, LEDGER_URL, EXECUTION_ID, DIE_AT, STOP_AT, START, START_KEY, LEASE_MS, UNDRIVEN } =
  process.env as Record<string, string>

// It must not outlive a test that is killed itself.
process.on('disconnect', () => process.exit(1))

let isHit = false
const at: AtPoint = (point) => {
  if (point === STOP_AT) void missed()
  if (point !== DIE_AT || isHit) return
  isHit = true
  process.kill(process.pid, 'SIGKILL')
}

const engine = scenarioEngine({
  databaseUrl: DATABASE_URL!,
  ledgerUrl: LEDGER_URL!,
  leaseMs: LEASE_MS === undefined ? undefined : Number(LEASE_MS),
  observer: observeAttempts(at),
  seams: pointsOf(at),
})
await engine.start()
if (START !== undefined) {
  process.send!({ executionId: await started(START) })
}
// On the way out nobody answers its requests any more.
if (EXECUTION_ID !== undefined) {
  const over = UNDRIVEN === undefined ? drive(engine, EXECUTION_ID) : engine.waitForEnd(EXECUTION_ID, 600_000)
  await over.then(missed, () => (STOP_AT === undefined ? missed() : undefined))
}
process.on('message', () => void engine.stop().then(() => process.disconnect()))

/** If even its stop does not come to the point at which it was to die, the test is told, instead of waiting for ever. */
async function missed(): Promise<void> {
  await engine.stop()
  process.exit(3)
}

/** As a client would: what was not answered is asked for again. */
async function started(workflowId: string): Promise<string> {
  for (;;) {
    try {
      return await engine.startExecution(workflowId, 'test', null, { idempotencyKey: START_KEY })
    } catch (error) {
      process.stderr.write(`the start was not answered: ${(error as Error).message}\n`)
    }
  }
}

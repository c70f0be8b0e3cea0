import { drive, scenarioEngine } from './scenario.ts'

/*
 * The process that dies: it runs the scenario and kills itself, with SIGKILL, as soon as an event of the kind named by
 * KILL_AT is committed and before anything else can happen; or `perform`: after the ledger heard of an attempt of KILL_PATH.
 */
const { DATABASE_URL, LEDGER_URL, EXECUTION_ID, KILL_AT } = process.env as Record<string, string>

// It must not outlive a test that is killed itself.
process.on('disconnect', () => process.exit(1))

const engine = scenarioEngine({
  databaseUrl: DATABASE_URL!,
  ledgerUrl: LEDGER_URL!,
  observer: {
    committed(_, { events }) {
      if (events.some((event) => event.type === KILL_AT)) process.kill(process.pid, 'SIGKILL')
    },
    attemptEnded({ path }) {
      if (KILL_AT === `perform ${path}`) process.kill(process.pid, 'SIGKILL')
    },
  },
})
await engine.start()
await drive(engine, EXECUTION_ID!)
await engine.stop()
process.disconnect()

/**
 * `npm run torture`: nodes under load that are killed and stand still for some minutes, and what was lost (nothing).
 * `--minutes` 5, `--nodes` 3, `--clients` 24, `--lease-ms` 5000, `--stop-probability` 0.3; `--seed` repeats the choices,
 * though not their timing. Ends with 1 when a promise was broken. DATABASE: as `npm run perf`.
 */
import os from 'node:os'
import { parseArgs } from 'node:util'
import { type Fault, faultKinds } from '../test/crash/faults.ts'
import { standTrial, type Trial } from '../test/crash/trial-by-fire.ts'
import { withDatabase } from './database.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    nodes: { type: 'string', default: '3' },
    clients: { type: 'string', default: '24' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    'lease-ms': { type: 'string', default: '5000' },
    'stop-probability': { type: 'string', default: '0.3' },
  },
})
const until = performance.now() + Number(values.minutes) * 60_000
const trial = await withDatabase('torture', (databaseUrl) =>
  standTrial({
    databaseUrl,
    nodes: Number(values.nodes),
    seed: Number(values.seed),
    leaseMs: Number(values['lease-ms']),
    clients: Number(values.clients),
    stopProbability: Number(values['stop-probability']),
    goesOn: () => performance.now() < until,
  }),
)
console.log(
  `${os.cpus().length} × ${os.cpus()[0]?.model}, Node ${process.versions.node}, ${new Date().toISOString().slice(0, 10)}`,
  JSON.stringify(values),
)
console.table(faultKinds.map((how) => faultRow(how, trial)))
const { executions, events, ledgerEntries, acknowledged, violations } = trial
console.table([{ executions, events, 'ledger entries': ledgerEntries, acknowledged, violations: violations.length }])
for (const violation of violations) console.log(violation)
if (violations.length > 0) process.exitCode = 1

/** How often, how many executions were taken over, and how long it took from the fault to the takeover of the last one. */
function faultRow(how: Fault['how'], { faults, recoveries }: Trial) {
  const own = recoveries.filter((recovery) => recovery.how === how)
  const times = own.map(({ ms }) => ms).sort((a, b) => a - b)
  return {
    fault: how,
    times: faults.filter((fault) => fault.how === how).length,
    'taken over': own.reduce((sum, recovery) => sum + recovery.executions, 0),
    'recovery p50 ms': Math.round(times[times.length >> 1] ?? 0),
    'recovery max ms': Math.round(times.at(-1) ?? 0),
  }
}

import { check } from './property.ts'

// Runs the simulation until something is broken, and says what; for mutants.faults.ts, which has planted a bug.
const [seed, runs] = process.argv.slice(2).map(Number)
const { failure } = await check({ seed: seed!, runs: runs!, shrinkMs: 0 })
process.stdout.write(
  `${JSON.stringify(failure === null ? null : { rule: failure.rule, what: failure.what, runs: failure.runs })}\n`,
)

import fc from 'fast-check'
import { type Outcome, run } from './run.ts'
import { type Scenario, scenarios } from './scenario.ts'

/** A run that broke a rule, made as small as it gets. */
export interface Failure {
  readonly rule: string
  readonly what: string
  readonly scenario: Scenario
  readonly trace: readonly string[]
  readonly seed: number
  readonly path: string
  /** Runs until it was found. */
  readonly runs: number
}

export interface Totals {
  runs: number
  steps: number
  /** ms of the worlds' time. */
  lasted: number
}

export interface CheckOptions {
  readonly seed: number
  readonly runs: number
  /** Goes to one run of the seed directly: what a failure was reported with. */
  readonly path?: string | undefined
  /** How much time may go into making a failure smaller, ms. */
  readonly shrinkMs?: number
  readonly onRun?: (totals: Totals) => void
}

/** Runs random scenarios until one of them breaks a rule; null when none does. */
export async function check(options: CheckOptions): Promise<{ failure: Failure | null; totals: Totals }> {
  const { seed, runs, path, shrinkMs = 20_000, onRun = () => {} } = options
  const totals: Totals = { runs: 0, steps: 0, lasted: 0 }
  let last: { scenario: Scenario; outcome: Outcome } | null = null
  let failedAt: number | null = null
  const property = fc.asyncProperty(scenarios, async (scenario) => {
    // Shrinking takes what time there is and no more: the failure that was found is reported all the same.
    if (failedAt !== null && performance.now() - failedAt > shrinkMs) return
    const outcome = await run(scenario)
    totals.runs += 1
    totals.steps += outcome.steps
    totals.lasted += outcome.lasted
    onRun(totals)
    if (outcome.broken.length === 0) return
    failedAt ??= performance.now()
    last = { scenario, outcome }
    throw new Error(outcome.broken[0]!.rule)
  })
  const details = await fc.check(property, {
    seed,
    numRuns: runs,
    ...(path !== undefined && { path }),
    endOnFailure: path !== undefined || shrinkMs === 0,
  })
  if (!details.failed) return { failure: null, totals }
  const found = last as { scenario: Scenario; outcome: Outcome } | null
  // An error of the simulation itself, not a broken rule.
  if (found === null) throw details.errorInstance ?? new Error('the simulation failed')
  const { rule, what } = found.outcome.broken[0]!
  return {
    totals,
    failure: {
      rule,
      what,
      scenario: found.scenario,
      trace: found.outcome.trace,
      seed,
      path: details.counterexamplePath ?? '',
      runs: details.numRuns,
    },
  }
}

/** What to read, and the command that shows the same failure again. */
export function describe({ rule, what, scenario, trace, seed, path, runs }: Failure, lines = 200): string {
  return [
    `BROKEN after ${runs} runs: ${rule}`,
    what,
    '',
    'The smallest scenario that was found:',
    JSON.stringify(scenario, null, 1),
    '',
    `The last ${lines} lines of what happened (ms of the database's clock):`,
    ...trace.slice(-lines),
    '',
    `Again: npm run simulate -- --seed=${seed} --path=${path}`,
  ].join('\n')
}

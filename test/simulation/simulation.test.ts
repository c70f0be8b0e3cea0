import fc from 'fast-check'
import t from 'tap'
import { check, describe } from './property.ts'
import { run } from './run.ts'
import { scenarios } from './scenario.ts'

// See simulate.ts for what this is. `npm run simulate` runs many more.

const SEEDS = 150
/** The same ones each time, so that what was green stays so; simulate.ts goes looking for others. */
const SEED = 4_242

t.test('whatever goes wrong, every promise holds and everything comes to its end', { timeout: 240_000 }, async (t) => {
  const { failure, totals } = await check({ seed: SEED, runs: SEEDS })
  t.equal(failure === null ? null : describe(failure), null)
  t.comment(`${totals.runs} scenarios, ${totals.steps} steps, ${Math.round(totals.lasted / 1000)} s of simulated time`)
})

t.test('a run repeats exactly', async (t) => {
  for (const scenario of fc.sample(scenarios, { seed: 3, numRuns: 5 })) {
    const [once, again] = [await run(scenario), await run(scenario)]
    t.equal(again.fingerprint, once.fingerprint)
    t.equal(again.steps, once.steps)
  }
})

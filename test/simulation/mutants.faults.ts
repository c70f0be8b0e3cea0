import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { type Mutant, mutants } from './mutants.ts'

/** A planted bug that takes more runs than this to show is as good as missed. */
const MOST_RUNS = 1_000

const run = promisify(execFile)
const file = (name: string): string => path.join(import.meta.dirname, name)

/** What the simulation says of itself with this bug in it; null: it saw nothing. */
async function hunt({ name, seed = 1 }: Mutant): Promise<{ rule: string; runs: number } | null> {
  const preload = ['--import', file('plant.ts')]
  const args = [...preload, file('hunt.ts'), String(seed), String(MOST_RUNS)]
  const env = { ...process.env, SIMULATION_MUTANT: name, NODE_OPTIONS: '' }
  const { stdout } = await run(process.execPath, args, { env, maxBuffer: 2 ** 26 })
  return JSON.parse(stdout)
}

t.jobs = 2
// Ten bugs and more, of which the rarest takes hundreds of runs.
t.setTimeout(900_000)
for (const mutant of mutants) {
  t.test(`a planted bug is found: ${mutant.name}`, { timeout: 280_000 }, async (t) => {
    const found = await hunt(mutant)
    t.ok(found !== null, `it breaks a promise within ${MOST_RUNS} runs`)
    t.comment(`after ${found?.runs} runs: ${found?.rule}`)
  })
}

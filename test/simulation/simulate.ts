/*
 * The simulation: the whole engine (NodeProcess and everything below it), one to three nodes in one process, on a simulated
 * clock and a model of PostgreSQL, driven by fast-check. Run it with `npm run simulate`:
 *
 *   npm run simulate                                20,000 random scenarios, on all cores
 *   npm run simulate -- --seeds=500                 fewer
 *   npm run simulate -- --seed=7 --path=12:0:3      one of them again, as a failure names it, with its trace
 *
 * A scenario (scenario.ts) is what chance decides: workflows (drafts.ts, definitions.ts), what clients ask for (clients.ts) and what goes
 * wrong (faults.ts): processes killed or stopped or standing still (also between a commit and its answer), statements and
 * answers lost or late, slow networks and disks, outages, failovers that lose commits, full disks, clocks that are minutes apart;
 * and hints (NOTIFY) that are lost, late or told twice. One number in it seeds all dice that fall while it runs, so
 * that a run repeats exactly.
 *
 * world.ts       time, and one task after another        model/      PostgreSQL: rows, locks, late commits
 * node.ts        a process with an engine in it          wire.ts     (in model/) what gets lost on the way
 * effects.ts     the action, and what it does            mirror.ts   histories, folded as they are committed
 * audit.ts       the promises, held against all of it    archive.ts  what retention and compaction have removed
 * kinship.ts     ... of parents and children             exclusion.ts  ... of circuits and execution keys
 * decisions.ts   ... of approvals                        mail.ts     ... of emitted signals
 * lines.ts       ... of slots and the lines for them     pace.ts     ... of rate limits
 * people.ts      who decides and tells                   sayings.ts  what they say
 * child-workflows.ts  what sub-workflows run             run.ts      one scenario from its beginning to its end
 * subscriber.ts  who watches                             undisturbed.ts  what should have come of it
 *
 * After 5 s of trouble nothing goes wrong any more, whatever is paused is resumed, and all must come to its end.
 */
import { fork } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { check, describe, type Totals } from './property.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '20000' },
    seed: { type: 'string' },
    path: { type: 'string' },
    jobs: { type: 'string', default: String(availableParallelism()) },
  },
})

const REPORT_MS = 10_000
/** Scenarios that a process runs, from a seed of their own. */
const PORTION = 1_000

if (process.send !== undefined) await work()
else if (values.path !== undefined) await again()
else await share()

/** One of several processes: runs its share and reports to the one that started it. */
async function work(): Promise<void> {
  const { seed, seeds } = values
  const { failure, totals } = await check({
    seed: Number(seed),
    runs: Number(seeds),
    onRun: (sofar) => {
      if (sofar.runs % 20 === 0) process.send!({ totals: sofar })
    },
  })
  process.send!({ totals, failure: failure === null ? null : describe(failure) }, () => process.disconnect())
}

/** One failure, with all that happened. */
async function again(): Promise<void> {
  const { failure } = await check({ seed: Number(values.seed), runs: Number(values.seeds), path: values.path })
  say(failure === null ? 'Nothing is broken.' : describe(failure, 100_000))
  process.exitCode = failure === null ? 0 : 1
}

/** Splits the scenarios into portions, the same ones on any machine, and the portions over the cores. */
async function share(): Promise<void> {
  const jobs = Math.max(1, Number(values.jobs))
  const seeds = Number(values.seeds)
  const first = values.seed === undefined ? Math.floor(Math.random() * 2 ** 30) : Number(values.seed)
  say(`${seeds} scenarios from seed ${first} on, ${jobs} processes`)
  const startedAt = performance.now()
  const totals: Totals[] = []
  const report = (): void => {
    const runs = sum(totals, 'runs')
    const seconds = (performance.now() - startedAt) / 1000
    const rate = (what: keyof Totals): string => (sum(totals, what) / seconds).toFixed(0)
    say(`${runs} of ${seeds} in ${seconds.toFixed(0)} s: ${rate('runs')} scenarios/s, ${rate('steps')} steps/s`)
  }
  const progress = setInterval(report, REPORT_MS)
  const failures: string[] = []
  const portions = Array.from({ length: Math.ceil(seeds / PORTION) }, (_, n) => n).values()
  const runPortions = async (): Promise<void> => {
    for (const n of portions) {
      const failure = await child(first + n, Math.min(PORTION, seeds - n * PORTION), (sofar) => {
        totals[n] = sofar
      })
      if (failure !== null) failures.push(failure)
    }
  }
  await Promise.all(Array.from({ length: jobs }, runPortions))
  clearInterval(progress)
  report()
  for (const failure of failures) say(`\n${failure}`)
  say(failures.length === 0 ? 'Nothing is broken.' : `${failures.length} portions found something broken.`)
  process.exitCode = failures.length === 0 ? 0 : 1
}

function child(seed: number, runs: number, onTotals: (totals: Totals) => void): Promise<string | null> {
  const worker = fork(import.meta.filename, [`--seed=${seed}`, `--seeds=${runs}`])
  let failure: string | null = `the process of seed ${seed} ended without a word`
  worker.on('message', (message: { totals: Totals; failure?: string | null }) => {
    onTotals(message.totals)
    if (message.failure !== undefined) failure = message.failure
  })
  return new Promise((resolve) => worker.on('exit', () => resolve(failure)))
}

function sum(totals: readonly Totals[], what: keyof Totals): number {
  // Portions that have not begun are holes.
  return totals.reduce((total, one) => total + one[what], 0)
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

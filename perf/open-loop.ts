/**
 * Latency under load: executions of ten steps begin at a steady rate, whether those before have ended or not, and each is timed from
 * the moment at which it was due to its durable end. `node perf/open-loop.ts --program engine` (or `limit`); `--rate` executions a
 * second, any number of times, or shares of what the program can do (`--share` 0.1, 0.5 …); `--quick`, `--json`.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { withDatabase } from './database.ts'
import { echoSteps, openEngine } from './engine-program.ts'
import { openLimit } from './limit.ts'
import { exactly } from './samples.ts'
import { measure, type Program, STEPS } from './workload.ts'

const { values } = parseArgs({
  options: {
    program: { type: 'string', default: 'engine' },
    rate: { type: 'string', multiple: true, default: [] },
    share: { type: 'string', multiple: true, default: [] },
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})
const seconds = values.quick ? 2 : 6
const WARM_UP_S = 1
/** After the last one is due, for those that are still under way: later ones count as that late. */
const PATIENCE_MS = 20_000

export interface Offered {
  /** Executions a second: those that were due, and those that ended meanwhile. */
  readonly offered: number
  readonly done: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

const open: Readonly<Record<string, (url: string) => Promise<Program>>> = {
  engine: (url) => openEngine(url, echoSteps(STEPS)),
  limit: openLimit,
}

/** What a program can do is what it does with a thousand at once. */
const capacity = await withDatabase('capacity', async (url) => {
  const program = await open[values.program]!(url)
  try {
    const { stepsPerSecond } = await measure(program, { atOnce: 1_000, rounds: values.quick ? 3 : 10 })
    return stepsPerSecond / STEPS
  } finally {
    await program.close()
  }
})
const rates = [...values.rate.map(Number), ...values.share.map((share) => Number(share) * capacity)]
const figures: Offered[] = []
for (const rate of rates) figures.push(await withDatabase('open', (url) => offer(url, rate)))
if (values.json) console.log(JSON.stringify({ program: values.program, capacity, figures }))
else console.table(figures)

async function offer(url: string, rate: number): Promise<Offered> {
  const program = await open[values.program]!(url)
  try {
    await arrive(program, rate, WARM_UP_S)
    const { latencies, tookMs } = await arrive(program, rate, seconds)
    return { offered: rate, done: (latencies.length * 1000) / tookMs, ...exactly(latencies) }
  } finally {
    await program.close()
  }
}

/** Starts `rate` a second; how long each took, and how long it took until all had ended, ms. */
async function arrive(program: Program, rate: number, forSeconds: number) {
  const count = Math.round(rate * forSeconds)
  const latencies: number[] = []
  const underway: Promise<unknown>[] = []
  const startedAt = performance.now()
  for (let begun = 0; begun < count; ) {
    const due = Math.min(count, Math.floor(((performance.now() - startedAt) / 1000) * rate))
    for (; begun < due; begun++) {
      const dueAt = startedAt + (begun * 1000) / rate
      underway.push(program.runOne().then(() => latencies.push(performance.now() - dueAt)))
    }
    await delay(1)
  }
  await Promise.race([Promise.all(underway), delay(PATIENCE_MS, null, { ref: false })])
  const tookMs = performance.now() - startedAt
  while (latencies.length < count) latencies.push(tookMs)
  return { latencies, tookMs }
}

/**
 * `npm run perf`: limit and engine side by side, each in a child process of its own, in turns on the same PostgreSQL, so that
 * whatever else the machine does hits both. Prints the median of the runs and how much of the limit the engine reaches.
 */
import os from 'node:os'
import { medianOf, runProgram } from './child.ts'
import { openServer } from './database.ts'
import { options, type Report, rowOf } from './report.ts'
import type { Figures } from './workload.ts'

const { quick, runs } = options()
const programs = ['limit.ts', 'throughput.ts', 'latency.ts']

const server = await openServer()
const collected = new Map<string, Figures[]>()
try {
  for (let run = 1; run <= Number(runs); run++) {
    for (const program of programs) {
      console.error(`run ${run} of ${runs}: ${program}`)
      const report = await runProgram<Report>(program, quick ? ['--quick'] : [], server.url)
      for (const figures of report.figures) {
        const key = `${report.program}/${figures.atOnce}`
        collected.set(key, [...(collected.get(key) ?? []), figures])
      }
    }
  }
} finally {
  await server.stop()
}

const medians = new Map([...collected].map(([key, list]) => [key, middle(list)]))
console.log(
  `${os.cpus().length} × ${os.cpus()[0]?.model}, Node ${process.versions.node}, ${new Date().toISOString().slice(0, 10)}`,
)
console.table([...medians].sort(byLoad).map(([key, figures]) => rowOf(key.split('/')[0]!, figures)))
for (const [key, engine] of medians) {
  const limit = medians.get(key.replace('engine', 'limit'))
  if (!key.startsWith('engine') || limit === undefined) continue
  const share = Math.round((engine.stepsPerSecond / limit.stepsPerSecond) * 100)
  console.log(
    engine.atOnce === 1
      ? `alone an execution takes ${(engine.p50Ms / limit.p50Ms).toFixed(2)} × as long as the limit's, its p99 ${(engine.p99Ms / engine.p50Ms).toFixed(1)} × its p50 (goals 1.3, 3)`
      : `${engine.atOnce} at once: the engine reaches ${share} % of the limit's steps/s (goal ${engine.atOnce === 100 ? 50 : 45})`,
  )
}

/** Every figure's own median. */
function middle(list: readonly Figures[]): Figures {
  const of = (read: (figures: Figures) => number) => medianOf(list.map(read))
  return {
    atOnce: list[0]!.atOnce,
    stepsPerSecond: of((one) => one.stepsPerSecond),
    p50Ms: of((one) => one.p50Ms),
    p99Ms: of((one) => one.p99Ms),
    cpuMicrosPerStep: of((one) => one.cpuMicrosPerStep),
    walBytesPerStep: of((one) => one.walBytesPerStep),
    maxRssMiB: of((one) => one.maxRssMiB),
  }
}

function byLoad([a, x]: [string, Figures], [b, y]: [string, Figures]): number {
  return x.atOnce - y.atOnce || (a < b ? 1 : -1)
}

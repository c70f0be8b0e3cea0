/**
 * `npm run perf`: limit and engine side by side, each in a child process of its own, in turns on the same PostgreSQL, so that
 * whatever else the machine does hits both. Prints the median of the runs and how much of the limit the engine reaches.
 */
import { spawn } from 'node:child_process'
import os from 'node:os'
import path from 'node:path'
import { text } from 'node:stream/consumers'
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
      const report = await runProgram(program)
      for (const figures of report.figures) {
        const key = `${report.program}/${figures.atOnce}`
        collected.set(key, [...(collected.get(key) ?? []), figures])
      }
    }
  }
} finally {
  await server.stop()
}

const medians = new Map([...collected].map(([key, list]) => [key, medianOf(list)]))
console.log(
  `${os.cpus().length} × ${os.cpus()[0]?.model}, Node ${process.versions.node}, ${new Date().toISOString().slice(0, 10)}`,
)
console.table([...medians].sort(byLoad).map(([key, figures]) => rowOf(key.split('/')[0]!, figures)))
for (const [key, engine] of medians) {
  const limit = medians.get(key.replace('engine', 'limit'))
  if (!key.startsWith('engine') || limit === undefined) continue
  const share = Math.round((engine.stepsPerSecond / limit.stepsPerSecond) * 100)
  console.log(`${engine.atOnce} at once: the engine reaches ${share} % of the limit's steps/s`)
}

async function runProgram(program: string): Promise<Report> {
  const child = spawn(
    process.execPath,
    [path.join(import.meta.dirname, program), '--json', ...(quick ? ['--quick'] : [])],
    {
      env: { ...process.env, PERF_DATABASE_URL: server.url },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  const output = await text(child.stdout)
  const last = output.trimEnd().split('\n').at(-1)
  if (!last) throw new Error(`${program} wrote no figures`)
  return JSON.parse(last) as Report
}

/** Every figure's own median. */
function medianOf(list: readonly Figures[]): Figures {
  const of = (read: (figures: Figures) => number) => list.map(read).sort((a, b) => a - b)[list.length >> 1]!
  return {
    atOnce: list[0]!.atOnce,
    stepsPerSecond: of((one) => one.stepsPerSecond),
    p50Ms: of((one) => one.p50Ms),
    p99Ms: of((one) => one.p99Ms),
    cpuMicrosPerStep: of((one) => one.cpuMicrosPerStep),
    walBytesPerStep: of((one) => one.walBytesPerStep),
  }
}

function byLoad([a, x]: [string, Figures], [b, y]: [string, Figures]): number {
  return x.atOnce - y.atOnce || (a < b ? 1 : -1)
}

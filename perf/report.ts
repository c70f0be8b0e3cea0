import { parseArgs } from 'node:util'
import { type Figures, type Load, loadOf, loads } from './workload.ts'

/** What a child process writes as its last line. */
export interface Report {
  readonly program: string
  readonly figures: readonly Figures[]
}

export const options = () =>
  parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      runs: { type: 'string', default: '3' },
      'at-once': { type: 'string', multiple: true, default: [] },
    },
  }).values

/** Runs a program's loads, or those of --at-once, one after another and prints its figures: as a table, or as one line of JSON with --json. */
export async function runAlone(
  program: string,
  measure: (load: Load) => Promise<Figures>,
  wanted: (load: Load) => boolean = () => true,
): Promise<void> {
  const { quick, json, 'at-once': given } = options()
  const figures: Figures[] = []
  const asked = given.map((atOnce) => loadOf(Number(atOnce), quick))
  for (const load of asked.length > 0 ? asked : loads(quick).filter(wanted)) figures.push(await measure(load))
  if (json) console.log(JSON.stringify({ program, figures } satisfies Report))
  else console.table(figures.map((one) => rowOf(program, one)))
}

export const rowOf = (program: string, figures: Figures) => ({
  program,
  'at once': figures.atOnce,
  'steps/s': Math.round(figures.stepsPerSecond),
  'p50 ms': round(figures.p50Ms),
  'p99 ms': round(figures.p99Ms),
  'Node µs/step': round(figures.cpuMicrosPerStep),
  'WAL B/step': Math.round(figures.walBytesPerStep),
  'RSS MiB': Math.round(figures.maxRssMiB),
})

const round = (value: number): number => Math.round(value * 10) / 10

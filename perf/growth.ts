/**
 * How the cost of a step grows with what surrounds it: definitions of 10 to 10,000 steps, `parallel` of 10 to 9,999 branches,
 * nests 1 to 50 deep, outputs of 100 bytes to 100 KB. `node perf/growth.ts`; `--only width`, `--quick`, `--json`.
 *
 * Each round runs about as many steps, so that a step that costs more the larger its surroundings are shows as fewer steps/s.
 * `loop ms` is the longest time for which the event loop stood still, `bytes` how many bytes of WAL a byte of output took.
 */
import { randomBytes } from 'node:crypto'
import { parseArgs } from 'node:util'
import { withDatabase } from './database.ts'
import { echoStep, openEngine } from './engine-program.ts'
import { watchProcess } from './samples.ts'
import { type Figures, measure, OUTPUT_BYTES } from './workload.ts'

interface Case {
  readonly by: 'size' | 'width' | 'depth' | 'payload'
  readonly value: number
  readonly definition: readonly object[]
  /** Action steps of one execution. */
  readonly steps: number
  readonly outputBytes: number
}

interface Growth extends Figures {
  readonly by: Case['by']
  readonly value: number
  readonly createMs: number
  readonly maxEventLoopDelayMs: number
  readonly maxRssMiB: number
  /** WAL a byte of output. */
  readonly walPerByte: number
}

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})

const composite = (id: string, type: string, steps: readonly object[]): object => ({
  id,
  name: id,
  type,
  config: { steps },
})

/** Outputs come from the input: 10,000 steps with theirs written out are more than a definition may have. */
const INPUT = '{{ input }}'
const inputSteps = (count: number): object[] => Array.from({ length: count }, (_, i) => echoStep(`s${i}`, INPUT))

/** `sequential` and `parallel` in turns, each with an echo step beside the next level. */
function nest(depth: number): object {
  const inner = depth === 1 ? [] : [nest(depth - 1)]
  return composite(`l${depth}`, depth % 2 === 0 ? 'parallel' : 'sequential', [echoStep(`s${depth}`, INPUT), ...inner])
}

const common = { outputBytes: OUTPUT_BYTES }
const cases: readonly Case[] = [
  ...[10, 100, 1_000, 10_000].map((value) => ({
    ...common,
    ...{ by: 'size' as const, value, steps: value, definition: inputSteps(value) },
  })),
  ...[10, 100, 1_000, 9_999].map((value) => ({
    ...common,
    ...{ by: 'width' as const, value, steps: value, definition: [composite('wide', 'parallel', inputSteps(value))] },
  })),
  ...[1, 10, 50].map((value) => ({
    ...common,
    ...{ by: 'depth' as const, value, steps: value, definition: [nest(value)] },
  })),
  ...[100, 1_000, 10_000, 100_000].map((value) => ({
    ...{ by: 'payload' as const, value, steps: 10, outputBytes: value, definition: inputSteps(10) },
  })),
]

const figures: Growth[] = []
for (const one of cases.filter(({ by }) => values.only === undefined || by === values.only)) {
  console.error(`${one.by} ${one.value}`)
  figures.push(await withDatabase('growth', (url) => grow(url, one)))
}
if (values.json) console.log(JSON.stringify({ program: 'growth', figures }))
else console.table(figures.map(rowOf))

async function grow(url: string, { by, value, definition, steps, outputBytes }: Case): Promise<Growth> {
  const roundSteps = (values.quick ? 5_000 : 50_000) / Math.max(1, outputBytes / 1_000)
  // One after the other, a step waits for its flush: enough of them must be under way.
  const atOnce = by === 'size' ? 50 : Math.max(1, Math.min(100, Math.floor(roundSteps / steps)))
  const isLong = atOnce * steps > 100_000
  const startedAt = performance.now()
  const program = await openEngine(url, definition, randomBytes(outputBytes / 2).toString('hex'))
  const createMs = performance.now() - startedAt
  try {
    const took = watchProcess()
    const figures = await measure(program, { atOnce, steps, rounds: isLong ? 1 : 5, warmUp: isLong ? 0 : 2 })
    const { maxEventLoopDelayMs, maxRssMiB } = took()
    const walPerByte = figures.walBytesPerStep / outputBytes
    return { ...figures, by, value, createMs, maxEventLoopDelayMs, maxRssMiB, walPerByte }
  } finally {
    await program.close()
  }
}

function rowOf({ by, value, atOnce, createMs, walPerByte, ...one }: Growth) {
  return {
    'grows by': `${by} ${value}`,
    'at once': atOnce,
    'steps/s': Math.round(one.stepsPerSecond),
    'round p50 ms': Math.round(one.p50Ms),
    'Node µs/step': Math.round(one.cpuMicrosPerStep),
    'WAL B/step': Math.round(one.walBytesPerStep),
    bytes: Math.round(walPerByte * 10) / 10,
    'open ms': Math.round(createMs),
    'loop ms': one.maxEventLoopDelayMs,
    'RSS MiB': one.maxRssMiB,
  }
}

/**
 * How the cost of a step grows with what surrounds it: definitions of 10 to 10,000 steps, `parallel` of 10 to 9,999 branches, one
 * such execution alone, nests 1 to 50 deep, outputs of 100 bytes to 100 KB. `node perf/growth.ts`; `--only width`, `--quick`,
 * `--json`.
 *
 * Each round runs about as many steps, so that a step that costs more the larger its surroundings are shows as fewer steps/s.
 * `× flat` compares Node's time for a step with that of steps in a row: for `size` with ten at a time, for `width` with W1 itself
 * (ten steps, 1,000 executions), for `depth` with as many steps. `start ms` is the median start of the definition: one that were
 * compiled each time would show here. `held` is what a branch under way takes of the heap, with 10,000 of them altogether, `loop ms` the longest time for which the event loop stood still, `bytes` the WAL that a byte of output took.
 */
import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { withDatabase } from './database.ts'
import { type EngineProgram, echoStep, incompressible, openEngine } from './engine-program.ts'
import { DELAY, heldBytes } from './held.ts'
import { watchProcess } from './samples.ts'
import { type Figures, measure, OUTPUT_BYTES } from './workload.ts'

interface Case {
  /** `flat`: so many steps in a row; `alone`: one execution with so many branches. */
  readonly by: 'flat' | 'size' | 'width' | 'alone' | 'depth' | 'payload'
  readonly value: number
  readonly definition: readonly object[]
  /** Action steps of one execution. */
  readonly steps: number
  readonly outputBytes: number
  /** How many executions run at once; as many as make a round of `roundSteps` unless given. */
  readonly atOnce?: number
  /** What its cost is held against: so many steps in a row, so many executions at once. */
  readonly against?: readonly [by: 'flat' | 'size', value: number, atOnce: number]
}

interface Growth extends Figures {
  readonly by: Case['by']
  readonly value: number
  /** To check, compile and store the definition. */
  readonly createMs: number
  /** Median of starts that have a later time: plan, row, commit. */
  readonly startMs: number
  /** Node's time for a step, as a share of that which it is held against. */
  readonly ofFlat: number | null
  /** Heap that a branch under way takes; null but for those that are alone. */
  readonly heldBytesPerBranch: number | null
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
setFlagsFromString('--expose-gc')
Object.assign(globalThis, { gc: runInNewContext('gc') })

const HELD_BRANCHES = 10_000

const composite = (id: string, type: string, steps: readonly object[]): object => ({
  id,
  name: id,
  type,
  config: { steps },
})

/** Outputs come from the input: 10,000 steps with theirs written out are more than a definition may have. */
const INPUT = '{{ input }}'
const inputSteps = (count: number): object[] => Array.from({ length: count }, (_, i) => echoStep(`s${i}`, INPUT))
const wide = (width: number): object => composite('wide', 'parallel', inputSteps(width))

/** `sequential` and `parallel` in turns, each with an echo step beside the next level. */
function nest(depth: number): object {
  const inner = depth === 1 ? [] : [nest(depth - 1)]
  return composite(`l${depth}`, depth % 2 === 0 ? 'parallel' : 'sequential', [echoStep(`s${depth}`, INPUT), ...inner])
}

const common = { outputBytes: OUTPUT_BYTES }
const cases: readonly Case[] = [
  ...[[10, 1_000] as const, [1, 100] as const, [10, 100] as const, [50, 100] as const].map(([steps, atOnce]) => ({
    ...{ ...common, by: 'flat' as const, value: steps, atOnce, steps, definition: inputSteps(steps) },
  })),
  // One after the other, a step waits for its flush: enough of them must be under way.
  ...[10, 100, 1_000, 10_000].map((value) => ({
    ...{ ...common, by: 'size' as const, value, atOnce: 50, steps: value, definition: inputSteps(value) },
    against: ['size', 10, 50] as const,
  })),
  ...[10, 100, 1_000, 9_999].map((value) => ({
    ...{ ...common, by: 'width' as const, value, steps: value, definition: [wide(value)] },
    against: ['flat', 10, 1_000] as const,
  })),
  ...[10, 100, 1_000, 9_999].map((value) => ({
    ...{ ...common, by: 'alone' as const, value, atOnce: 1, steps: value, definition: [wide(value)] },
  })),
  ...[1, 10, 50].map((value) => ({
    ...{ ...common, by: 'depth' as const, value, atOnce: 100, steps: value, definition: [nest(value)] },
    against: ['flat', value, 100] as const,
  })),
  ...[100, 1_000, 10_000, 100_000].map((value) => ({
    ...{ by: 'payload' as const, value, steps: 10, outputBytes: value, definition: inputSteps(10) },
  })),
]

const wanted = cases.filter(({ by }) => values.only === undefined || by === values.only)
const isNeeded = (one: Case): boolean =>
  wanted.includes(one) ||
  wanted.some(({ against }) => against?.[0] === one.by && against[1] === one.value && against[2] === one.atOnce)
const figures: Growth[] = []
// The first case would pay for the compiler and make all others look cheap.
await withDatabase('growth', (url) => grow(url, cases[0]!))
for (const one of cases.filter(isNeeded)) {
  console.error(`${one.by} ${one.value}`)
  figures.push(await withDatabase('growth', (url) => grow(url, one)))
}
if (values.json) console.log(JSON.stringify({ program: 'growth', figures }))
else {
  console.table(figures.map(rowOf))
  for (const line of goals()) console.log(line)
}

async function grow(url: string, one: Case): Promise<Growth> {
  const { by, value, definition, steps, outputBytes } = one
  const roundSteps = (values.quick ? 5_000 : 50_000) / Math.max(1, outputBytes / 1_000)
  const atOnce = one.atOnce ?? Math.max(1, Math.min(100, Math.floor(roundSteps / steps)))
  const isLong = atOnce * steps > 100_000
  const heldBytesPerBranch = by === 'alone' ? await held(value) : null
  const program = await openEngine(url, definition, incompressible(outputBytes))
  try {
    const took = watchProcess()
    const rounds = by === 'alone' && !values.quick ? 20 : 5
    const figures = await measure(program, { atOnce, steps, rounds: isLong ? 1 : rounds, warmUp: isLong ? 0 : 2 })
    const { maxEventLoopDelayMs, maxRssMiB } = took()
    return {
      ...{ ...figures, by, value, heldBytesPerBranch, maxEventLoopDelayMs, maxRssMiB },
      ofFlat: one.against === undefined ? null : figures.cpuMicrosPerStep / microsOf(one.against, figures),
      createMs: program.createMs,
      startMs: await medianStart(program),
      walPerByte: figures.walBytesPerStep / outputBytes,
    }
  } finally {
    await program.close()
  }
}

/** Node's time for a step of what a case is held against, which ran before, or is the case itself. */
function microsOf([by, value, atOnce]: NonNullable<Case['against']>, itself: Figures): number {
  const found = figures.find((one) => one.by === by && one.value === value && one.atOnce === atOnce)
  return (found ?? itself).cpuMicrosPerStep
}

/** Executions with 10,000 branches under way altogether, on a database of their own; bytes a branch. */
async function held(width: number): Promise<number> {
  const branch = (_: unknown, i: number) => ({ id: `s${i}`, type: 'action', config: { type: 'echo', delayMs: DELAY } })
  const steps = [composite('wide', 'parallel', Array.from({ length: width }, branch))]
  const executions = Math.ceil(HELD_BRANCHES / width)
  return (await withDatabase('held', (url) => heldBytes(url, steps, { executions, width }))) / (executions * width)
}

async function medianStart({ engine, workflowId }: EngineProgram): Promise<number> {
  const durations: number[] = []
  const startAt = Date.now() + 86_400_000
  for (let i = 0; i < 50; i++) {
    const startedAt = performance.now()
    await engine.startExecution(workflowId, 'perf', null, { startAt })
    durations.push(performance.now() - startedAt)
  }
  return durations.sort((a, b) => a - b)[durations.length >> 1]!
}

function rowOf({ by, value, atOnce, ...one }: Growth) {
  const tenths = (figure: number): number => Math.round(figure * 10) / 10
  return {
    'grows by': `${by} ${value}`,
    'at once': atOnce,
    'steps/s': Math.round(one.stepsPerSecond),
    'round p50 ms': Math.round(one.p50Ms),
    'Node µs/step': Math.round(one.cpuMicrosPerStep),
    '× flat': one.ofFlat === null ? '' : Math.round(one.ofFlat * 100) / 100,
    'WAL B/step': Math.round(one.walBytesPerStep),
    bytes: tenths(one.walPerByte),
    'create ms': Math.round(one.createMs),
    'start ms': tenths(one.startMs),
    'held B': one.heldBytesPerBranch === null ? '' : Math.round(one.heldBytesPerBranch),
    'loop ms': one.maxEventLoopDelayMs,
    'RSS MiB': one.maxRssMiB,
  }
}

/** Each goal of issue 5 that was measured, with what was reached. */
function* goals(): Iterable<string> {
  const find = (by: Case['by'], value: number): Growth | undefined =>
    figures.find((one) => one.by === by && one.value === value)
  const alone = find('alone', 1_000)
  if (alone !== undefined) {
    const bytes = [10, 100, 1_000, 9_999].map((value) => Math.round(find('alone', value)!.heldBytesPerBranch!))
    yield `W3: one execution of 1,000 parallel steps took ${Math.round(alone.p50Ms)} ms (goal 60)`
    yield `W3: a branch under way holds ${bytes.join(', ')} B at 10, 100, 1,000, 9,999 of them (goal: the same)`
  }
  const deep = find('depth', 50)
  if (deep !== undefined)
    yield `W4: a step 50 nests deep costs ${deep.ofFlat!.toFixed(2)} × one of 50 in a row (goal 1)`
  const [small, large] = [find('size', 10), find('size', 10_000)]
  if (small !== undefined && large !== undefined) {
    yield `W4: a step of a definition of 10,000 costs ${large.ofFlat!.toFixed(2)} × one of ten (goal 1)`
    yield `W4: compiled once in ${Math.round(large.createMs)} ms; a start takes ${large.startMs.toFixed(1)} ms, of one of 10 steps ${small.startMs.toFixed(1)}`
  }
  const payload = find('payload', 100_000)
  if (payload !== undefined) yield `W7: outputs of 100 KB write ${payload.walPerByte.toFixed(2)} bytes a byte (goal 2)`
}

import { performance } from 'node:perf_hooks'

/** Every program runs executions of this many steps with outputs of this many bytes, each step durable before the next. */
export const STEPS = 10
export const OUTPUT_BYTES = 100

/** A round starts so many executions at once and waits until all have ended. */
export interface Load {
  readonly atOnce: number
  readonly rounds: number
  /** Of an execution; `STEPS` unless given. */
  readonly steps?: number
  /** Rounds before those that are measured; a tenth as many, at least two, unless given. */
  readonly warmUp?: number
}

export interface Program {
  /** Starts so many executions at once; resolves when all have ended, with everything durable. */
  run(executions: number): Promise<void>
  /** Starts one beside others that are under way; resolves when it has ended, durably. */
  runOne(): Promise<void>
  /** Bytes of WAL that the database has written so far. */
  walBytes(): Promise<number>
  close(): Promise<void>
}

export interface Figures {
  readonly atOnce: number
  /** By the median round. */
  readonly stepsPerSecond: number
  /** How long a round took, ms. With one execution at a time that is its latency from start to end. */
  readonly p50Ms: number
  readonly p99Ms: number
  /** CPU time of this Node process, µs a step: PostgreSQL's is not in it. */
  readonly cpuMicrosPerStep: number
  readonly walBytesPerStep: number
  /** The most memory that this process has held so far. */
  readonly maxRssMiB: number
}

/** More rounds where they are short; `quick` is for looking at the shape of things, not for figures. */
export function loads(quick: boolean): readonly Load[] {
  return [
    { atOnce: 1, rounds: quick ? 100 : 500 },
    { atOnce: 100, rounds: quick ? 10 : 60 },
    { atOnce: 1000, rounds: quick ? 5 : 30 },
  ]
}

/** Rounds for any number at once: fewer where they are long. */
export const loadOf = (atOnce: number, quick: boolean): Load => ({
  atOnce,
  rounds: Math.max(quick ? 3 : 10, Math.round((quick ? 60 : 500) / Math.sqrt(atOnce))),
})

/** Measures after some rounds have warmed up compiler, caches and statements. */
export async function measure(program: Program, load: Load): Promise<Figures> {
  const { atOnce, rounds, steps: length = STEPS, warmUp = Math.max(2, rounds / 10) } = load
  for (let i = 0; i < warmUp; i++) await program.run(atOnce)
  const durations: number[] = []
  const walBefore = await program.walBytes()
  const cpuBefore = process.cpuUsage()
  for (let i = 0; i < rounds; i++) {
    const startedAt = performance.now()
    await program.run(atOnce)
    durations.push(performance.now() - startedAt)
  }
  const { user, system } = process.cpuUsage(cpuBefore)
  const wal = (await program.walBytes()) - walBefore
  durations.sort((a, b) => a - b)
  const p50Ms = percentile(durations, 0.5)
  const steps = rounds * atOnce * length
  return {
    atOnce,
    stepsPerSecond: (atOnce * length * 1000) / p50Ms,
    p50Ms,
    p99Ms: percentile(durations, 0.99),
    cpuMicrosPerStep: (user + system) / steps,
    walBytesPerStep: wal / steps,
    // KiB, whatever the platform.
    maxRssMiB: process.resourceUsage().maxRSS / 1024,
  }
}

const percentile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!

import fc from 'fast-check'
import type { CircuitMode } from '../../src/repository/circuit-breakers.ts'
import type { ConflictPolicy, ReusePolicy } from '../../src/repository/execution-keys.ts'
import { type Posted, posted } from './definitions.ts'
import type { Deciding } from './people.ts'

/** Something that somebody outside asks of a node. Executions and workflows are named by their number, modulo what there is. */
export type Act =
  | {
      readonly type: 'start'
      readonly workflow: number
      readonly n: number
      readonly keyed: boolean
      readonly delayMs: number
      readonly priority: number
      /** Of its correlationId. */
      readonly correlation: number
      /** How many ask for the same at this moment, where they may stand in each other's way. */
      readonly copies: number
      readonly business: Business | null
    }
  /** An operator holds the circuit of a target, or lets go of it. */
  | { readonly type: 'circuit'; readonly target: number; readonly mode: CircuitMode }
  | { readonly type: 'pause' | 'resume' | 'cancel' | 'retry'; readonly execution: number }
  | {
      readonly type: 'rollback'
      readonly execution: number
      readonly checkpoint: number
      readonly resume: boolean
      readonly compensate: boolean
    }
  | { readonly type: 'signal'; readonly execution: number; readonly keyed: boolean }
  /** Approvals are named as executions are. */
  | ({ readonly type: 'decide' } & Deciding)
  | { readonly type: 'subscribe'; readonly execution: number; readonly fromStart: boolean }
  | { readonly type: 'progress'; readonly execution: number }

/** A start under an executionKey. */
export interface Business {
  readonly key: string
  readonly reuse: ReusePolicy
  readonly conflict: ConflictPolicy
  /** Another client asks another node for the same at the same moment. */
  readonly isTwice: boolean
}

/** Something that goes wrong. */
export type Fault =
  /** kill -9; another process starts in its place. */
  | { readonly type: 'crash'; readonly node: number; readonly forMs: number }
  /** SIGSTOP, and SIGCONT after some time. */
  | { readonly type: 'stall'; readonly node: number; readonly forMs: number }
  /** SIGTERM: drain, stop; another process starts in its place. */
  | { readonly type: 'stop'; readonly node: number; readonly forMs: number }
  /** PostgreSQL is killed and started again. */
  | { readonly type: 'outage'; readonly forMs: number }
  /** A replica takes over; it lacks the newest commits. */
  | { readonly type: 'failover'; readonly forMs: number; readonly lost: number }
  | { readonly type: 'read_only' | 'disk_full'; readonly forMs: number }
  /** A node's statements and answers get lost, each with this probability. */
  | { readonly type: 'flaky'; readonly node: number; readonly forMs: number; readonly rate: number }
  /** As `flaky`, but it is flushes alone, and most of those that are lost come late: all else tells the node that they failed. */
  | { readonly type: 'late_flushes'; readonly node: number; readonly forMs: number; readonly rate: number }
  /** SIGSTOP in the worst moment: a flush has committed, and its answer is on the way. */
  | { readonly type: 'freeze'; readonly node: number; readonly forMs: number }
  /** What a node sends and hears travels for up to this long. */
  | { readonly type: 'slow_network'; readonly node: number; readonly forMs: number; readonly transitMs: number }
  /** What actions call is away. */
  | { readonly type: 'target_away'; readonly target: number; readonly forMs: number }
  /** Commits take up to this long. */
  | { readonly type: 'slow_disk'; readonly forMs: number; readonly commitMs: number }

export interface Timed<T> {
  /** ms since the world began. */
  readonly at: number
  readonly node: number
  readonly what: T
}

/** All that chance decides about one run; `seed` decides the rest: delays, interleavings, which statement is lost. */
export interface Scenario {
  readonly seed: number
  readonly nodes: readonly { readonly skewMs: number }[]
  readonly leaseMs: number
  readonly parkAfterMs: number
  readonly drainMs: number
  readonly lanes: number
  /** Nodes tell each other by NOTIFY; what they say may be lost, late, or come twice. */
  readonly hasHints: boolean
  readonly maxRunning: number
  readonly maxAttempts: number
  /** What an execution writes at least between two snapshots. */
  readonly snapshotBytes: number
  /** How long finished executions are kept; null: for ever. */
  readonly keptMs: number | null
  readonly workflows: readonly Posted[]
  readonly acts: readonly Timed<Act>[]
  readonly faults: readonly Timed<Fault>[]
}

/** Acts and faults begin within this time (ms); afterwards everything must come to its end. */
export const TROUBLE_MS = 5_000

const timed = <T>(what: fc.Arbitrary<T>, from: number): fc.Arbitrary<Timed<T>> =>
  fc.record({ at: fc.integer({ min: from, max: TROUBLE_MS }), node: fc.nat(2), what })

const execution = fc.nat(5)
const keyed = fc.boolean()
const business: fc.Arbitrary<Business | null> = fc.option(
  fc.record({
    key: fc.constantFrom('order 1', 'order 2'),
    reuse: fc.constantFrom('allow', 'failed_only', 'reject'),
    conflict: fc.constantFrom('fail', 'use_existing', 'cancel_existing'),
    isTwice: fc.boolean(),
  }),
  { freq: 3, nil: null },
)
const start = (delayMs: fc.Arbitrary<number>) =>
  fc.record({
    type: fc.constant('start' as const),
    workflow: fc.nat(1),
    n: fc.nat(5),
    keyed,
    delayMs,
    priority: fc.constantFrom(0, 0, 5, -3),
    correlation: fc.nat(1),
    copies: fc.constantFrom(1, 2, 3),
    business,
  })
const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 5, arbitrary: start(fc.constantFrom(0, 0, 0, 400, 2_500)) },
  { weight: 3, arbitrary: fc.record({ type: fc.constantFrom('pause', 'resume', 'retry'), execution }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('cancel' as const), execution }) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('rollback' as const),
      execution,
      checkpoint: fc.nat(3),
      resume: fc.boolean(),
      compensate: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('signal' as const), execution, keyed }) },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('decide' as const),
      approval: fc.nat(3),
      keyed,
      isTwice: fc.boolean(),
      isWrong: fc.nat(3).map((die) => die === 0),
    }),
  },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('subscribe' as const), execution, fromStart: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('progress' as const), execution }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('circuit' as const),
      target: fc.nat(1),
      mode: fc.constantFrom('open', 'closed', 'auto', 'auto'),
    }),
  },
)

const node = fc.nat(2)
const forMs = fc.oneof(fc.integer({ min: 10, max: 600 }), fc.integer({ min: 600, max: 4_000 }))
const targetAway: fc.Arbitrary<Fault> = fc.record({
  type: fc.constant('target_away' as const),
  target: fc.nat(1),
  forMs: fc.integer({ min: 500, max: 8_000 }),
})
const fault: fc.Arbitrary<Fault> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constant('crash' as const), node, forMs }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('stall' as const), node, forMs }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('stop' as const), node, forMs }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('outage' as const), forMs }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('failover' as const),
      forMs: fc.integer({ min: 1, max: 800 }),
      lost: fc.nat(12),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constantFrom('read_only', 'disk_full'), forMs }) },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('flaky' as const),
      node,
      forMs,
      rate: fc.double({ min: 0.05, max: 0.9, noNaN: true }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('late_flushes' as const),
      node,
      forMs: fc.integer({ min: 200, max: 4_000 }),
      rate: fc.double({ min: 0.1, max: 0.7, noNaN: true }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('freeze' as const),
      node,
      forMs: fc.integer({ min: 1_000, max: 6_000 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('slow_network' as const),
      node,
      forMs,
      transitMs: fc.integer({ min: 20, max: 2_000 }),
    }),
  },
  { weight: 4, arbitrary: targetAway },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('slow_disk' as const),
      forMs,
      commitMs: fc.integer({ min: 20, max: 3_000 }),
    }),
  },
)

export const scenarios: fc.Arbitrary<Scenario> = fc.record({
  seed: fc.noBias(fc.nat()),
  nodes: fc.array(fc.record({ skewMs: fc.constantFrom(0, 0, -240_000, 90_000, 600_000) }), {
    minLength: 1,
    maxLength: 3,
  }),
  leaseMs: fc.constantFrom(900, 1_500, 3_000),
  parkAfterMs: fc.constantFrom(5, 100, 1_000),
  drainMs: fc.constantFrom(0, 100, 1_000),
  lanes: fc.integer({ min: 1, max: 2 }),
  hasHints: fc.boolean(),
  maxRunning: fc.constantFrom(1, 2, 100),
  maxAttempts: fc.constantFrom(1, 2, 100),
  snapshotBytes: fc.constantFrom(65_536, 1_000, 300),
  keptMs: fc.constantFrom(null, null, null, 0, 1_500),
  workflows: fc.array(posted, { minLength: 1, maxLength: 2 }),
  acts: fc
    .tuple(
      fc.record({
        at: fc.nat(200),
        node: fc.nat(2),
        what: start(fc.constant(0)),
      }),
      fc.array(timed(act, 0), { maxLength: 10, size: 'max' }),
    )
    .map(([first, rest]) => [first, ...rest]),
  faults: fc.oneof(
    { weight: 5, arbitrary: fc.array(timed(fault, 5), { maxLength: 6, size: 'max' }) },
    // Nodes and database are well, so that it can be told what they make of targets that are not.
    { weight: 1, arbitrary: fc.array(timed(targetAway, 5), { minLength: 1, maxLength: 4, size: 'max' }) },
  ),
})

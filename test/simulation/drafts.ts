import fc from 'fast-check'
import { childWorkflows } from './child-workflows.ts'
import type { Script, ScriptedOutcome } from './effects.ts'
import type { Verdict } from './sayings.ts'

/** A step before it has a name: names, dependencies and what it reads depend on where it ends up. */
export type Draft =
  | { readonly type: 'action'; readonly script: Script; readonly extras: Extras }
  | { readonly type: 'gate'; readonly ask: number; readonly onFalse: string; readonly extras: Extras }
  | { readonly type: 'fail'; readonly extras: Extras }
  | { readonly type: 'branch'; readonly ask: number; readonly steps: Draft[]; readonly otherwise: Draft[] }
  | {
      readonly type: 'switch'
      readonly asks: readonly [number, number]
      readonly mode: string
      readonly steps: Draft[]
      readonly otherwise: Draft[]
    }
  | {
      readonly type: 'race'
      readonly decidedBy: string
      readonly waitMs: number
      readonly steps: Draft[]
      readonly otherwise: Draft[]
    }
  | { readonly type: 'while' | 'until'; readonly times: number; readonly steps: Draft[] }
  | {
      readonly type: 'foreach'
      readonly source: 'items' | 'page' | 'grow'
      readonly collect: string
      readonly count: number
      readonly concurrency: number
      readonly tolerate: number
      readonly join: Join | null
      readonly steps: Draft[]
    }
  | { readonly type: 'try'; readonly steps: Draft[]; readonly otherwise: Draft[]; readonly last: Draft[] | null }
  | { readonly type: 'set' | 'wait' | 'wait_until'; readonly value: number }
  /** Steps, then the end of all of them or of the whole execution, then steps that are not come to. */
  | { readonly type: 'complete'; readonly isWhole: boolean; readonly steps: Draft[] }
  | ({ readonly type: 'approval' } & Asking)
  | {
      readonly type: 'wait_for_signal'
      readonly hasCorrelation: boolean
      readonly transient: boolean
      readonly patience: readonly [number, string] | null
    }
  | {
      readonly type: 'critical_section'
      readonly hasKey: boolean
      readonly rank: number
      /** ms. */
      readonly waitTimeoutMs: number | null
      readonly isWithinItself: boolean
      readonly steps: Draft[]
    }
  | { readonly type: 'emit'; readonly to: Address; readonly isPicky: boolean }
  | {
      readonly type: 'sub_workflow'
      readonly workflow: string
      readonly takesInput: boolean
      readonly slot: Slotting | null
      /** Its mode and parentClosePolicy. */
      readonly bond: readonly [string, string]
    }
  | {
      readonly type: 'parallel' | 'sequential'
      readonly steps: Draft[]
      readonly concurrency: number
      readonly join: Join | null
      readonly onFailure: string
      readonly extras: Extras
    }

/** What an approval asks, and what comes when nobody answers in time. */
export interface Asking {
  readonly verdict: Verdict
  readonly hasForm: boolean
  readonly onReject: string
  /** ms. */
  readonly deadline: number | null
  readonly outcome: string
  readonly steps: Draft[]
}

/** Whom an emit speaks to. */
export type Address = 'self' | 'correlated' | 'key'

/** What it must have before it begins. Whoever holds one waits for those of a higher rank alone, so that nobody waits in a circle. */
export interface Slotting {
  readonly rank: number
  /** Its key is that of other steps too. */
  readonly isShared: boolean
  readonly hasKey: boolean
  readonly limit: number | string
  readonly onLimit: string
  /** ms. */
  readonly waitTimeoutMs: number | null
}

/** What a composite may have: an output, and a compensation that ends like this. */
export interface Beside {
  readonly hasOutput: boolean
  readonly undo: ScriptedOutcome | null
}

/** When a parallel or a foreach goes on before all in it have ended. */
export interface Join {
  readonly kind: 'any' | 'two' | 'when'
  readonly rest: 'cancel' | 'continue'
}

export interface Extras {
  readonly when: number | null
  /** Which of its elder siblings it depends on, as a mask. */
  readonly dependencies: number
  readonly once: boolean
  readonly attempts: number
  readonly retryMs: number
  /** Whether another attempt is worth while is an expression. */
  readonly hasRetryWhen: boolean
  readonly reads: number
  /** What it calls; then it is tried until that is there, or until its circuit opens. */
  readonly target: number | null
  readonly failsWhenOpen: boolean
  /** Its calls are limited in time, together with those of all others that are. */
  readonly isLimited: boolean
  /** How its compensation ends, if it has one. */
  readonly undo: ScriptedOutcome | null
  readonly slot: Slotting | null
}

/** null, but for one time in `times`. */
export const seldom = <T>(arbitrary: fc.Arbitrary<T>, times: number): fc.Arbitrary<T | null> =>
  fc.oneof({ weight: times - 1, arbitrary: fc.constant(null) }, { weight: 1, arbitrary })

const die = (sides: number): fc.Arbitrary<boolean> => fc.nat(sides - 1).map((side) => side === 0)

const rank = fc.constantFrom(0, 0, 1, 2)
const waitTimeoutMs = seldom(fc.constantFrom(40, 1_300), 4)

export const slotting: fc.Arbitrary<Slotting> = fc.record({
  rank,
  isShared: fc.boolean(),
  hasKey: die(4),
  limit: fc.constantFrom(1, 1, 2, '{{ 1 + input.n % 2 }}'),
  onLimit: fc.constantFrom('queue', 'reject', 'cancel_running', 'cancel_new'),
  waitTimeoutMs,
})

const extras: fc.Arbitrary<Extras> = fc.record({
  when: seldom(fc.nat(3), 5),
  dependencies: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(7) }),
  once: die(3),
  attempts: fc.integer({ min: 1, max: 3 }),
  retryMs: fc.constantFrom(1, 40, 1_300),
  hasRetryWhen: die(4),
  reads: fc.nat(3),
  target: fc.option(fc.nat(1), { freq: 2, nil: null }),
  failsWhenOpen: die(4),
  isLimited: die(4),
  undo: fc.option(fc.constantFrom<ScriptedOutcome>('ok', 'ok', 'retryable', 'fatal'), { freq: 2, nil: null }),
  slot: seldom(slotting, 5),
})

const outcomes: fc.Arbitrary<ScriptedOutcome[]> = fc.oneof(
  { weight: 8, arbitrary: fc.constant<ScriptedOutcome[]>(['ok']) },
  { weight: 3, arbitrary: fc.constant<ScriptedOutcome[]>(['retryable', 'ok']) },
  { weight: 1, arbitrary: fc.constant<ScriptedOutcome[]>(['retryable', 'slow', 'ok']) },
  { weight: 1, arbitrary: fc.constant<ScriptedOutcome[]>(['slow']) },
  { weight: 1, arbitrary: fc.constant<ScriptedOutcome[]>(['fatal']) },
)

export const script: fc.Arbitrary<Script> = fc.record({
  outcomes,
  delayMs: fc.constantFrom(0, 0, 2, 30, 30, 250, 900),
})

const bonds = [
  ['wait', 'cancel'],
  ['wait', 'cancel'],
  ['wait', 'abandon'],
  ['fire_and_forget', 'cancel'],
  ['fire_and_forget', 'abandon'],
  ['fire_and_forget', 'wait'],
] as const

const join: fc.Arbitrary<Join | null> = fc.option(
  fc.record({
    kind: fc.constantFrom('any', 'two', 'when'),
    rest: fc.constantFrom('cancel', 'continue', 'continue'),
  }),
  { freq: 2, nil: null },
)

const record = <T>(type: Draft['type'] | readonly Draft['type'][], rest: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record({ type: fc.constantFrom(...[type].flat()), ...rest }) as fc.Arbitrary<Draft>

export const { step } = fc.letrec<{ step: Draft; steps: Draft[] }>((tie) => {
  const steps = tie('steps')
  const otherwise = tie('steps')
  return {
    step: fc.oneof(
      { maxDepth: 3, depthSize: 'small' },
      { weight: 10, arbitrary: record('action', { script, extras }) },
      {
        weight: 2,
        arbitrary: record('gate', {
          ask: fc.nat(5),
          onFalse: fc.constantFrom('skip_rest', 'continue', 'fail'),
          extras,
        }),
      },
      { weight: 1, arbitrary: record('fail', { extras }) },
      { weight: 2, arbitrary: record('branch', { ask: fc.nat(5), steps, otherwise }) },
      {
        weight: 2,
        arbitrary: record('switch', {
          asks: fc.tuple(fc.nat(5), fc.nat(5)),
          mode: fc.constantFrom('first', 'all'),
          steps,
          otherwise,
        }),
      },
      {
        weight: 2,
        arbitrary: record('race', {
          decidedBy: fc.constantFrom('first_step', 'all_steps'),
          waitMs: fc.constantFrom(1, 40, 1_300),
          steps,
          otherwise,
        }),
      },
      { weight: 2, arbitrary: record(['while', 'until'], { times: fc.nat(3), steps }) },
      {
        weight: 2,
        arbitrary: record('foreach', {
          source: fc.constantFrom('items', 'items', 'page', 'page', 'grow'),
          collect: fc.constantFrom('outputs', 'outputs', 'errors', 'none'),
          count: fc.nat(3),
          concurrency: fc.integer({ min: 1, max: 2 }),
          tolerate: fc.nat(1),
          join,
          steps,
        }),
      },
      { weight: 2, arbitrary: record('try', { steps, otherwise, last: fc.option(tie('steps'), { nil: null }) }) },
      { weight: 2, arbitrary: record(['set', 'wait', 'wait_until'], { value: fc.constantFrom(1, 40, 1_300) }) },
      {
        weight: 2,
        arbitrary: record('critical_section', { hasKey: die(4), rank, waitTimeoutMs, isWithinItself: die(8), steps }),
      },
      { weight: 1, arbitrary: record('complete', { isWhole: fc.boolean(), steps }) },
      {
        weight: 2,
        arbitrary: record('approval', {
          verdict: fc.constantFrom<Verdict>('approved', 'approved', 'rejected', 'either'),
          hasForm: fc.boolean(),
          onReject: fc.constantFrom('complete', 'complete', 'fail'),
          deadline: fc.constantFrom(null, 40, 900, 2_500),
          outcome: fc.constantFrom('wait', 'approve', 'reject', 'fail'),
          steps,
        }),
      },
      {
        weight: 1,
        arbitrary: record('wait_for_signal', {
          hasCorrelation: fc.boolean(),
          transient: die(4),
          patience: fc.option(fc.tuple(fc.constantFrom(40, 1_300), fc.constantFrom('fail', 'continue')), { nil: null }),
        }),
      },
      {
        weight: 2,
        arbitrary: record('emit', {
          to: fc.constantFrom<Address>('self', 'correlated', 'correlated', 'key'),
          isPicky: die(4),
        }),
      },
      {
        weight: 2,
        arbitrary: record('sub_workflow', {
          workflow: fc.constantFrom(...Object.keys(childWorkflows)),
          takesInput: fc.boolean(),
          slot: seldom(slotting, 5),
          bond: fc.constantFrom(...bonds),
        }),
      },
      {
        weight: 4,
        arbitrary: record(['parallel', 'parallel', 'sequential'], {
          steps,
          concurrency: fc.nat(3),
          join,
          onFailure: fc.constantFrom('fail_fast', 'fail_fast', 'wait_all', 'continue'),
          extras,
        }),
      },
    ),
    steps: fc.array(tie('step'), { minLength: 1, maxLength: 3 }),
  }
})

import fc from 'fast-check'
import { childWorkflows } from './child-workflows.ts'
import { type Script, type ScriptedOutcome, targetNames } from './effects.ts'

/** A step before it has a name: names, dependencies and what it reads depend on where it ends up. */
type Draft =
  | { readonly type: 'action'; readonly script: Script; readonly extras: Extras }
  | { readonly type: 'gate'; readonly ask: number; readonly onFalse: string; readonly extras: Extras }
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
      readonly isPaged: boolean
      readonly count: number
      readonly concurrency: number
      readonly tolerate: number
      readonly join: Join | null
      readonly steps: Draft[]
    }
  | { readonly type: 'try'; readonly steps: Draft[]; readonly otherwise: Draft[]; readonly last: Draft[] | null }
  | { readonly type: 'set' | 'wait'; readonly value: number }
  | {
      readonly type: 'sub_workflow'
      readonly workflow: string
      readonly takesInput: boolean
      /** Its mode and parentClosePolicy. */
      readonly bond: readonly [string, string]
    }
  | {
      readonly type: 'parallel' | 'sequential'
      readonly steps: Draft[]
      readonly concurrency: number
      readonly join: Join | null
      readonly extras: Extras
    }

/** What a composite may have: an output, and a compensation that ends like this. */
interface Beside {
  readonly hasOutput: boolean
  readonly undo: ScriptedOutcome | null
}

/** When a parallel or a foreach goes on before all in it have ended. */
interface Join {
  readonly kind: 'count' | 'when'
  readonly rest: 'cancel' | 'continue'
}

interface Extras {
  readonly when: number | null
  /** Which of its elder siblings it depends on, as a mask. */
  readonly dependencies: number
  readonly once: boolean
  readonly attempts: number
  readonly retryMs: number
  readonly reads: number
  /** What it calls; then it is tried until that is there. */
  readonly target: number | null
  /** How its compensation ends, if it has one. */
  readonly undo: ScriptedOutcome | null
}

/** null, but for one time in `times`. */
const seldom = <T>(arbitrary: fc.Arbitrary<T>, times: number): fc.Arbitrary<T | null> =>
  fc.oneof({ weight: times - 1, arbitrary: fc.constant(null) }, { weight: 1, arbitrary })

const extras: fc.Arbitrary<Extras> = fc.record({
  when: seldom(fc.nat(3), 5),
  dependencies: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(7) }),
  once: fc.nat(2).map((die) => die === 0),
  attempts: fc.integer({ min: 1, max: 3 }),
  retryMs: fc.constantFrom(1, 40, 1_300),
  reads: fc.nat(3),
  target: fc.option(fc.nat(1), { freq: 2, nil: null }),
  undo: fc.option(fc.constantFrom<ScriptedOutcome>('ok', 'ok', 'retryable', 'fatal'), { freq: 2, nil: null }),
})

const outcomes: fc.Arbitrary<ScriptedOutcome[]> = fc.oneof(
  { weight: 8, arbitrary: fc.constant<ScriptedOutcome[]>(['ok']) },
  { weight: 3, arbitrary: fc.constant<ScriptedOutcome[]>(['retryable', 'ok']) },
  { weight: 1, arbitrary: fc.constant<ScriptedOutcome[]>(['retryable', 'slow', 'ok']) },
  { weight: 1, arbitrary: fc.constant<ScriptedOutcome[]>(['slow']) },
  { weight: 1, arbitrary: fc.constant<ScriptedOutcome[]>(['fatal']) },
)

const script: fc.Arbitrary<Script> = fc.record({ outcomes, delayMs: fc.constantFrom(0, 0, 2, 30, 30, 250, 900) })

const bonds = [
  ['wait', 'cancel'],
  ['wait', 'cancel'],
  ['wait', 'abandon'],
  ['fire_and_forget', 'cancel'],
  ['fire_and_forget', 'abandon'],
  ['fire_and_forget', 'wait'],
] as const

const join: fc.Arbitrary<Join | null> = fc.option(
  fc.record({ kind: fc.constantFrom('count', 'when'), rest: fc.constantFrom('cancel', 'continue', 'continue') }),
  { freq: 2, nil: null },
)

const { step } = fc.letrec<{ step: Draft; steps: Draft[] }>((tie) => ({
  step: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    { weight: 5, arbitrary: fc.record({ type: fc.constant('action'), script, extras }) },
    {
      weight: 1,
      arbitrary: fc.record({
        type: fc.constant('gate'),
        ask: fc.nat(5),
        onFalse: fc.constantFrom('skip_rest', 'continue', 'fail'),
        extras,
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        type: fc.constant('branch'),
        ask: fc.nat(5),
        steps: tie('steps'),
        otherwise: tie('steps'),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        type: fc.constant('switch'),
        asks: fc.tuple(fc.nat(5), fc.nat(5)),
        mode: fc.constantFrom('first', 'all'),
        steps: tie('steps'),
        otherwise: tie('steps'),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        type: fc.constant('race'),
        decidedBy: fc.constantFrom('first_step', 'all_steps'),
        waitMs: fc.constantFrom(1, 40, 1_300),
        steps: tie('steps'),
        otherwise: tie('steps'),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ type: fc.constantFrom('while', 'until'), times: fc.nat(3), steps: tie('steps') }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        type: fc.constant('foreach'),
        isPaged: fc.boolean(),
        count: fc.nat(3),
        concurrency: fc.integer({ min: 1, max: 2 }),
        tolerate: fc.nat(1),
        join,
        steps: tie('steps'),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        type: fc.constant('try'),
        steps: tie('steps'),
        otherwise: tie('steps'),
        last: fc.option(tie('steps'), { nil: null }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ type: fc.constantFrom('set', 'wait'), value: fc.constantFrom(1, 40, 1_300) }) },
    {
      weight: 1,
      arbitrary: fc.record({
        type: fc.constant('sub_workflow'),
        workflow: fc.constantFrom(...Object.keys(childWorkflows)),
        takesInput: fc.boolean(),
        bond: fc.constantFrom(...bonds),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        type: fc.constantFrom('parallel', 'parallel', 'sequential'),
        steps: tie('steps'),
        concurrency: fc.nat(3),
        join,
        extras,
      }),
    },
  ) as fc.Arbitrary<Draft>,
  steps: fc.array(tie('step'), { minLength: 1, maxLength: 3 }),
}))

/** A definition as it is posted; `isTimed`: what becomes of it depends on how long things take. */
export interface Posted {
  readonly definition: object
  readonly isTimed: boolean
}

/** Random workflows of all step types, nested; each of them compiles. */
export const posted: fc.Arbitrary<Posted> = fc
  .record({
    steps: fc.array(step, { minLength: 1, maxLength: 4 }),
    timeoutMs: seldom(fc.constantFrom(1_500, 20_000), 8),
    limits: seldom(fc.array(seldom(fc.constantFrom(30, 400, 1_500), 2), { minLength: 1, maxLength: 7 }), 5),
    hasRaces: fc.nat(2).map((die) => die === 0),
    extras: fc.array(
      fc.record({
        hasOutput: fc.nat(3).map((die) => die === 0),
        undo: seldom(fc.constantFrom<ScriptedOutcome>('ok', 'ok', 'retryable', 'fatal'), 5),
      }),
      { minLength: 1, maxLength: 5 },
    ),
    keep: fc.constantFrom(1, 2, 10),
    compact: fc.boolean(),
    hasOutput: fc.boolean(),
    onFailure: fc.option(script, { freq: 2, nil: null }),
  })
  .map(({ steps, timeoutMs, limits, hasRaces, extras, keep, compact, hasOutput, onFailure }) => {
    const naming: Naming = { next: 0, limits, hasRaces, extras, isTimed: timeoutMs !== null }
    const named = nameAll(steps, naming, false)
    return {
      isTimed: naming.isTimed,
      definition: {
        name: 'random',
        steps: named,
        checkpoints: { keep, compact },
        ...(timeoutMs !== null && { timeoutMs }),
        ...(onFailure !== null && {
          onFailure: [{ id: 'last', type: 'action', config: { type: 'act', ...onFailure, value: '{{ error.type }}' } }],
        }),
        ...(hasOutput && { output: { end: '{{ data }}', first: `{{ steps.${named[0]!.id}.status }}` } }),
      },
    }
  })

interface Naming {
  next: number
  /** Timeouts (ms) of composites, in turn; null: none has one. */
  readonly limits: readonly (number | null)[] | null
  /** Otherwise the steps of a race run in order, and joins wait for all: most workflows are to have an outcome that can be foretold. */
  readonly hasRaces: boolean
  /** What each composite has beside, in turn. */
  readonly extras: readonly Beside[]
  /** What becomes of it depends on how long things take: a timeout, or which branch of a race wins, who arrives at a join. */
  isTimed: boolean
}

/** What the next composite, or sub_workflow, has beside its config. */
function besideOf(naming: Naming, type = 'composite'): object {
  const limit = naming.limits?.[naming.next % naming.limits.length] ?? null
  if (limit !== null) naming.isTimed = true
  const beside = naming.extras[naming.next % naming.extras.length]!
  return {
    ...(limit !== null && { timeoutMs: limit }),
    ...(beside.hasOutput && type !== 'sub_workflow' && { output: { was: '{{ data }}' } }),
    ...(beside.undo !== null && { compensate: { type: 'act', outcomes: [beside.undo, 'ok'], delayMs: 2 } }),
  }
}

function joinOf(join: Join | null, naming: Naming): object {
  if (join === null || !naming.hasRaces) return {}
  naming.isTimed = true
  return { join: join.kind === 'count' ? 'any' : { when: 'arrived.completed > 0 && data != null' }, rest: join.rest }
}

interface Named {
  readonly id: string
  readonly [field: string]: unknown
}

/** `isGraph`: children of a parallel, whose dependencies decide what they get. */
function nameAll(drafts: readonly Draft[], naming: Naming, isGraph: boolean): Named[] {
  const named: Named[] = []
  for (const draft of drafts) named.push(nameOne(draft, naming, named, isGraph))
  return named
}

const asks = ['input.n > 1', 'input.n > 3', 'input.n % 2 === 0', 'data !== null', 'true', 'input.n < 4']
const reads = ['{{ data }}', '{{ input.n }}', '{{ execution.id === null }}', 'text']

function nameOne(draft: Draft, naming: Naming, elders: readonly Named[], isGraph: boolean): Named {
  const id = `s${naming.next++}`
  if (draft.type === 'branch') {
    const condition = asks[draft.ask]!
    const then = nameAll(draft.steps, naming, false)
    const config = { condition, then, else: nameAll(draft.otherwise, naming, false) }
    return { id, type: 'condition', config, ...besideOf(naming) }
  }
  if (draft.type === 'race' && naming.hasRaces) naming.isTimed = true
  else if (draft.type === 'race') {
    return { id, type: 'sequential', config: { steps: nameAll([...draft.steps, ...draft.otherwise], naming, false) } }
  }
  if (draft.type === 'set' || draft.type === 'wait') return { id, type: draft.type, config: configOf(draft, naming) }
  if (!('extras' in draft))
    return { id, type: draft.type, config: configOf(draft, naming), ...besideOf(naming, draft.type) }
  const { when, dependencies: mask, once, attempts, retryMs, reads: read, undo, target } = draft.extras
  const dependencies = isGraph ? elders.filter((_, index) => (mask >> index) & 1).map((elder) => elder.id) : []
  const common = {
    id,
    ...(when !== null && { when: asks[when] }),
    ...(dependencies.length > 0 && { dependencies }),
  }
  if (draft.type === 'gate') {
    const config = { condition: asks[draft.ask]!, onFalse: draft.onFalse }
    return { ...common, type: 'condition', config }
  }
  if (draft.type === 'action') {
    const isSlow = draft.script.outcomes.includes('slow')
    const undoing = undo !== null && {
      compensate: { type: 'act', outcomes: [undo, 'ok'], delayMs: 2, value: '{{ completed }}' },
    }
    if (target !== null) return { ...common, ...undoing, ...calling(target, draft.script, reads[read]!) }
    const retryPolicy = { maxAttempts: attempts, initialIntervalMs: retryMs, jitter: 0, maxElapsedMs: null }
    return {
      ...common,
      type: 'action',
      config: { type: 'act', ...draft.script, value: reads[read] },
      ...(isSlow && { timeoutMs: 1_000 }),
      ...undoing,
      ...(once ? { delivery: 'at_most_once' } : { retryPolicy }),
    }
  }
  const isParallel = draft.type === 'parallel'
  return {
    ...common,
    type: draft.type,
    config: {
      steps: nameAll(draft.steps, naming, isParallel),
      ...(isParallel && draft.concurrency > 0 && { concurrency: draft.concurrency }),
      ...(isParallel && joinOf(draft.join, naming)),
    },
    ...besideOf(naming),
  }
}

/** Calls a target, which may be away, until it is there: so what it comes to can be foretold. */
function calling(target: number, { delayMs }: Script, value: string): object {
  const retryPolicy = { maxAttempts: 1_000, initialIntervalMs: 100, maxIntervalMs: 400, jitter: 0, maxElapsedMs: null }
  return {
    type: 'action',
    config: { type: 'act', outcomes: ['ok'], delayMs, value, target: targetNames[target] },
    circuitBreaker: { failureThreshold: 1 + target, windowMs: 3_000, openMs: target === 0 ? 400 : 1_500 },
    retryPolicy,
  }
}

/** A page of these items, and the same once more behind it. */
function twoPages(items: readonly number[], naming: Naming): object[] {
  const [page, wait, done] = [`s${naming.next++}`, `s${naming.next++}`, `s${naming.next++}`]
  const output = { items, next: '{{ cursor == null ? 1 : null }}' }
  const steps = [
    { id: wait, type: 'wait', config: { durationMs: 40 } },
    { id: done, type: 'complete', config: { scope: page, output } },
  ]
  return [{ id: page, type: 'sequential', config: { steps } }]
}

/** What the types without extras are made of. */
function configOf(draft: Exclude<Draft, { extras: Extras } | { type: 'branch' }>, naming: Naming): object {
  const inside = (drafts: readonly Draft[]) => nameAll(drafts, naming, false)
  switch (draft.type) {
    case 'switch': {
      const [first, second] = draft.asks.map((ask) => asks[ask]!)
      const cases = [
        { name: 'a', when: first, steps: inside(draft.steps) },
        { when: second, steps: inside(draft.otherwise) },
      ]
      return { cases, mode: draft.mode }
    }
    case 'race': {
      const patience = { id: `s${naming.next++}`, type: 'wait', config: { durationMs: draft.waitMs } }
      const branches = [{ name: 'a', steps: inside(draft.steps) }, { steps: [patience, ...inside(draft.otherwise)] }]
      return { branches, decidedBy: draft.decidedBy }
    }
    case 'while':
      return { condition: `index < ${draft.times}`, steps: inside(draft.steps), maxIterations: 5 }
    case 'until':
      return { condition: `index >= ${draft.times}`, steps: inside(draft.steps), maxIterations: 5 }
    case 'foreach': {
      const { count, concurrency, tolerate } = draft
      const items = Array.from({ length: count }, (_, index) => index)
      const steps = inside(draft.steps)
      // An item that was interrupted and borne leaves no trace by which the undisturbed run could be told of it.
      const isOnce = JSON.stringify(steps).includes('at_most_once')
      const given = draft.isPaged ? { page: twoPages(items, naming) } : { items }
      return { ...given, concurrency, tolerate: isOnce ? 0 : tolerate, steps, ...joinOf(draft.join, naming) }
    }
    case 'try': {
      const steps = inside(draft.steps)
      const caught = inside(draft.otherwise)
      return { steps, catch: [{ steps: caught }], ...(draft.last !== null && { finally: inside(draft.last) }) }
    }
    case 'sub_workflow': {
      const { workflow, takesInput, bond } = draft
      const [mode, parentClosePolicy] = bond
      return {
        workflow,
        mode,
        parentClosePolicy,
        ...(takesInput && { input: { n: '{{ input.n }}', of: '{{ data }}' } }),
      }
    }
    case 'set':
      return { variables: { [`v${draft.value}`]: '{{ input.n }}' } }
    case 'wait':
      return { durationMs: draft.value }
  }
}

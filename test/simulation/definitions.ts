import fc from 'fast-check'
import {
  type Address,
  type Asking,
  type Beside,
  type Draft,
  type Extras,
  type Join,
  type Slotting,
  script,
  seldom,
  slotting,
  step,
} from './drafts.ts'
import { type ScriptedOutcome, targetNames } from './effects.ts'
import { EPOCH } from './node-clock.ts'
import { titleOf } from './sayings.ts'

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
    slot: seldom(slotting, 6),
    priority: seldom(fc.constantFrom(5, -3), 5),
  })
  .map(({ steps, timeoutMs, limits, hasRaces, extras, keep, compact, hasOutput, onFailure, slot, priority }) => {
    const naming: Naming = { next: 0, limits, hasRaces, extras, isTimed: timeoutMs !== null, floor: 0, mutexes: [] }
    // Before it starts it holds nothing.
    const own = slot !== null && ownSlot(slot, naming)
    const named = nameAll(steps, naming, false)
    return {
      isTimed: naming.isTimed,
      definition: {
        name: 'random',
        steps: named,
        checkpoints: { keep, compact },
        variables: { [COUNTER]: 0 },
        ...(timeoutMs !== null && { timeoutMs }),
        ...(own && { concurrency: own }),
        ...(priority !== null && { priority }),
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
  /** The lowest rank that may be waited for here. */
  floor: number
  /** Those that are held here, the outermost first. */
  mutexes: readonly string[]
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

/** `count`: how many there are, of which a join cannot want more. */
function joinOf(join: Join | null, count: number, naming: Naming): object {
  if (join === null || !naming.hasRaces) return {}
  naming.isTimed = true
  const wanted = {
    any: 'any',
    two: Math.max(1, Math.min(2, count)),
    when: { when: 'arrived.completed > 0 && data != null' },
  }
  return { join: wanted[join.kind], rest: join.rest }
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
  if (isSingle(draft)) return singleOf(id, draft, naming)
  if (draft.type === 'sub_workflow') {
    const { concurrency } = slotOf(draft.slot, naming)
    const config = configOf(draft, naming)
    return {
      id,
      type: draft.type,
      config,
      ...(concurrency !== null && { concurrency }),
      ...besideOf(naming, draft.type),
    }
  }
  if (draft.type === 'critical_section') return sectionOf(id, draft, naming)
  if (!('extras' in draft))
    return { id, type: draft.type, config: configOf(draft, naming), ...besideOf(naming, draft.type) }
  const { when, dependencies: mask, once, attempts, retryMs, hasRetryWhen, reads: read, undo, target } = draft.extras
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
  if (draft.type === 'fail') {
    const config = { error: 'Told', message: 'so says {{ input.n }}', details: { n: '{{ input.n }}' } }
    return { ...common, type: 'fail', config }
  }
  if (draft.type === 'action') {
    const isSlow = draft.script.outcomes.includes('slow')
    const undoing = undo !== null && {
      compensate: { type: 'act', outcomes: [undo, 'ok'], delayMs: 2, value: '{{ completed }}' },
    }
    const { concurrency } = slotOf(draft.extras.slot, naming)
    const limited = { ...common, ...undoing, ...(concurrency !== null && { concurrency }) }
    if (target !== null) return { ...limited, ...calling(target, draft, reads[read]!, naming) }
    const { isLimited } = draft.extras
    const retryPolicy = {
      ...{ maxAttempts: attempts, initialIntervalMs: retryMs, jitter: 0, maxElapsedMs: null },
      ...(hasRetryWhen && { when: "error.type == 'ConnectionError' && attempt < 2", nonRetryable: ['Told'] }),
    }
    return {
      ...limited,
      type: 'action',
      config: { type: 'act', ...draft.script, value: reads[read], ...(isLimited && { limited: limitedKey }) },
      ...(isLimited && { rateLimit }),
      ...(isSlow && { timeoutMs: 1_000 }),
      ...(once ? { delivery: 'at_most_once' } : { retryPolicy }),
    }
  }
  const isParallel = draft.type === 'parallel'
  const { concurrency, floor } = slotOf(isParallel ? null : draft.extras.slot, naming)
  const steps = within(naming, { floor }, () => nameAll(draft.steps, naming, isParallel))
  return {
    ...common,
    type: draft.type,
    ...(concurrency !== null && { concurrency }),
    config: {
      steps,
      ...(isParallel && draft.concurrency > 0 && { concurrency: draft.concurrency }),
      ...(isParallel && { onFailure: draft.onFailure === 'continue' && isOnce(steps) ? 'wait_all' : draft.onFailure }),
      ...(isParallel && joinOf(draft.join, steps.length, naming)),
    },
    ...besideOf(naming),
  }
}

/** How many may hold a shared key, by its rank; whoever stands within one of the last rank waits for none. */
const sharedLimits = [1, 2, 1, 2]

function slotOf(
  slot: Slotting | null,
  naming: Naming,
): { readonly concurrency: object | null; readonly floor: number } {
  const rank = Math.max(slot?.rank ?? 0, naming.floor)
  if (slot === null || rank >= sharedLimits.length) return { concurrency: null, floor: naming.floor }
  if (!slot.isShared) return { concurrency: ownSlot(slot, naming), floor: naming.floor }
  const line = { scope: 'shared', key: `k${rank}`, limit: sharedLimits[rank]! }
  return { concurrency: { ...line, ...onLimitOf(slot, naming) }, floor: rank + 1 }
}

/** The key is its own: only itself waits for it, always within the same steps. */
const ownSlot = (slot: Slotting, naming: Naming): object => ({
  ...(slot.hasKey && { key: '{{ input.n % 2 }}' }),
  limit: slot.limit,
  ...onLimitOf(slot, naming),
})

/** Whether it is taken when somebody asks, and for how long, depends on how long things take. */
function onLimitOf(slot: Pick<Slotting, 'waitTimeoutMs'> & Partial<Slotting>, naming: Naming): object {
  const { onLimit = 'queue', waitTimeoutMs } = slot
  if (!naming.hasRaces || (onLimit === 'queue' && waitTimeoutMs === null)) return {}
  naming.isTimed = true
  const mayWait = onLimit === 'queue' || onLimit === 'cancel_running'
  return { onLimit, ...(mayWait && waitTimeoutMs !== null && { waitTimeoutMs }) }
}

/** One that stands within itself fails, since it would wait for itself. */
function sectionOf(
  id: string,
  { hasKey, rank: wanted, waitTimeoutMs, isWithinItself, steps }: Extract<Draft, { type: 'critical_section' }>,
  naming: Naming,
): Named {
  const rank = Math.max(wanted, naming.floor)
  const outer = naming.mutexes.at(-1)
  const isAgain = isWithinItself && outer !== undefined
  if (rank >= sharedLimits.length && !isAgain) {
    return { id, type: 'sequential', config: { steps: nameAll(steps, naming, false) }, ...besideOf(naming) }
  }
  const mutex = isAgain ? outer : `m${rank}-{{ ${hasKey ? 'input.n % 2' : "'all'"} }}`
  const around = { floor: isAgain ? naming.floor : rank + 1, mutexes: [...naming.mutexes, mutex] }
  const { onLimit: _, ...patience } = onLimitOf({ waitTimeoutMs }, naming) as { onLimit?: string }
  const config = { mutex, ...patience, steps: within(naming, around, () => nameAll(steps, naming, false)) }
  return { id, type: 'critical_section', config, ...besideOf(naming) }
}

/** Names what stands within something that holds a slot. */
function within<T>(naming: Naming, around: Partial<Naming>, name: () => T): T {
  const { floor, mutexes } = naming
  Object.assign(naming, around)
  const named = name()
  Object.assign(naming, { floor, mutexes })
  return named
}

/** What the undisturbed run cannot be told of once its step is forgotten: that it was interrupted, and that this was borne. */
const isOnce = (steps: readonly Named[]): boolean => JSON.stringify(steps).includes('at_most_once')

/** Texts all: a key is text, and so is what the action is told of it. */
const limitedKey = 'k{{ input.n % 2 }}'
const rateLimit = { scope: 'sim', key: limitedKey, limit: 25, periodMs: 1_000, burst: 2 }

/** Calls a target, which may be away, until it is there: so what it comes to can be foretold. */
function calling(
  target: number,
  { script: { delayMs }, extras: { failsWhenOpen, isLimited } }: Extract<Draft, { type: 'action' }>,
  value: string,
  naming: Naming,
): object {
  const retryPolicy = { maxAttempts: 1_000, initialIntervalMs: 100, maxIntervalMs: 400, jitter: 0, maxElapsedMs: null }
  const mayFail = failsWhenOpen && naming.hasRaces
  if (mayFail) naming.isTimed = true
  const circuitBreaker = { failureThreshold: 1 + target, windowMs: 3_000, openMs: target === 0 ? 400 : 1_500 }
  return {
    type: 'action',
    config: {
      ...{ type: 'act', outcomes: ['ok'], delayMs, value, target: targetNames[target] },
      ...(isLimited && { limited: limitedKey }),
    },
    ...(isLimited && { rateLimit }),
    circuitBreaker: { ...circuitBreaker, ...(mayFail && { onOpen: 'fail' }) },
    retryPolicy: { ...retryPolicy, ...(mayFail && { nonRetryable: ['CircuitOpenError'] }) },
  }
}

/** Counts the sets that have counted, by one each. */
export const COUNTER = 'counter'

/** One that sets a constant, or two at once that count: each sees what those before it have counted, whichever is before. */
function settingOf(id: string, value: number, naming: Naming): Named {
  if (!naming.hasRaces) return { id, type: 'set', config: { variables: { [`v${value}`]: '{{ input.n }}' } } }
  naming.isTimed = true
  const one = () => ({
    id: `s${naming.next++}`,
    type: 'set',
    config: { variables: { [COUNTER]: `{{ ${COUNTER} + 1 }}` } },
  })
  return { id, type: 'parallel', config: { steps: [one(), one()] } }
}

const singles = ['set', 'wait', 'wait_until', 'approval', 'wait_for_signal', 'emit', 'complete'] as const
type Single = Extract<Draft, { type: (typeof singles)[number] }>

const isSingle = (draft: Draft): draft is Single => (singles as readonly string[]).includes(draft.type)

/** Steps that are made of their config alone. */
function singleOf(id: string, draft: Single, naming: Naming): Named {
  switch (draft.type) {
    case 'set':
      return settingOf(id, draft.value, naming)
    case 'wait':
      return { id, type: 'wait', config: { durationMs: draft.value } }
    case 'wait_until':
      return { id, type: 'wait', config: { until: new Date(EPOCH + 2 * draft.value).toISOString() } }
    case 'approval':
      return { id, type: 'approval', config: askedOf(draft, naming) }
    case 'wait_for_signal': {
      const { hasCorrelation, transient, patience } = draft
      const mayLapse = patience !== null && naming.hasRaces
      if (mayLapse) naming.isTimed = true
      const config = {
        signal: 'news',
        ...(hasCorrelation && { correlation: "signal.payload.news.kind == 'a'" }),
        ...(transient && { transient }),
        ...(mayLapse && { timeoutMs: patience[0], onTimeout: patience[1] }),
      }
      return { id, type: 'wait_for_signal', config }
    }
    case 'emit':
      return emitting(id, draft.to, draft.isPicky, naming)
    case 'complete':
      return completing(id, draft, naming)
  }
}

const form = { type: 'object', properties: { amount: { type: 'number' } }, required: ['amount'] }

function askedOf({ verdict, hasForm, onReject, deadline, outcome, steps }: Asking, naming: Naming): object {
  const isOpen = naming.hasRaces && (verdict === 'either' || deadline !== null)
  if (isOpen) naming.isTimed = true
  const named = deadline === null ? [] : nameAll(steps, naming, false)
  const told = { id: `s${naming.next++}`, type: 'set', config: { variables: { late: '{{ approval.id != null }}' } } }
  // Otherwise it is decided as it says, and long before this.
  const durationMs = isOpen && deadline !== null ? deadline : 3_600_000
  return {
    title: titleOf(isOpen || verdict !== 'either' ? verdict : 'approved'),
    description: 'for {{ input.n }}',
    assignees: ['ada', 'p{{ input.n }}'],
    groups: "{{ ['all'] }}",
    ...(hasForm && { form }),
    ...(deadline !== null && { deadline: { durationMs }, onDeadline: { outcome, steps: [told, ...named] } }),
    onReject,
  }
}

/** Others get news, whoever they are; itself it tells something that it then waits for. */
function emitting(id: string, to: Address, isPicky: boolean, naming: Naming): Named {
  const [send, hear, signal] = [`s${naming.next++}`, `s${naming.next++}`, `own-${id}`]
  if (to === 'self') {
    const config = { signal, payload: { news: 'to me' }, to: { executionId: '{{ execution.id }}' } }
    const steps = [
      { id: send, type: 'emit', config },
      { id: hear, type: 'wait_for_signal', config: { signal } },
    ]
    return { id, type: 'sequential', config: { steps } }
  }
  const mayFail = isPicky && naming.hasRaces
  if (mayFail) naming.isTimed = true
  const address = to === 'key' ? { executionKey: 'order 1' } : { correlationId: '{{ execution.correlationId }}' }
  const payload = { news: { kind: "{{ input.n % 2 === 0 ? 'a' : 'b' }}", from: '{{ execution.id }}' } }
  const config = { signal: 'news', payload, to: address, ...(mayFail && { onNobody: 'fail' }) }
  return { id, type: 'emit', config }
}

function completing(id: string, { isWhole, steps }: Extract<Draft, { type: 'complete' }>, naming: Naming): Named {
  const endsAll = isWhole && naming.hasRaces
  if (endsAll) naming.isTimed = true
  const [done, never] = [`s${naming.next++}`, `s${naming.next++}`]
  const config = { ...(!endsAll && { scope: id }), output: { end: '{{ data }}' } }
  const after = { id: never, type: 'set', config: { variables: { never: true } } }
  return {
    id,
    type: 'sequential',
    config: { steps: [...nameAll(steps, naming, false), { id: done, type: 'complete', config }, after] },
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

/** What the composites without extras, and sub_workflow, are made of. */
function configOf(
  draft: Exclude<Draft, Single | { extras: Extras } | { type: 'branch' | 'critical_section' }>,
  naming: Naming,
): object {
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
    case 'foreach':
      return foreachOf(draft, naming)
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
  }
}

/** Its items, pages of them, or items that signals add while it runs. */
function foreachOf(draft: Extract<Draft, { type: 'foreach' }>, naming: Naming): object {
  const { count, concurrency, tolerate, collect } = draft
  const items = Array.from({ length: count }, (_, index) => index)
  const steps = nameAll(draft.steps, naming, false)
  const grows = draft.source === 'grow' && naming.hasRaces
  if (grows) naming.isTimed = true
  return {
    ...(draft.source === 'page' ? { page: twoPages(items, naming) } : { items }),
    ...(grows && { grow: { signal: 'news', end: 'enough' } }),
    concurrency,
    // An item that was interrupted and borne leaves no trace by which the undisturbed run could be told of it.
    tolerate: isOnce(steps) ? 0 : tolerate,
    collect,
    steps,
    ...joinOf(draft.join, draft.source === 'page' ? 2 * count : count, naming),
  }
}

import t from 'tap'
import type { ActionPlan, ConditionPlan, ParallelPlan, StepPlan } from '../../src/definition/plan.ts'
import { condition, echo, parallel, planOf, reading, sequential, workflow } from './definitions.ts'
import { scopeOf } from './scope.ts'

const find = (definition: unknown, id: string): StepPlan => planOf(definition).steps.get(id) as StepPlan

t.test('a plan has every step by its id, each knowing its parent and its position', async (t) => {
  const plan = planOf(
    workflow([
      echo('a'),
      parallel('p', [echo('b'), sequential('s', [echo('c')])]),
      condition('d', { then: [echo('e')], else: [echo('f'), echo('g')] }),
    ]),
  )
  t.strictSame([...plan.steps.keys()], ['a', 'p', 'b', 's', 'c', 'd', 'e', 'f', 'g'])
  t.equal(plan.root.id, '')
  t.equal(plan.root.parent, null)
  t.strictSame(
    plan.root.steps.map(({ id }) => id),
    ['a', 'p', 'd'],
  )
  for (const step of plan.steps.values()) {
    const { parent } = step
    const lists =
      parent?.type === 'condition' ? [parent.branches?.then, parent.branches?.else] : [(parent as ParallelPlan).steps]
    t.ok(
      lists.some((list) => list?.[step.position] === step),
      `${step.id} stands where it says`,
    )
  }
  t.equal((plan.steps.get('d') as ConditionPlan).branches?.else[1], plan.steps.get('g'))
})

t.test(
  'leaf steps are numbered in the order of the document; a composite has the number of its first leaf',
  async (t) => {
    const plan = planOf(
      workflow([
        echo('a'),
        condition('gate', {}),
        parallel('p', [echo('b'), sequential('s', [echo('c'), echo('d')])]),
        condition('if', { then: [echo('e')] }),
        echo('z'),
      ]),
    )
    const numbers = Object.fromEntries(Array.from(plan.steps.values(), ({ id, number }) => [id, number]))
    t.strictSame(numbers, { a: 1, gate: 2, p: 3, b: 3, s: 4, c: 4, d: 5, if: 6, e: 6, z: 7 })
    t.equal(plan.leafCount, 7)
    t.equal(plan.root.number, 1)
  },
)

t.test('a composite shares its weight equally among its children', async (t) => {
  const plan = planOf(
    workflow([
      echo('a'),
      parallel('p', [echo('b'), sequential('s', [echo('c'), echo('d')])]),
      condition('if', { then: [echo('e')], else: [echo('f')] }),
      condition('gate', {}),
    ]),
  )
  const weights = Object.fromEntries(Array.from(plan.steps.values(), ({ id, weight }) => [id, weight]))
  t.strictSame(weights, {
    a: 0.25,
    p: 0.25,
    b: 0.125,
    s: 0.125,
    c: 0.0625,
    d: 0.0625,
    if: 0.25,
    e: 0.125,
    f: 0.125,
    gate: 0.25,
  })
  t.equal(plan.root.weight, 1)
})

t.test('a plan has the defaults of what the definition leaves out', async (t) => {
  const plan = planOf(workflow([echo('a')]))
  t.match(plan, {
    name: 'Test',
    variables: {},
    timeoutMs: null,
    checkpoints: { keep: 10, compact: false },
    output: null,
  })
  t.strictSame(plan.inputFaults({ any: 'thing' }), [])
  const step = plan.steps.get('a') as ActionPlan
  t.match(step, {
    type: 'action',
    id: 'a',
    name: 'a',
    when: null,
    dependencies: [],
    timeoutMs: null,
    action: 'echo',
    delivery: 'at_least_once',
  })
  t.strictSame(step.retry, {
    maxAttempts: 1,
    initialIntervalMs: 500,
    backoffCoefficient: 2,
    maxIntervalMs: 60_000,
    jitter: 0.2,
    maxElapsedMs: null,
    retryOn: null,
    nonRetryable: [],
    when: null,
  })
  t.equal((find(workflow([parallel('p', [echo('a')])]), 'p') as ParallelPlan).concurrency, Number.POSITIVE_INFINITY)
  t.equal((find(workflow([condition('c', {})]), 'c') as ConditionPlan).onFalse, 'skip_rest')
})

t.test('a plan has what the definition says', async (t) => {
  const plan = planOf(
    workflow(
      [
        echo('a', { name: 'First', timeoutMs: 5, delivery: 'at_most_once', when: 'input.go' }),
        { ...parallel('p', [echo('b')], { timeoutMs: 7 }), config: { steps: [echo('b')], concurrency: 2 } },
        condition('c', { condition: 'data.length > 0', onFalse: 'fail' }),
      ],
      {
        version: 12,
        timeoutMs: 1_000,
        variables: { limit: 3 },
        checkpoints: { keep: 50 },
        output: { n: '{{ steps.a.output }}' },
        tags: ['x'],
      },
    ),
  )
  t.match(plan, { timeoutMs: 1_000, variables: { limit: 3 }, checkpoints: { keep: 50, compact: false } })
  t.match(plan.steps.get('a'), { name: 'First', timeoutMs: 5, delivery: 'at_most_once' })
  t.equal(plan.steps.get('a')?.when?.evaluate(scopeOf({ input: { go: true } })), true)
  t.match(plan.steps.get('p'), { timeoutMs: 7, concurrency: 2 })
  const gate = plan.steps.get('c') as ConditionPlan
  t.match(gate, { branches: null, onFalse: 'fail' })
  t.equal(gate.condition.source, 'data.length > 0')
  t.strictSame(plan.output?.render(scopeOf({ steps: { a: { status: 'completed', output: 4 } } })), { n: 4 })
})

t.test("an action's config is its template without the type", async (t) => {
  const step = find(workflow([reading('a', 'input.n + 1')]), 'a') as ActionPlan
  t.strictSame(step.config.render(scopeOf({ input: { n: 1 } })), { value: 2 })
})

t.test('a branch that is left out is empty', async (t) => {
  t.strictSame((find(workflow([condition('c', { else: [echo('a')] })]), 'c') as ConditionPlan).branches?.then, [])
  const empty = find(workflow([condition('c', { then: [] }), echo('a')]), 'c') as ConditionPlan
  t.strictSame(
    empty.branches,
    Object.fromEntries([
      ['then', []],
      ['else', []],
    ]),
  )
})

t.test('fields that a policy leaves out have their defaults', async (t) => {
  const retry = (fields: object, more = {}) =>
    (find(workflow([echo('a', fields as never)], more), 'a') as ActionPlan).retry
  const full = {
    maxAttempts: 5,
    initialIntervalMs: 500,
    backoffCoefficient: 2,
    maxIntervalMs: 60_000,
    jitter: 0.2,
    maxElapsedMs: 600_000,
    retryOn: null,
    nonRetryable: [],
    when: null,
  }
  t.strictSame(retry({ retryPolicy: {} }), full)
  t.strictSame(retry({ retryPolicy: { maxAttempts: 3, maxElapsedMs: null, retryOn: ['A'], nonRetryable: ['B'] } }), {
    ...full,
    maxAttempts: 3,
    maxElapsedMs: null,
    retryOn: ['A'],
    nonRetryable: ['B'],
    when: null,
  })
  t.strictSame(
    retry({ retryPolicy: { initialIntervalMs: 120_000 } }).maxIntervalMs,
    120_000,
    'the cap rises with the first wait',
  )
  t.strictSame(
    retry({ retryPolicy: { initialIntervalMs: 120_000, maxIntervalMs: 1_000 } }).maxIntervalMs,
    1_000,
    'unless it is given',
  )
})

t.test("the workflow's policy is for steps without one of their own", async (t) => {
  const plan = planOf(
    workflow([echo('a'), echo('b', { retryPolicy: { maxAttempts: 2 } }), echo('c', { delivery: 'at_most_once' })], {
      retryPolicy: { maxAttempts: 7, jitter: 0 },
    }),
  )
  const policies = ['a', 'b', 'c'].map((id) => (plan.steps.get(id) as ActionPlan).retry)
  t.match(policies, [{ maxAttempts: 7, jitter: 0 }, { maxAttempts: 2, jitter: 0.2 }, { maxAttempts: 1 }])
})

t.test('a parallel knows who waits for whom', async (t) => {
  const plan = find(
    workflow([
      parallel('p', [
        echo('a'),
        echo('b', { dependencies: ['a', 'c'] }),
        echo('c', { dependencies: ['a'] }),
        echo('d'),
      ]),
    ]),
    'p',
  ) as ParallelPlan
  t.strictSame(plan.dependants, [[1, 2], [], [1], []])
  t.strictSame(
    plan.steps.map(({ dependencies }) => dependencies),
    [[], ['a', 'c'], ['a'], []],
  )
})

t.test('a step without a circuit breaker has the defaults, and what is given replaces them one by one', async (t) => {
  const breaker = (fields: object) => (find(workflow([echo('a', fields as never)]), 'a') as ActionPlan).breaker
  const full = { key: null, failureThreshold: 5, windowMs: 60_000, openMs: 30_000, onOpen: 'park' }
  t.strictSame(breaker({}), full)
  t.strictSame(breaker({ circuitBreaker: {} }), full)
  const given = { key: 'payments', failureThreshold: 2, onOpen: 'fail' }
  t.strictSame(breaker({ circuitBreaker: given }), { ...full, ...given })
})

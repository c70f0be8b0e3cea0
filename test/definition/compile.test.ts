import t from 'tap'
import { compile } from '../../src/definition/compile.ts'
import type { JsonObject } from '../../src/definition/json.ts'
import { actions } from './actions.ts'
import { condition, echo, faultsOf, parallel, planOf, reading, sequential, workflow } from './definitions.ts'

const pointersOf = (definition: unknown): string[] => faultsOf(definition).map(({ pointer }) => pointer)

/** A definition that is wrong in one place: where, and what the message must say. */
const wrong: readonly (readonly [what: string, definition: unknown, pointer: string, message: RegExp])[] = [
  ['null', null, '', /must be an object/],
  ['an array', [], '', /must be an object/],
  ['a text', 'x', '', /must be an object/],
  ['nothing at all', undefined, '', /not JSON/],
  ['a function', () => 1, '', /not JSON/],
  ['an unknown key', workflow([echo('a')], { retries: 3 }), '/retries', /is not known here/],
  ['a typing mistake', workflow([echo('a')], { varialbes: {} }), '/varialbes', /Did you mean "variables"/],
  ['an unknown key that needs escaping', workflow([echo('a')], { 'a/b~c': 1 }), '/a~1b~0c', /is not known here/],
  ['no name', { steps: [echo('a')] }, '/name', /is missing/],
  ['an empty name', workflow([echo('a')], { name: '' }), '/name', /at least 1 character/],
  ['a name too long', workflow([echo('a')], { name: 'x'.repeat(201) }), '/name', /at most 200 characters/],
  ['U+0000 in the name', workflow([echo('a')], { name: 'a\0b' }), '/name', /U\+0000/],
  ['U+0000 in the description', workflow([echo('a')], { description: 'a\0b' }), '/description', /U\+0000/],
  ['U+0000 in a tag', workflow([echo('a')], { tags: ['a', 'b\0'] }), '/tags/1', /U\+0000/],
  ['half a surrogate pair in the name', workflow([echo('a')], { name: 'a\ud800b' }), '/name', /surrogate pair/],
  [
    'halves in the wrong order in a tag',
    workflow([echo('a')], { tags: ['\udc00\ud800'] }),
    '/tags/0',
    /surrogate pair/,
  ],
  ['a tag twice', workflow([echo('a')], { tags: ['a', 'a'] }), '/tags', /the same twice/],
  ['no steps', { name: 'x' }, '/steps', /is missing/],
  ['an empty list of steps', workflow([]), '/steps', /at least 1 element/],
  ['steps that are no list', workflow({ a: 1 }), '/steps', /must be an array, not an object/],
  ['a step that is no object', workflow([echo('a'), 5]), '/steps/1', /must be an object, not a number/],
  ['a version that is no number', workflow([echo('a')], { version: '1' }), '/version', /must be an integer/],
  ['a timeout in words', workflow([echo('a')], { timeoutMs: '1h' }), '/timeoutMs', /must be an integer, not a string/],
  ['a timeout of nothing', workflow([echo('a')], { timeoutMs: 0 }), '/timeoutMs', />= 1/],
  ['a timeout of a century', workflow([echo('a')], { timeoutMs: 1e13 }), '/timeoutMs', /<= 315360000000/],
  [
    'checkpoints beyond the most',
    workflow([echo('a')], { checkpoints: { keep: 1001 } }),
    '/checkpoints/keep',
    /<= 1000/,
  ],
  ['variables that are no object', workflow([echo('a')], { variables: [] }), '/variables', /must be an object/],
  [
    'a bad template in the output',
    workflow([echo('a')], { output: { x: ['{{ 1 + }}'] } }),
    '/output/x/0',
    /something is missing/,
  ],
  [
    'an output that reads no step',
    workflow([echo('a')], { output: { x: '{{ steps.b.output }}' } }),
    '/output/x',
    /There is no step "b"/,
  ],
  [
    'a secret in the output',
    workflow([echo('a')], { output: '{{ secrets.KEY }}' }),
    '/output',
    /Secrets may be used only/,
  ],
  ['no id', workflow([{ type: 'action', config: { type: 'echo' } }]), '/steps/0/id', /is missing/],
  ['a bad id', workflow([echo('1st')]), '/steps/0/id', /a letter or _, then up to 63/],
  ['an id too long', workflow([echo('a'.repeat(65))]), '/steps/0/id', /up to 63/],
  [
    'an id twice',
    workflow([echo('a'), sequential('s', [echo('a')])]),
    '/steps/1/config/steps/0/id',
    /"a" is the id of \/steps\/0 too/,
  ],
  ['no type', workflow([{ id: 'a', config: {} }]), '/steps/0/type', /is missing; there are action, condition/],
  ['an unknown type', workflow([{ id: 'a', type: 'paralel', config: {} }]), '/steps/0/type', /Did you mean "parallel"/],
  ['a type that is no text', workflow([{ id: 'a', type: 5, config: {} }]), '/steps/0/type', /5 is no type of step/],
  ['no config', workflow([{ id: 'a', type: 'action' }]), '/steps/0/config', /is missing/],
  [
    'an unknown key of a step',
    workflow([echo('a', { retry: {} })]),
    '/steps/0/retry',
    /is not known here; there are id, name/,
  ],
  [
    'a compensation of nothing',
    workflow([echo('a', { compensate: [] })]),
    '/steps/0/compensate',
    /must have at least 1 element/,
  ],
  [
    'a policy on a composite',
    workflow([sequential('s', [echo('a')], { retryPolicy: {} })]),
    '/steps/0/retryPolicy',
    /is not known here/,
  ],
  [
    'an unknown delivery',
    workflow([echo('a', { delivery: 'exactly_once' })]),
    '/steps/0/delivery',
    /"at_least_once", "at_most_once"/,
  ],
  [
    'attempts below one',
    workflow([echo('a', { retryPolicy: { maxAttempts: 0 } })]),
    '/steps/0/retryPolicy/maxAttempts',
    />= 1/,
  ],
  [
    'an unknown key of a policy',
    workflow([echo('a', { retryPolicy: { maxAttempt: 1 } })]),
    '/steps/0/retryPolicy/maxAttempt',
    /Did you mean "maxAttempts"/,
  ],
  ['jitter beyond one', workflow([echo('a')], { retryPolicy: { jitter: 1.5 } }), '/retryPolicy/jitter', /<= 1/],
  [
    'an unknown key of a circuit breaker',
    workflow([echo('a', { circuitBreaker: { treshold: 5 } })]),
    '/steps/0/circuitBreaker/treshold',
    /is not known here/,
  ],
  [
    'a circuit breaker that is always open',
    workflow([echo('a', { circuitBreaker: { failureThreshold: 0 } })]),
    '/steps/0/circuitBreaker/failureThreshold',
    />= 1/,
  ],
  [
    'a circuit without a name',
    workflow([echo('a', { circuitBreaker: { key: '' } })]),
    '/steps/0/circuitBreaker/key',
    /./,
  ],
  [
    'something else to do at an open circuit',
    workflow([echo('a', { circuitBreaker: { onOpen: 'wait' } })]),
    '/steps/0/circuitBreaker/onOpen',
    /"park", "fail"/,
  ],
  [
    'a circuit breaker of a composite',
    workflow([sequential('s', [echo('a')], { circuitBreaker: {} })]),
    '/steps/0/circuitBreaker',
    /is not known here/,
  ],
  [
    'at_most_once with attempts',
    workflow([echo('a', { delivery: 'at_most_once', retryPolicy: { maxAttempts: 2 } })]),
    '/steps/0/retryPolicy',
    /set maxAttempts to 1/,
  ],
  [
    'at_most_once with the default attempts',
    workflow([echo('a', { delivery: 'at_most_once', retryPolicy: {} })]),
    '/steps/0/retryPolicy',
    /set maxAttempts to 1/,
  ],
  ['a bad when', workflow([echo('a', { when: 'data.x = 1' })]), '/steps/0/when', /===/],
  [
    'a template in when',
    workflow([echo('a', { when: '{{ input.a }}' })]),
    '/steps/0/when',
    /write it bare, without {{ }}/,
  ],
  ['an empty when', workflow([echo('a', { when: '' })]), '/steps/0/when', /at least 1 character/],
  ['a secret in when', workflow([echo('a', { when: 'secrets.A' })]), '/steps/0/when', /Secrets may be used only/],
  ['no condition', workflow([{ id: 'c', type: 'condition', config: {} }]), '/steps/0/config/condition', /is missing/],
  ['a bad condition', workflow([condition('c', { condition: 'a b' })]), '/steps/0/config/condition', /before "b"/],
  [
    'a template as condition',
    workflow([condition('c', { condition: '{{ true }}' })]),
    '/steps/0/config/condition',
    /without {{ }}/,
  ],
  [
    'onFalse beside branches',
    workflow([condition('c', { then: [echo('a')], onFalse: 'fail' })]),
    '/steps/0/config/onFalse',
    /without then and else/,
  ],
  [
    'an unknown onFalse',
    workflow([condition('c', { onFalse: 'stop' })]),
    '/steps/0/config/onFalse',
    /must be one of "skip_rest"/,
  ],
  [
    'an unknown key of a condition',
    workflow([condition('c', { otherwise: [] })]),
    '/steps/0/config/otherwise',
    /is not known here/,
  ],
  ['an empty parallel', workflow([parallel('p', [])]), '/steps/0/config/steps', /at least 1 element/],
  [
    'a concurrency of nothing',
    workflow([{ ...parallel('p', [echo('a')]), config: { steps: [echo('a')], concurrency: 0 } }]),
    '/steps/0/config/concurrency',
    />= 1/,
  ],
  [
    'a fault deep within',
    workflow([condition('c', { else: [parallel('p', [sequential('s', [echo('a', { nam: 'x' })])])] })]),
    '/steps/0/config/else/0/config/steps/0/config/steps/0/nam',
    /Did you mean "name"/,
  ],
]

t.test('each fault is found where it is, with a message that names the remedy', async (t) => {
  for (const [what, definition, pointer, message] of wrong) {
    const faults = faultsOf(definition)
    t.strictSame(
      faults.map((fault) => fault.pointer),
      [pointer],
      what,
    )
    t.match(faults[0]?.message, message, what)
  }
})

t.test('all faults come at once, in the order of the document', async (t) => {
  const definition = {
    steps: [
      { id: 'a', when: 'a +', type: 'action', config: { type: 'nobody' }, extra: 1 },
      { type: 'oops' },
      echo('a', { dependencies: ['zzz'], retryPolicy: { jitter: 2, maxAttempts: 0 } }),
      condition('c', {
        condition: '1 +',
        else: [reading('e', 'steps.t.output')],
        then: [reading('t', 'steps.nobody.output')],
      }),
    ],
    inputSchema: { type: 'nonsense' },
    tags: 'x',
    unknown: 1,
  }
  t.strictSame(pointersOf(definition), [
    '/steps/0/when',
    '/steps/0/config/type',
    '/steps/0/extra',
    '/steps/1/type',
    '/steps/2/id',
    '/steps/2/dependencies/0',
    '/steps/2/retryPolicy/jitter',
    '/steps/2/retryPolicy/maxAttempts',
    '/steps/3/config/condition',
    '/steps/3/config/else/0/config/value',
    '/steps/3/config/then/0/config/value',
    '/inputSchema/type',
    '/tags',
    '/unknown',
    '/name',
  ])
})

t.test('whatever is sent, nothing is thrown', async (t) => {
  const circular: Record<string, unknown> = {}
  circular.self = circular
  const oddities: unknown[] = [
    0,
    true,
    [[]],
    circular,
    { name: 1n },
    { toJSON: 'x' },
    new Map(),
    { name: {}, steps: {} },
    { steps: [null] },
    { steps: [[]] },
    { steps: [{}] },
    { steps: [{ id: {}, type: {}, config: [], when: {}, dependencies: {}, retryPolicy: [] }] },
    { steps: [{ id: 'a', type: 'action', config: null }] },
    { steps: [{ id: 'a', type: 'action', config: { type: {} } }] },
    { steps: [{ id: 'a', type: 'parallel', config: { steps: 'x', concurrency: 'y' } }] },
    { steps: [{ id: 'a', type: 'condition', config: { condition: 5, then: 5, else: {} } }] },
    { steps: [{ id: 'a', type: 'sequential', config: { steps: [{ id: 'a' }] }, dependencies: [1, null, 'a'] }] },
    { name: 'x', steps: [echo('a')], inputSchema: 5, variables: null, checkpoints: [], output: null, retryPolicy: 'x' },
    JSON.parse('{"__proto__": 1, "constructor": 2, "name": "x", "steps": [{"__proto__": {}, "id": "__proto__"}]}'),
    { name: 'x', steps: [echo('constructor'), echo('__proto__'), reading('b', "steps['__proto__'].output")] },
    {
      get name() {
        throw new Error('no')
      },
    },
  ]
  for (const oddity of oddities) t.doesNotThrow(() => compile(oddity, actions))
  t.strictSame(
    faultsOf({
      name: 'x',
      steps: [echo('constructor'), echo('valueOf'), reading('toString', "steps['constructor'].output")],
    }),
    [],
  )
})

t.test('the definition in the answer is a copy that nobody else can change', async (t) => {
  const definition = workflow([echo('a', { config: { type: 'echo', value: { list: [1] } } })], {
    description: undefined as never,
  })
  const result = compile(definition, actions)
  if ('faults' in result) return t.fail('it is a good one')
  ;(definition.steps as JsonObject[])[0] = echo('b')
  t.strictSame(result.definition, workflow([echo('a', { config: { type: 'echo', value: { list: [1] } } })]))
})

t.test('a definition may have 10,000 steps, 100 levels and 1 MiB, and no more', async (t) => {
  const steps = Array.from({ length: 10_000 }, (_, i) => echo(`s${i}`))
  t.equal(planOf(workflow(steps)).leafCount, 10_000)
  t.match(faultsOf(workflow([...steps, echo('more')])), [{ pointer: '/steps', message: /10001 steps; at most 10000/ }])

  const nested = (levels: number) =>
    Array.from({ length: levels - 1 }, (_, i) => i).reduce<JsonObject>(
      (step, i) => sequential(`s${i}`, [step]),
      echo('leaf'),
    )
  t.equal(planOf(workflow([nested(100)])).steps.size, 100)
  t.match(faultsOf(workflow([nested(101)])), [{ message: /deeper than 100 levels/ }])
  t.match(faultsOf(workflow([nested(160)])), [{ message: /deeper than 100 levels/ }])
  t.match(faultsOf(workflow([nested(5_000)])), [{ pointer: '', message: /nests/ }])

  const filler = (bytes: number) => workflow([echo('a')], { variables: { filler: 'x'.repeat(bytes) } })
  const rest = JSON.stringify(filler(0)).length
  t.strictSame(faultsOf(filler(1024 * 1024 - rest)), [])
  t.match(faultsOf(filler(1024 * 1024 - rest + 1)), [{ pointer: '', message: /1048577 bytes; at most 1048576/ }])
  t.match(faultsOf(workflow([echo('a')], { variables: { filler: '€'.repeat(400_000) } })), [
    { message: /1200\d\d\d bytes/ },
  ])

  const deep = Array.from({ length: 600 }).reduce<JsonObject>((value) => ({ value }), {})
  t.match(faultsOf(workflow([echo('a')], { variables: deep })), [
    { pointer: '', message: /nests deeper than 500 levels/ },
  ])
  const bottomless = JSON.parse(`${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`)
  t.match(faultsOf(workflow([echo('a')], { variables: bottomless })), [{ pointer: '' }])
})

t.test('ten thousand steps that read each other are compiled', async (t) => {
  const chain = Array.from({ length: 8_000 }, (_, i) => reading(`s${i}`, i === 0 ? '1' : `steps.s${i - 1}.output`))
  t.strictSame(faultsOf(workflow(chain)), [])
  const waiting = Array.from({ length: 6_000 }, (_, i) =>
    reading(`s${i}`, i === 0 ? '1' : 'steps.s0.output', i === 0 ? {} : { dependencies: [`s${i - 1}`] }),
  )
  t.strictSame(faultsOf(workflow([parallel('p', waiting)])), [])
  const unknown = Array.from({ length: 8_000 }, (_, i) => reading(`s${i}`, `steps.x${i}.output`))
  t.equal(faultsOf(workflow(unknown)).length, 8_000)
})

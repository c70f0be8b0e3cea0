import t from 'tap'
import type { Json } from '../../src/definition/json.ts'
import { condition, echo, faultsOf, parallel, reading, sequential, workflow } from './definitions.ts'

/** Steps that may be named where they are. */
const allowed: readonly (readonly [rule: string, steps: Json[]])[] = [
  ['a step before in the sequence', [echo('a'), reading('b', 'steps.a.output')]],
  [
    'a step long before',
    [echo('a'), echo('x'), sequential('s', [parallel('p', [sequential('t', [reading('b', 'steps.a.output')])])])],
  ],
  [
    'a step within a composite before',
    [parallel('p', [sequential('s', [echo('a')])]), reading('b', 'steps.a.output + steps.p.output')],
  ],
  [
    'a step of a branch before, which may have been skipped',
    [condition('c', { then: [echo('a')] }), reading('b', 'steps.a.output ?? steps.c.output')],
  ],
  ['a step before in the same branch', [condition('c', { else: [echo('a'), reading('b', 'steps.a.output')] })]],
  [
    'a sibling that is a dependency',
    [parallel('p', [echo('a'), reading('b', 'steps.a.output', { dependencies: ['a'] })])],
  ],
  [
    'a sibling that is a dependency of a dependency',
    [
      parallel('p', [
        echo('a'),
        echo('b', { dependencies: ['a'] }),
        reading('c', 'steps.a.output', { dependencies: ['b'] }),
      ]),
    ],
  ],
  [
    'a step within a sibling that is a dependency',
    [
      parallel('p', [
        sequential('s', [echo('a')]),
        sequential('t', [reading('b', 'steps.a.output')], { dependencies: ['s'] }),
      ]),
    ],
  ],
  [
    'a sibling named later in the document',
    [parallel('p', [reading('b', 'steps.a.output', { dependencies: ['a'] }), echo('a')])],
  ],
  ['a step before, in when', [echo('a'), echo('b', { when: 'steps.a.output' })]],
  ['a step before, in a condition', [echo('a'), condition('b', { condition: 'steps.a.output' })]],
  ['a dependency before in the sequence', [echo('a'), echo('x'), echo('b', { dependencies: ['a'] })]],
  [
    'a dependency before an ancestor',
    [echo('a'), sequential('s', [condition('c', { then: [echo('b', { dependencies: ['a'] })] })])],
  ],
  ['a dependency of a composite', [echo('a'), parallel('p', [echo('b')], { dependencies: ['a'] })]],
]

t.test('a step may name what can have ended before it begins', async (t) => {
  for (const [rule, steps] of allowed) t.strictSame(faultsOf(workflow(steps)), [], rule)
})

/** Steps that may not be named: where, and why. */
const refused: readonly (readonly [rule: string, steps: Json[], pointer: string, message: RegExp])[] = [
  ['an unknown step', [reading('b', 'steps.a.output')], '/steps/0/config/value', /There is no step "a"/],
  [
    'a typing mistake',
    [echo('fetch'), reading('b', 'steps.fetsh.output')],
    '/steps/1/config/value',
    /Did you mean "fetch"/,
  ],
  [
    'a dash without quotes',
    [echo('fetch-data'), reading('b', 'steps.fetch-data.output')],
    '/steps/1/config/value',
    /steps\['fetch-data'\]/,
  ],
  ['the step itself', [reading('b', 'steps.b.output')], '/steps/0/config/value', /cannot name itself/],
  ['the step itself, in when', [echo('b', { when: 'steps.b.status' })], '/steps/0/when', /cannot name itself/],
  ['a step after', [reading('a', 'steps.b.output'), echo('b')], '/steps/0/config/value', /"b" comes after this step/],
  [
    'a step within a composite after',
    [reading('a', 'steps.b.output'), parallel('p', [echo('b')])],
    '/steps/0/config/value',
    /"b" comes after this step/,
  ],
  [
    'a composite around it',
    [sequential('s', [reading('b', 'steps.s.output')])],
    '/steps/0/config/steps/0/config/value',
    /"s" contains this step/,
  ],
  [
    'a step within it',
    [sequential('s', [echo('b')], { when: 'steps.b.output' })],
    '/steps/0/when',
    /"b" stands within this step/,
  ],
  [
    'a branch of the condition itself',
    [condition('c', { condition: 'steps.b.output', then: [echo('b')] })],
    '/steps/0/config/condition',
    /stands within this step/,
  ],
  [
    'the other branch',
    [condition('c', { then: [echo('a')], else: [sequential('s', [reading('b', 'steps.a.output')])] })],
    '/steps/0/config/else/0/config/steps/0/config/value',
    /the other branch/,
  ],
  [
    'a sibling in a parallel',
    [parallel('p', [echo('a'), reading('b', 'steps.a.output')])],
    '/steps/0/config/steps/1/config/value',
    /"a" runs beside this step: name "a" in the dependencies/,
  ],
  [
    'a step within a sibling',
    [parallel('p', [sequential('s', [echo('a')]), sequential('t', [reading('b', 'steps.a.output')])])],
    '/steps/0/config/steps/1/config/steps/0/config/value',
    /"a" runs beside "t": name "s" in the dependencies of "t"/,
  ],
  [
    'a step that depends on it',
    [parallel('p', [reading('a', 'steps.b.output'), echo('b', { dependencies: ['a'] })])],
    '/steps/0/config/steps/0/config/value',
    /"b" runs after this step, since "b" depends on it/,
  ],
  [
    'a step that depends on what depends on it',
    [
      parallel('p', [
        reading('a', 'steps.c.output'),
        echo('b', { dependencies: ['a'] }),
        echo('c', { dependencies: ['b'] }),
      ]),
    ],
    '/steps/0/config/steps/0/config/value',
    /runs after this step/,
  ],
  [
    'a dependency that does not exist',
    [echo('a', { dependencies: ['b'] })],
    '/steps/0/dependencies/0',
    /There is no step "b"/,
  ],
  ['a dependency on itself', [echo('a', { dependencies: ['a'] })], '/steps/0/dependencies/0', /cannot name itself/],
  [
    'a dependency on itself in a parallel',
    [parallel('p', [echo('a', { dependencies: ['a'] })])],
    '/steps/0/config/steps/0/dependencies/0',
    /depend on itself/,
  ],
  [
    'a dependency on what comes after',
    [echo('a', { dependencies: ['b'] }), echo('b')],
    '/steps/0/dependencies/0',
    /comes after/,
  ],
  [
    'a dependency on an ancestor',
    [sequential('s', [echo('a', { dependencies: ['s'] })])],
    '/steps/0/config/steps/0/dependencies/0',
    /contains this step/,
  ],
  [
    'a dependency out of a parallel',
    [echo('x'), parallel('p', [echo('a', { dependencies: ['x'] })])],
    '/steps/1/config/steps/0/dependencies/0',
    /dependencies name siblings; "x" is none/,
  ],
  [
    'a dependency into a sibling',
    [parallel('p', [sequential('s', [echo('a')]), echo('b', { dependencies: ['a'] })])],
    '/steps/0/config/steps/1/dependencies/0',
    /dependencies name siblings/,
  ],
  [
    'a dependency on a sibling of an ancestor in a parallel',
    [parallel('p', [echo('a'), sequential('s', [echo('b', { dependencies: ['a'] })])])],
    '/steps/0/config/steps/1/config/steps/0/dependencies/0',
    /runs beside "s": name "a" in the dependencies of "s"/,
  ],
  [
    'a dependency twice',
    [echo('a'), echo('b', { dependencies: ['a', 'a'] })],
    '/steps/1/dependencies',
    /the same twice/,
  ],
  [
    'a dependency that is no id',
    [echo('a', { dependencies: ['not an id'] })],
    '/steps/0/dependencies/0',
    /There is no step|letter/,
  ],
]

t.test('a step may not name what cannot have ended before it begins', async (t) => {
  for (const [rule, steps, pointer, message] of refused) {
    const [fault] = faultsOf(workflow(steps))
    t.equal(fault?.pointer, pointer, rule)
    t.match(fault?.message, message, rule)
  }
})

t.test('a circle of dependencies is reported with its steps', async (t) => {
  const circle = parallel('p', [
    echo('start'),
    echo('a', { dependencies: ['start', 'c'] }),
    echo('b', { dependencies: ['a'] }),
    echo('c', { dependencies: ['b'] }),
    echo('after', { dependencies: ['c'] }),
  ])
  t.match(faultsOf(workflow([circle])), [
    {
      pointer: '/steps/0/config/steps/1/dependencies',
      message: 'The dependencies go in a circle: a → c → b → a; leave one of them out',
    },
  ])
})

t.test('each of several circles is reported, and what reads within them is not blamed too', async (t) => {
  const circles = parallel('p', [
    reading('a', 'steps.b.output', { dependencies: ['b'] }),
    echo('b', { dependencies: ['a'] }),
    echo('c', { dependencies: ['d', 'a'] }),
    echo('d', { dependencies: ['c'] }),
    reading('e', 'steps.a.output'),
  ])
  t.match(
    faultsOf(workflow([circles])).map(({ message }) => message),
    [/a → b → a/, /c → d → c/],
  )
})

t.test('an output may name any step', async (t) => {
  t.strictSame(
    faultsOf(
      workflow([condition('c', { then: [echo('a')], else: [parallel('p', [echo('b')])] })], {
        output: ['{{ steps.a.output }}', '{{ steps.b.output }}'],
      }),
    ),
    [],
  )
})

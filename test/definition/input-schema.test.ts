import t from 'tap'
import { compile } from '../../src/definition/compile.ts'
import type { Json } from '../../src/definition/json.ts'
import { actions } from './actions.ts'
import { echo, faultsOf, planOf, workflow } from './definitions.ts'

const withSchema = (inputSchema: Json) => workflow([echo('a')], { inputSchema })

t.test('an input is checked, with all its faults and their places', async (t) => {
  const { inputFaults } = planOf(
    withSchema({
      type: 'object',
      required: ['email', 'rows'],
      additionalProperties: false,
      properties: {
        email: { type: 'string', format: 'email' },
        rows: { type: 'array', items: { type: 'integer', minimum: 1 } },
        kind: { enum: ['a', 'b'] },
      },
    }),
  )
  t.strictSame(inputFaults({ email: 'ada@example.com', rows: [1, 2] }), [])
  t.match(inputFaults({ email: 'nobody', rows: [0, 'x'], kind: 'c', more: 1 }), [
    { pointer: '/more', message: /is not known here/ },
    { pointer: '/email', message: /format "email"/ },
    { pointer: '/rows/0', message: />= 1/ },
    { pointer: '/rows/1', message: /must be an integer, not a string/ },
    { pointer: '/kind', message: /must be one of "a", "b"/ },
  ])
  t.match(inputFaults({}), [
    { pointer: '/email', message: 'is missing' },
    { pointer: '/rows', message: 'is missing' },
  ])
  t.match(inputFaults(null), [{ pointer: '', message: /must be an object, not null/ }])
})

t.test('true allows every input and false none', async (t) => {
  t.strictSame(planOf(withSchema(true)).inputFaults(1), [])
  t.equal(planOf(withSchema(false)).inputFaults(1).length, 1)
})

const bad: readonly (readonly [schema: Json, pointer: string, message: RegExp])[] = [
  [5, '/inputSchema', /must be an object or a boolean/],
  [{ type: 'nonsense' }, '/inputSchema/type', /must be one of/],
  [{ properties: { a: { minimum: 'x' } } }, '/inputSchema/properties/a/minimum', /must be a number/],
  [{ required: 'a' }, '/inputSchema/required', /must be an array/],
  [{ $ref: '#/$defs/missing' }, '/inputSchema', /cannot be used: can't resolve reference/],
  [{ $ref: 'https://example.com/schema.json' }, '/inputSchema', /can't resolve reference/],
  [
    { $schema: 'http://json-schema.org/draft-07/schema#' },
    '/inputSchema/$schema',
    /must be "https:\/\/json-schema.org\/draft\/2020-12\/schema"/,
  ],
  [{ $async: true }, '/inputSchema/$async', /not allowed/],
  [{ properties: { a: { pattern: '(' } } }, '/inputSchema', /cannot be used: Invalid regular expression/],
  [{ properties: { a: { pattern: '(?=a)' } } }, '/inputSchema', /cannot be used: look-ahead/],
  [{ allOf: Array.from({ length: 1_000 }, () => ({})) }, '/inputSchema', /holds 1001 schemas; at most 1000/],
  [{ $ref: '#/examples/0', examples: [{ type: 'string' }] }, '/inputSchema', /can't resolve reference/],
]

t.test('a schema that is none is refused', async (t) => {
  for (const [schema, pointer, message] of bad) {
    const faults = faultsOf(withSchema(schema))
    t.equal(faults[0]?.pointer, pointer, JSON.stringify(schema))
    t.match(faults[0]?.message, message, JSON.stringify(schema))
  }
})

t.test('two definitions may use the same $id, and the same definition may be compiled again', async (t) => {
  const first = withSchema({ $id: 'https://example.com/input', type: 'string' })
  const second = withSchema({ $id: 'https://example.com/input', type: 'number' })
  for (const definition of [first, second, first]) t.strictSame(faultsOf(definition), [])
  t.strictSame(planOf(first).inputFaults('x'), [])
  t.strictSame(planOf(second).inputFaults(1), [])
})

t.test('a schema may refer to itself, and an input that nests without end is refused, not a crash', async (t) => {
  const { inputFaults } = planOf(
    withSchema({
      $defs: { node: { type: 'object', properties: { next: { $ref: '#/$defs/node' } } } },
      $ref: '#/$defs/node',
    }),
  )
  t.strictSame(inputFaults({ next: { next: {} } }), [])
  const bottomless = JSON.parse(`${'{"next":'.repeat(50_000)}{}${'}'.repeat(50_000)}`)
  t.match(inputFaults(bottomless), [{ pointer: '', message: /nests too deeply/ }])
})

t.test('a schema that refers to itself without end is refused or fails, and never hangs', async (t) => {
  const result = compile(withSchema({ $ref: '#' }), actions)
  if ('plan' in result) t.match(result.plan.inputFaults(1), [{ message: /nests too deeply/ }])
  else t.ok(result.faults.length)
})

t.test('unknown formats and keywords are allowed: they say something to others', async (t) => {
  t.strictSame(
    planOf(
      withSchema({ type: 'string', format: 'iban', 'x-label': 'Account', examples: ['a'], default: 'b' }),
    ).inputFaults('x'),
    [],
  )
})

/** Schemas that ask for more work than there is time, with inputs that would make them do it. */
const exhausting: readonly (readonly [what: string, schema: Json, input: Json])[] = [
  ['an exponential pattern', { pattern: '^(a+)+$' }, `${'a'.repeat(4_000_000)}!`],
  [
    'an exponential pattern for names',
    { patternProperties: { '^(a|a)*$': true } },
    { [`${'a'.repeat(4_000_000)}!`]: 1 },
  ],
  ['references that double at each step', { ...doubling(40), $ref: '#/$defs/d40' }, 1],
  [
    'references that double at each level of the input',
    {
      $defs: { n: { properties: { n: { allOf: [{ $ref: '#/$defs/n' }, { $ref: '#/$defs/n' }] } } } },
      $ref: '#/$defs/n',
    },
    JSON.parse(`${'{"n":'.repeat(60)}1${'}'.repeat(60)}`),
  ],
  [
    'a long enum for each of many',
    { items: { enum: Array.from({ length: 5_000 }, (_, i) => ({ i })) } },
    Array.from({ length: 20_000 }, () => 1),
  ],
  [
    'a large schema for each of many',
    { items: { allOf: Array.from({ length: 900 }, () => ({ type: 'number' })) } },
    Array.from({ length: 20_000 }, () => 1),
  ],
]

function doubling(levels: number): { $defs: { [name: string]: Json } } {
  const $defs: { [name: string]: Json } = { d0: true }
  for (let i = 1; i <= levels; i++)
    $defs[`d${i}`] = { allOf: [{ $ref: `#/$defs/d${i - 1}` }, { $ref: `#/$defs/d${i - 1}` }] }
  return { $defs }
}

t.test('a check that takes too much work ends with a fault', async (t) => {
  for (const [what, schema, input] of exhausting) {
    const { inputFaults } = planOf(withSchema(schema))
    t.match(inputFaults(input), [{ pointer: '', message: /takes too much work/ }], what)
    t.equal(inputFaults([]).length, inputFaults([]).length, 'the next check has a budget of its own')
  }
})

t.test('uniqueItems looks at values, not at their order of keys, and is quick about it', async (t) => {
  const { inputFaults } = planOf(withSchema({ type: 'array', uniqueItems: true }))
  t.strictSame(inputFaults([1, '1', [1], { a: 1 }, { a: 2 }, null, true]), [])
  t.match(inputFaults([{ a: 1, b: [2] }, 5, { b: [2], a: 1 }]), [
    { pointer: '', message: 'holds the same twice: elements 0 and 2' },
  ])
  t.strictSame(inputFaults(Array.from({ length: 50_000 }, (_, i) => ({ i }))), [])
  t.strictSame(planOf(withSchema({ uniqueItems: false })).inputFaults([1, 1]), [])
})

t.test('patterns and names work as they should', async (t) => {
  const { inputFaults } = planOf(
    withSchema({
      type: 'object',
      properties: {
        sku: { type: 'string', pattern: '^[A-Z]{2}-\\d+$', description: 'Two letters, a dash, digits' },
        other: { type: 'string', pattern: '^[a-z]+$' },
      },
      patternProperties: { '^x-': { type: 'integer' } },
      additionalProperties: false,
    }),
  )
  t.strictSame(inputFaults({ sku: 'AB-12', other: 'abc', 'x-a': 1 }), [])
  t.match(inputFaults({ sku: 'ab-12', other: 'ABC', 'x-a': 'no', y: 1 }), [
    { pointer: '/y', message: /not known here/ },
    { pointer: '/sku', message: 'does not fit its form. Two letters, a dash, digits' },
    { pointer: '/other', message: 'must match ^[a-z]+$' },
    { pointer: '/x-a', message: /must be an integer/ },
  ])
})

t.test('everything of JSON Schema that decides on an input is kept', async (t) => {
  const schema: Json = {
    type: 'object',
    required: ['kind'],
    properties: {
      kind: { const: 'a' },
      list: { prefixItems: [{ type: 'string' }], items: { type: 'number' }, contains: { const: 2 }, minContains: 1 },
      n: { $ref: '#/$defs/even' },
      old: { nullable: true, type: 'string' },
    },
    dependentRequired: { n: ['list'] },
    dependentSchemas: { list: { minProperties: 2 } },
    propertyNames: { maxLength: 5 },
    if: { properties: { n: { const: 4 } }, required: ['n'] },
    then: { required: ['old'] },
    not: { required: ['bad'] },
    unevaluatedProperties: false,
    $defs: { even: { type: 'integer', multipleOf: 2 } },
  }
  const { inputFaults } = planOf(withSchema(schema))
  t.strictSame(inputFaults({ kind: 'a', list: ['x', 2], n: 2 }), [])
  const bad: Json[] = [
    { kind: 'b' },
    { kind: 'a', n: 2 },
    { kind: 'a', list: ['x', 1], n: 2 },
    { kind: 'a', list: [1, 2], n: 2 },
    { kind: 'a', list: ['x', 2], n: 4 },
    { kind: 'a', list: ['x', 2], n: 3 },
    { kind: 'a', bad: 1 },
    { kind: 'a', more: 1 },
    { kind: 'a', tooLong: 1 },
  ]
  for (const input of bad) t.not(inputFaults(input).length, 0, JSON.stringify(input))
})

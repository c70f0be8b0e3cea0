// biome-ignore-all lint/suspicious/noTemplateCurlyInString: template literals are part of the language
import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { ExpressionError } from '../../src/definition/expression.ts'
import type { Json } from '../../src/definition/json.ts'
import { compileTemplate, isTemplate, type TemplateOptions } from '../../src/definition/template.ts'
import { scopeOf, type World } from './scope.ts'

const world: World = {
  input: { name: 'Ada', n: 5, rows: [1, { a: 2 }], none: null, text: 'x' },
  steps: { 'fetch-data': { status: 'completed', output: { ok: true } } },
  secrets: { KEY: 's3cret' },
}
const render = (value: Json, options?: TemplateOptions): Json | undefined =>
  compileTemplate(value, options).render(scopeOf(world))

const renderings: readonly (readonly [template: Json, rendered: Json | undefined])[] = [
  ['plain', 'plain'],
  ['', ''],
  [5, 5],
  [null, null],
  ['{{ input.n }}', 5],
  ['{{input.n}}', 5],
  ['{{ input.rows }}', [1, { a: 2 }]],
  ['{{ input.none }}', null],
  ['{{ input.missing }}', undefined],
  ["{{ steps['fetch-data'].output.ok }}", true],
  ['Hello {{ input.name }}!', 'Hello Ada!'],
  [' {{ input.n }}', ' 5'],
  ['{{ input.n }}{{ input.n }}', '55'],
  ['a{{ input.missing }}b', 'ab'],
  ['a{{ input.none }}b', 'anullb'],
  ['rows: {{ input.rows }}', 'rows: [1,{"a":2}]'],
  ['{{ input.missing }}{{ input.missing }}', ''],
  ['\\{{ input.n }}', '{{ input.n }}'],
  ['\\{{ a }} {{ input.n }}', '{{ a }} 5'],
  ['{{ input.n }} \\{{', '5 {{'],
  ['\\\\{{ x', '\\{{ x'],
  ['a { b } }} c', 'a { b } }} c'],
  ['{ {{ input.n }} }', '{ 5 }'],
  ['{{ { a: { b: input.n } } }}', { a: { b: 5 } }],
  ['{{{a:{b:1}}}}', { a: { b: 1 } }],
  ["{{ '}}' }}", '}}'],
  ['{{ "}}" + input.n }}', '}}5'],
  ["{{ 'it\\'s }}' }}", "it's }}"],
  ['{{ `}} ${ { a: "}" }.a } }}` }}', '}} } }}'],
  ['{{ `${`${input.n}`}` }}', '5'],
  ['{{ input.rows.map(row => ({ row })) }}', [{ row: 1 }, { row: { a: 2 } }]],
  [
    { a: '{{ input.n }}', b: { c: ['{{ input.name }}', 1] } },
    { a: 5, b: { c: ['Ada', 1] } },
  ],
  [{ a: '{{ input.missing }}', b: 1 }, { b: 1 }],
  [{ a: '{{ input.missing }}' }, {}],
  [{ a: 'x{{ input.missing }}' }, { a: 'x' }],
  [
    ['{{ input.missing }}', 2],
    [null, 2],
  ],
  [{ '{{ key }}': 1 }, { '{{ key }}': 1 }],
]

t.test('templates are filled in', async (t) => {
  for (const [template, rendered] of renderings) t.strictSame(render(template), rendered, JSON.stringify(template))
})

t.test('a key named __proto__ stays a key', async (t) => {
  const rendered = render(JSON.parse('{"__proto__": {"polluted": "{{ input.n }}"}, "b": "{{ input.n }}"}')) as {
    polluted?: Json
  }
  t.equal(rendered.polluted, undefined)
  t.equal(JSON.stringify(rendered), '{"__proto__":{"polluted":5},"b":5}')
})

t.test('parts without templates are shared, not copied', async (t) => {
  const constant = { headers: { accept: 'json' }, list: [1, [2]] }
  t.equal(render(constant), constant)
  const rendered = render({ constant, filled: '{{ input.n }}' }) as { constant: Json }
  t.equal(rendered.constant, constant)
  const rows = render({ rows: '{{ input.rows }}' }) as { rows: Json }
  t.equal(rows.rows, (world.input as { rows: Json }).rows)
})

t.test('each rendering is its own', async (t) => {
  const template = compileTemplate({ n: '{{ input.n }}' })
  t.strictSame(template.render(scopeOf({ input: { n: 1 } })), { n: 1 })
  t.strictSame(template.render(scopeOf({ input: { n: 2 } })), { n: 2 })
})

t.test('a string that holds a template is told from one that does not', async (t) => {
  for (const text of ['{{ a }}', 'a {{ b }} c', '\\{{ a }} {{ b }}', '{{', 'a{{b']) t.ok(isTemplate(text), text)
  for (const text of ['', 'a', '{ a }', '}}', '\\{{ a }}', '{ {', '\\{{ \\{{']) t.notOk(isTemplate(text), text)
})

const faulty: readonly (readonly [template: string, message: RegExp])[] = [
  ['{{ a', /has no }}/],
  ['{{ a }', /has no }}/],
  ['{{ "a }}', /has no }}; a " in it is still open/],
  ["{{ it's }}", /a ' in it is still open/],
  ['{{ { a: 1 }}', /has no }}/],
  ['{{ }}', /is empty/],
  ['{{ a b }}', /before "b/],
  ['{{ a // b }} c\n }}', /no comments/],
  ['{{ data.x = 1 }}', /===/],
  ['{{ {{ a }} }}', /before/],
  ['{{ steps.a-b.output }}', /steps\['a-b'\]/],
]

t.test('a faulty template is refused when it is compiled', async (t) => {
  for (const [template, message] of faulty)
    t.throws(() => compileTemplate({ deep: [template] }), { name: 'ExpressionError', message }, template)
})

t.test('a template tells which steps it reads and whether it reads secrets', async (t) => {
  const template = compileTemplate({ a: "{{ steps.x.output }} {{ steps['y-z'].meta }}", b: ['{{ steps.x.status }}'] })
  t.strictSame(template.stepIds, ['x', 'y-z'])
  t.equal(template.usesSecrets, false)
  t.equal(compileTemplate('{{ secrets.KEY }}', { secretsAllowed: true }).usesSecrets, true)
})

t.test('secrets stand below secret fields only', async (t) => {
  const options = { secretFields: ['/headers', '/auth'] }
  t.strictSame(render({ headers: { authorization: 'Bearer {{ secrets.KEY }}' } }, options), {
    headers: { authorization: 'Bearer s3cret' },
  })
  t.strictSame(render({ auth: '{{ secrets.KEY }}' }, options), { auth: 's3cret' })
  for (const value of [
    { url: '{{ secrets.KEY }}' },
    { headersToo: '{{ secrets.KEY }}' },
    { body: { headers: '{{ secrets.KEY }}' } },
  ] as Json[]) {
    t.throws(() => compileTemplate(value, options), /Secrets may be used only/, JSON.stringify(value))
  }
})

t.test('literal fields hold no templates', async (t) => {
  const options = { literalFields: ['/query'] }
  t.throws(() => compileTemplate({ query: 'SELECT {{ input.n }}' }, options), /taken as it is/)
  t.strictSame(render({ query: 'SELECT $1', parameters: ['{{ input.n }}'] }, options), {
    query: 'SELECT $1',
    parameters: [5],
  })
})

t.test('all expressions of one rendering share its fuel', async (t) => {
  const costly = '{{ Array.from({ length: 200000 }).map(x => x).length }}'
  t.equal(render(costly), 200_000)
  t.throws(() => render(Array.from({ length: 20 }, () => costly)), /takes too much work/)
})

t.test('a small template does not make gigabytes of a megabyte', async (t) => {
  const data = Array.from({ length: 20_000 }, (_, i) => `row ${i} ${'x'.repeat(40)}`)
  const many = (template: string) => compileTemplate(Array.from({ length: 1_000 }, () => template))
  t.throws(() => many('{{ data }}').render(scopeOf({ data })), ExpressionError)
  t.throws(() => many('{{ data.join(",") }}').render(scopeOf({ data })), ExpressionError)
  t.throws(() => many('{{ data }}').render(scopeOf({ data: 'x'.repeat(1_000_000) })), ExpressionError)
  t.throws(
    () => compileTemplate('{{ data }}'.repeat(10)).render(scopeOf({ data: 'x'.repeat(1_000_000) })),
    ExpressionError,
  )
  t.doesNotThrow(() => many('{{ data[0] }}').render(scopeOf({ data })))
})

t.test('JSON of any shape without templates renders to itself', async (t) => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const json = JSON.parse(JSON.stringify(value)) as Json
      if (!JSON.stringify(json).includes('{{')) assert.deepEqual(render(json), json)
    }),
    { numRuns: 200 },
  )
  t.pass('they do')
})

t.test('any text can be written literally', async (t) => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('{', '}', 'a', ' ', '"') }), (text) => {
      assert.equal(render(text.replaceAll('{{', '\\{{')), text)
    }),
    { numRuns: 300 },
  )
  t.pass('it can')
})

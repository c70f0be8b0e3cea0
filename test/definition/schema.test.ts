import { Ajv2020 } from 'ajv/dist/2020.js'
import t from 'tap'
import type { JsonObject } from '../../src/definition/json.ts'
import { languageSchema } from '../../src/definition/json-schema.ts'
import { Definition, definitionSchemas } from '../../src/definition/schema.ts'
import { condition, echo, faultsOf, parallel, sequential, workflow } from './definitions.ts'

const idOf = (schema: object): string => String(Reflect.get(schema, '$id'))

t.test('every schema of the language has a name, and refers only to others of them', async (t) => {
  const ids = new Set(definitionSchemas.map(idOf))
  t.equal(ids.size, definitionSchemas.length)
  const references = JSON.stringify(definitionSchemas).matchAll(/"\$ref":"([^"#]*)#"/g)
  for (const [, id] of references) t.ok(ids.has(id as string), String(id))
})

t.test('every field is described', async (t) => {
  for (const schema of definitionSchemas) {
    for (const [name, field] of Object.entries(
      (Reflect.get(schema, 'properties') ?? {}) as Record<string, JsonObject>,
    )) {
      const isPlain = 'const' in field || '$ref' in field || name === 'config' || name === 'checkpoints'
      t.ok(isPlain || typeof field.description === 'string', `${idOf(schema)}.${name}`)
    }
  }
})

t.test('the schemas agree with the compiler on what is a definition', async (t) => {
  const ajv = new Ajv2020({ strict: false })
  for (const schema of definitionSchemas) ajv.addSchema(schema)
  const fits = (definition: object): boolean => ajv.validate('Definition', definition) as boolean
  const good: JsonObject[] = [
    workflow([echo('a')]),
    workflow([parallel('p', [sequential('s', [condition('c', { then: [echo('a')], else: [echo('b')] })])])]),
    workflow([
      echo('a', {
        retryPolicy: { maxAttempts: 3, maxElapsedMs: null },
        timeoutMs: 5,
        delivery: 'at_least_once',
        when: 'true',
      }),
    ]),
    workflow([condition('c', { onFalse: 'continue' })], {
      inputSchema: true,
      variables: { a: 1 },
      checkpoints: { keep: 5 },
      tags: ['a'],
      output: null,
    }),
  ]
  for (const definition of good) {
    t.ok(fits(definition), JSON.stringify(definition))
    t.strictSame(faultsOf(definition), [])
  }
  const bad: JsonObject[] = [
    workflow([]),
    workflow([echo('1')]),
    workflow([echo('a', { extra: 1 })]),
    workflow([sequential('s', [echo('a', { retryPolicy: { jitter: 2 } })])]),
    workflow([parallel('p', [{ id: 'a', type: 'loop', config: {} }])]),
    workflow([condition('c', { onFalse: 'stop' })]),
    workflow([echo('a')], { more: 1 }),
  ]
  for (const definition of bad) {
    t.notOk(fits(definition), JSON.stringify(definition))
    t.not(faultsOf(definition).length, 0)
  }
})

t.test("the schema's own example is a definition", async (t) => {
  const ajv = new Ajv2020({ strict: false })
  for (const schema of definitionSchemas) ajv.addSchema(schema)
  for (const example of Reflect.get(Definition, 'examples') as JsonObject[]) t.ok(ajv.validate('Definition', example))
})

t.test('the language stands alone as one JSON Schema, which knows a good definition from a bad one', async (t) => {
  const validate = new Ajv2020({ strict: false }).compile(languageSchema())
  for (const example of Reflect.get(Definition, 'examples') as JsonObject[]) t.ok(validate(example))
  const loop = { id: 'w', type: 'while', config: { condition: 'true', steps: [echo('a')] } }
  t.notOk(validate(workflow([loop])), 'a loop without a bound')
  t.ok(validate(workflow([{ ...loop, config: { ...loop.config, maxIterations: 3 } }])))
})

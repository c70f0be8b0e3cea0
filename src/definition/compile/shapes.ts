import { Ajv2020 } from 'ajv/dist/2020.js'
import type { Json } from '../json.ts'
import { languageOf, type StepType } from '../language.ts'
import type { Fault } from '../plan.ts'
import { definitionSchemas } from '../schema.ts'
import { type SchemaError, schemaFaults } from '../schema-errors.ts'

const ajv = new Ajv2020({ allErrors: true, verbose: true, strict: false, validateSchema: false })
// Nested steps are looked at one by one, whatever their depth; here it is enough that they are objects.
ajv.addSchema({ $id: 'StepDefinition', type: 'object' })
for (const schema of definitionSchemas) {
  if (Reflect.get(schema, '$id') !== 'StepDefinition') ajv.addSchema(schema)
}

/**
 * Compiles the schemas, which the first definition would otherwise wait for: 0.1 s in all. One at each step, so that whoever has
 * other things to do can do them in between.
 */
export function* prepareShapes(): Iterable<void> {
  for (const schema of definitionSchemas) {
    ajv.getSchema(String(Reflect.get(schema, '$id')))
    yield
  }
}

/** Faults of the definition's own fields; its steps only need to be objects. */
export const definitionFaults = (definition: Json): Fault[] => check('Definition', definition, '')

/** Faults of a step's own fields; steps within it only need to be objects. */
export const stepFaults = (type: StepType, step: Json, pointer: string): Fault[] =>
  check(String(Reflect.get(languageOf(type).schema, '$id')), step, pointer)

function check(schema: string, value: Json, pointer: string): Fault[] {
  const validate = ajv.getSchema(schema)
  if (!validate || validate(value)) return []
  return schemaFaults(validate.errors as SchemaError[]).map((fault) => ({ ...fault, pointer: pointer + fault.pointer }))
}

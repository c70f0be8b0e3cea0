import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import type { Fault } from '../../errors.ts'

/** Constant parts of a config are the same object at every attempt, so each schema is compiled once. */
const compiled = new WeakMap<object, ValidateFunction>()

/** What in a value does not fit a JSON Schema; empty when it fits. Throws when the schema itself is none. */
export function outputFaults(schema: object, value: unknown): Fault[] {
  const validate = validatorOf(schema)
  if (validate(value) === true) return []
  const errors = validate.errors ?? []
  return errors.map(({ instancePath, message = 'does not fit' }) => ({ pointer: instancePath, message }))
}

export function validatorOf(schema: object): ValidateFunction {
  let validate = compiled.get(schema)
  if (!validate) {
    // An instance of its own: Ajv holds every schema that it has seen, and refuses a second one with the same $id.
    const ajv = new Ajv2020({ strict: false, allErrors: true })
    formats.default(ajv)
    validate = ajv.compile(schema)
    compiled.set(schema, validate)
  }
  return validate
}

import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import type { JsonObject } from '../json.ts'
import type { ActionShape, Fault } from '../plan.ts'
import { type SchemaError, schemaFaults } from '../schema-errors.ts'
import { isTemplate } from '../template.ts'

/** One check for each action's schema, as long as the action lives. */
const checks = new WeakMap<object, ValidateFunction>()

function checkOf({ configSchema }: ActionShape): ValidateFunction {
  const known = checks.get(configSchema)
  if (known) return known
  const ajv = new Ajv2020({ allErrors: true, verbose: true, strict: false, validateSchema: false })
  addFormats.default(ajv)
  const check = ajv.compile(configSchema)
  checks.set(configSchema, check)
  return check
}

/** Faults of an action's config, before its templates are filled in: a text that holds one may become anything. */
export function configFaults(shape: ActionShape, config: JsonObject): Fault[] {
  const check = checkOf(shape)
  if (check(config)) return []
  return schemaFaults(check.errors as SchemaError[], (value) => typeof value === 'string' && isTemplate(value))
}

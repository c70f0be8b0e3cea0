import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import type { Json, JsonObject } from '../json.ts'
import type { Fault, Plan } from '../plan.ts'
import { type SchemaError, schemaFaults } from '../schema-errors.ts'

const DIALECT = 'https://json-schema.org/draft/2020-12/schema'
const PLACE = '/inputSchema'

/** Knows JSON Schema's own schema; it keeps nothing of what it checks. */
const dialect = new Ajv2020({ allErrors: true, verbose: true, strict: false, logger: false })

interface CompiledInputSchema {
  readonly inputFaults: Plan['inputFaults']
  readonly faults: readonly Fault[]
}

/**
 * Compiles an inputSchema. Each has a validator of its own, which goes when its plan goes: two definitions may use the same
 * $id, and nothing piles up.
 */
export function compileInputSchema(schema: Json | undefined): CompiledInputSchema {
  if (!isSchema(schema)) return { inputFaults: () => [], faults: [] }
  const faults = schemaItselfFaults(schema)
  if (faults.length > 0) return { inputFaults: () => [], faults }
  try {
    const ajv = new Ajv2020({
      allErrors: true,
      verbose: true,
      strict: false,
      meta: false,
      validateSchema: false,
      logger: false,
    })
    addFormats.default(ajv)
    const validate = ajv.compile(schema)
    return { inputFaults: (input) => inputFaults(validate, input), faults: [] }
  } catch (error) {
    return {
      inputFaults: () => [],
      faults: [{ pointer: PLACE, message: `cannot be used: ${(error as Error).message}` }],
    }
  }
}

/** Anything else is refused with the definition's own fields. */
const isSchema = (schema: Json | undefined): schema is JsonObject | boolean =>
  typeof schema === 'boolean' || (typeof schema === 'object' && schema !== null && !Array.isArray(schema))

function schemaItselfFaults(schema: JsonObject | boolean): readonly Fault[] {
  if (typeof schema === 'boolean') return []
  if (schema.$schema !== undefined && schema.$schema !== DIALECT) {
    return [{ pointer: `${PLACE}/$schema`, message: `must be "${DIALECT}"; it may be left out` }]
  }
  if (schema.$async !== undefined)
    return [{ pointer: `${PLACE}/$async`, message: 'is not allowed: inputs are checked at once' }]
  try {
    if (dialect.validateSchema(schema)) return []
  } catch (error) {
    return [{ pointer: PLACE, message: `is no JSON Schema: ${(error as Error).message}` }]
  }
  return schemaFaults(dialect.errors as SchemaError[]).map(({ pointer, message }) => ({
    pointer: PLACE + pointer,
    message,
  }))
}

function inputFaults(validate: ValidateFunction, input: Json): readonly Fault[] {
  try {
    return validate(input) ? [] : schemaFaults(validate.errors as SchemaError[])
  } catch (error) {
    // A schema that refers to itself follows the input as deep as it goes.
    if (error instanceof RangeError) return [{ pointer: '', message: 'nests too deeply to be checked' }]
    throw error
  }
}

/** Every name that variables and input can have, when the inputSchema allows no others; undefined when it is open. */
export function closedNames({ inputSchema, variables }: JsonObject): ReadonlySet<string> | undefined {
  if (typeof inputSchema !== 'object' || inputSchema === null || Array.isArray(inputSchema)) return undefined
  const { properties, additionalProperties, patternProperties } = inputSchema
  if (additionalProperties !== false || patternProperties !== undefined) return undefined
  return new Set([...keysOf(properties), ...keysOf(variables)])
}

const keysOf = (value: Json | undefined): string[] =>
  typeof value === 'object' && value !== null ? Object.keys(value) : []

import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { chargedSchema, WORK_KEYWORD } from '../input-schema/charged-schema.ts'
import { compilePattern } from '../input-schema/pattern.ts'
import { findRepetition } from '../input-schema/unique-items.ts'
import { TooMuchWork, Work } from '../input-schema/work.ts'
import type { Json, JsonObject } from '../json.ts'
import type { Fault, Plan } from '../plan.ts'
import { type SchemaError, schemaFaults } from '../schema-errors.ts'

const DIALECT = 'https://json-schema.org/draft/2020-12/schema'
/** Ajv takes up to a millisecond for each. */
export const MAX_SCHEMAS = 1_000

/** Knows JSON Schema's own schema; it keeps nothing of what it checks. */
const dialect = new Ajv2020({ allErrors: true, verbose: true, strict: false, logger: false })

interface CompiledInputSchema {
  readonly inputFaults: Plan['inputFaults']
  readonly faults: readonly Fault[]
  /** How many schemas there are within. */
  readonly count: number
}

/**
 * Compiles a JSON Schema for what callers send: the inputSchema, or a form; `place` points at it in the definition, `room` is how
 * many schemas may be within. Each has a validator of its own, which goes when its plan goes: two definitions may use the same
 * $id, and nothing piles up. Patterns run in linear time, and every check has a budget.
 */
export function compileInputSchema(
  schema: Json | undefined,
  place = '/inputSchema',
  room = MAX_SCHEMAS,
): CompiledInputSchema {
  const without = (...faults: readonly Fault[]) => ({ inputFaults: () => [], faults, count: 0 })
  if (!isSchema(schema)) return without()
  const faults = schemaItselfFaults(schema, place)
  if (faults.length > 0) return without(...faults)
  const { schema: charged, count } = chargedSchema(schema)
  if (count > room) {
    const most =
      room === MAX_SCHEMAS ? `at most ${room} are taken` : `of the ${MAX_SCHEMAS} that are taken ${room} are left`
    return without({ pointer: place, message: `holds ${count} schemas; ${most}, since each is compiled` })
  }
  try {
    const work = new Work()
    const validate = validatorWith(work).compile(charged as JsonObject | boolean)
    return { inputFaults: (input) => inputFaults(validate, work, input), faults: [], count }
  } catch (error) {
    return without({ pointer: place, message: `cannot be used: ${(error as Error).message}` })
  }
}

/** Anything else is refused with the definition's own fields. */
const isSchema = (schema: Json | undefined): schema is JsonObject | boolean =>
  typeof schema === 'boolean' || (typeof schema === 'object' && schema !== null && !Array.isArray(schema))

function schemaItselfFaults(schema: JsonObject | boolean, place: string): readonly Fault[] {
  if (typeof schema === 'boolean') return []
  if (schema.$schema !== undefined && schema.$schema !== DIALECT) {
    return [{ pointer: `${place}/$schema`, message: `must be "${DIALECT}"; it may be left out` }]
  }
  if (schema.$async !== undefined)
    return [{ pointer: `${place}/$async`, message: 'is not allowed: inputs are checked at once' }]
  try {
    if (dialect.validateSchema(schema)) return []
  } catch (error) {
    return [{ pointer: place, message: `is no JSON Schema: ${(error as Error).message}` }]
  }
  return schemaFaults(dialect.errors as SchemaError[]).map(({ pointer, message }) => ({
    pointer: place + pointer,
    message,
  }))
}

/** A validator whose schemas, patterns and comparisons charge their work. */
function validatorWith(work: Work): Ajv2020 {
  const engine = (source: string) => {
    const pattern = compilePattern(source)
    return { test: (text: string) => pattern.test(text, work.spend), toString: () => `/${source}/` }
  }
  const ajv = new Ajv2020({
    allErrors: true,
    verbose: true,
    strict: false,
    meta: false,
    validateSchema: false,
    logger: false,
    // A definition that is referred to a hundred times must not be compiled a hundred times.
    inlineRefs: false,
    code: { optimize: false, regExp: Object.assign(engine, { code: 'pattern' }) },
  })
  addFormats.default(ajv)
  ajv.addKeyword({ keyword: WORK_KEYWORD, errors: false, compile: (units: number) => charge(units, work) })
  ajv.removeKeyword('uniqueItems')
  ajv.addKeyword({
    keyword: 'uniqueItems',
    type: 'array',
    errors: true,
    compile: (wanted: boolean) => uniqueItems(wanted, work),
  })
  return ajv
}

function charge(units: number, work: Work): () => boolean {
  return () => {
    work.spend(units)
    return true
  }
}

function uniqueItems(wanted: boolean, work: Work) {
  const check: { (elements: Json[]): boolean; errors?: Partial<SchemaError>[] } = (elements) => {
    const repetition = wanted ? findRepetition(elements, work.spend) : null
    if (!repetition) return true
    const [j, i] = repetition
    check.errors = [{ keyword: 'uniqueItems', params: { i, j } }]
    return false
  }
  return check
}

function inputFaults(validate: ValidateFunction, work: Work, input: Json): readonly Fault[] {
  work.begin()
  try {
    return validate(input) ? [] : schemaFaults(validate.errors as SchemaError[])
  } catch (error) {
    if (error instanceof TooMuchWork) return [{ pointer: '', message: error.message }]
    // A schema that refers to itself follows the input as deep as it goes.
    if (error instanceof RangeError) return [{ pointer: '', message: 'nests too deeply to be checked' }]
    throw error
  }
}

/** Every name that variables and input can have, when the inputSchema allows no others; undefined when it is open. */
export function closedNames({ inputSchema, variables, steps }: JsonObject): ReadonlySet<string> | undefined {
  if (typeof inputSchema !== 'object' || inputSchema === null || Array.isArray(inputSchema)) return undefined
  const { properties, additionalProperties, patternProperties } = inputSchema
  if (additionalProperties !== false || patternProperties !== undefined) return undefined
  return new Set([...keysOf(properties), ...keysOf(variables), ...namesSetIn(steps)])
}

/** The variables that `set` steps give values to, wherever they stand. */
function* namesSetIn(value: Json | undefined): Generator<string> {
  if (typeof value !== 'object' || value === null) return
  if (!Array.isArray(value) && value.type === 'set' && typeof value.config === 'object') {
    yield* keysOf((value.config as JsonObject | null)?.variables)
  }
  for (const part of Object.values(value)) yield* namesSetIn(part)
}

const keysOf = (value: Json | undefined): string[] =>
  typeof value === 'object' && value !== null ? Object.keys(value) : []

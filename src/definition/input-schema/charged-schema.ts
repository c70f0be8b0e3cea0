import type { Json, JsonObject } from '../json.ts'

/** The keyword, our own, that says how much work it is to apply a schema once. */
export const WORK_KEYWORD = 'x-cairn-work'

/** What applying a schema takes beside its parts. */
const BASE = 20

const schemaMaps = new Set(['$defs', 'definitions', 'properties', 'patternProperties', 'dependentSchemas'])
const schemaLists = new Set(['allOf', 'anyOf', 'oneOf', 'prefixItems'])
const schemas = new Set([
  'items',
  'additionalProperties',
  'unevaluatedProperties',
  'unevaluatedItems',
  'contains',
  'propertyNames',
  'not',
  'if',
  'then',
  'else',
])
const values = new Set(['type', 'enum', 'const', 'required', 'dependentRequired'])

/**
 * A copy of a JSON Schema in which every schema carries its work. Other keywords that hold objects or lists, such as default
 * and examples, are left out: a $ref into them would lead round the charge. `count` is how many schemas there are within.
 */
export function chargedSchema(schema: Json): { schema: Json; count: number } {
  const counter = { count: 0 }
  return { schema: charge(schema, counter), count: counter.count }
}

interface Counter {
  count: number
}

function charge(schema: Json, counter: Counter): Json {
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) return schema
  counter.count++
  const charged: JsonObject = {}
  let work = BASE
  for (const [keyword, value] of Object.entries(schema)) {
    const kept = chargedKeyword(keyword, value, counter)
    if (kept === undefined) continue
    work += sizeOf(kept, values.has(keyword))
    charged[keyword] = kept
  }
  charged[WORK_KEYWORD] = work
  return charged
}

function chargedKeyword(keyword: string, value: Json, counter: Counter): Json | undefined {
  if (typeof value !== 'object' || value === null || values.has(keyword)) return value
  if (schemas.has(keyword)) return charge(value, counter)
  if (schemaLists.has(keyword) && Array.isArray(value)) return value.map((schema) => charge(schema, counter))
  if (schemaMaps.has(keyword) && !Array.isArray(value)) {
    return Object.fromEntries(Object.entries(value).map(([name, schema]) => [name, charge(schema, counter)]))
  }
  return undefined
}

/** How much there is to look at: entries, and all that is in them where whole values are compared. */
function sizeOf(value: Json, deep: boolean): number {
  if (typeof value !== 'object' || value === null) return 0
  const entries = Object.values(value)
  return deep ? entries.reduce<number>((size, entry) => size + 1 + sizeOf(entry, deep), 0) : entries.length
}

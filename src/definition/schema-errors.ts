import type { ErrorObject } from 'ajv/dist/2020.js'
import { pointerTo } from './json-pointer.ts'
import { didYouMean } from './nearest.ts'
import type { Fault } from './plan.ts'
import { storedMessage, storedPattern } from './stored-text.ts'

/** Ajv's error for a check made with `verbose` and `allErrors`. */
export type SchemaError = ErrorObject<string, Record<string, unknown>>

/** So many are told apart; a long list in which every element is wrong has more. */
const MAX_ERRORS = 1_000

/**
 * Ajv's errors as faults for people, one for each place and rule. `excused` says which values are not to be judged, because
 * what they will be is known only later.
 */
export function schemaFaults(
  allErrors: readonly SchemaError[],
  excused: (value: unknown) => boolean = () => false,
): Fault[] {
  const faults = new Map<string, Fault>()
  const errors = allErrors.slice(0, MAX_ERRORS)
  const judged = errors.filter(({ data }) => !excused(data))
  const left = withoutUnionNoise(judged, errors)
  const blamed = new Set(left.filter((error) => !isUnion(error)).map(({ instancePath }) => instancePath))
  for (const error of left) {
    // The branches of a union behind a $ref are not known by their path; what else is wrong at the place says more.
    if (isUnion(error) && blamed.has(error.instancePath)) continue
    const fault = faultOf(error)
    faults.set(`${fault.pointer} ${fault.message}`, fault)
  }
  return [...faults.values()]
}

const isUnion = ({ keyword }: SchemaError): boolean => keyword === 'anyOf' || keyword === 'oneOf'

function faultOf({ keyword, instancePath: pointer, params, message, parentSchema, data }: SchemaError): Fault {
  switch (keyword) {
    case 'additionalProperties':
    case 'unevaluatedProperties':
      return unknownKey(
        pointer,
        String(params.additionalProperty ?? params.unevaluatedProperty),
        parentSchema?.properties,
      )
    case 'required':
    case 'dependentRequired':
      return { pointer: pointerTo(pointer, String(params.missingProperty)), message: 'is missing' }
    case 'enum': {
      const values = (params.allowedValues as unknown[]).map((value) => JSON.stringify(value)).join(', ')
      const hint = typeof data === 'string' ? didYouMean(data, (params.allowedValues as unknown[]).map(String)) : ''
      return { pointer, message: `must be one of ${values}.${hint}` }
    }
    case 'const':
      return { pointer, message: `must be ${JSON.stringify(params.allowedValue)}` }
    case 'type':
      return { pointer, message: `must be ${kindOfType(params.type)}, not ${kindOfValue(data)}` }
    case 'pattern':
      return { pointer, message: patternMessage(params.pattern, parentSchema?.description) }
    case 'anyOf':
    case 'oneOf':
      return { pointer, message: 'has none of the forms that are allowed here' }
    case 'minItems':
    case 'minLength':
    case 'minProperties':
      return { pointer, message: limitMessage('at least', keyword, params.limit) }
    case 'maxItems':
    case 'maxLength':
    case 'maxProperties':
      return { pointer, message: limitMessage('at most', keyword, params.limit) }
    case 'not':
      return { pointer, message: 'is a name that cannot be used' }
    case 'uniqueItems':
      return { pointer, message: `holds the same twice: elements ${params.j} and ${params.i}` }
    case 'false schema':
      return { pointer, message: 'is not allowed here' }
    default:
      return { pointer, message: message ?? `breaks the rule ${keyword}` }
  }
}

function unknownKey(pointer: string, key: string, properties: unknown): Fault {
  const known = Object.keys(typeof properties === 'object' && properties !== null ? properties : {})
  const hint = didYouMean(key, known)
  const allowed = known.length > 0 ? `; there are ${known.join(', ')}.` : ''
  return { pointer: pointerTo(pointer, key), message: `is not known here${hint === '' ? allowed : `.${hint}`}` }
}

const units: { readonly [word: string]: string } = { Items: 'element', Length: 'character', Properties: 'member' }

const limitMessage = (bound: string, keyword: string, limit: unknown): string =>
  `must have ${bound} ${limit} ${units[keyword.slice(3)]}${limit === 1 ? '' : 's'}`

const patternMessage = (pattern: unknown, description: unknown): string => {
  if (pattern === storedPattern) return storedMessage
  return typeof description === 'string' ? `does not fit its form. ${description}` : `must match ${String(pattern)}`
}

const kindOfType = (type: unknown): string => {
  if (Array.isArray(type)) return type.map(kindOfType).join(' or ')
  return type === 'null' ? 'null' : /^[aeio]/.test(String(type)) ? `an ${String(type)}` : `a ${String(type)}`
}

const kindOfValue = (value: unknown): string => {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}

/**
 * A union that fails reports all its branches. A branch whose errors were all excused is one that may fit, so the union is
 * excused with it; otherwise the errors of the branch that was meant stand for it, when there is exactly one such.
 */
function withoutUnionNoise(left: readonly SchemaError[], all: readonly SchemaError[]): readonly SchemaError[] {
  let kept = left
  // Ajv reports inner unions before the outer ones.
  for (const union of all.filter(isUnion)) {
    const prefix = `${union.schemaPath}/`
    const isOf = (error: SchemaError): boolean =>
      error.schemaPath.startsWith(prefix) && error.instancePath.startsWith(union.instancePath)
    const branchOf = (error: SchemaError): string => error.schemaPath.slice(prefix.length).split('/')[0] as string
    const tried = new Set(all.filter(isOf).map(branchOf))
    const failed = Map.groupBy(kept.filter(isOf), branchOf)
    const mayFit = [...tried].some((branch) => !failed.has(branch))
    const meant = [...failed.values()].filter((branch) => !branch.some((error) => isOtherForm(error, union)))
    const spoken = new Set(mayFit ? [] : meant.length === 1 ? meant[0] : [union])
    kept = kept.filter((error) => spoken.has(error) || (error !== union && !isOf(error)))
  }
  return kept
}

/** A wrong basic type of the value itself, or a wrong constant right below it, says that another branch was meant. */
function isOtherForm({ keyword, instancePath }: SchemaError, union: SchemaError): boolean {
  if (instancePath === union.instancePath) return keyword === 'type' || keyword === 'const' || keyword === 'enum'
  return keyword === 'const' && instancePath.lastIndexOf('/') === union.instancePath.length
}

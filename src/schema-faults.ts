import type { TLocalizedValidationError } from 'typebox/error'
import { Settings } from 'typebox/system'
import type { Fault } from './errors.ts'

// TypeBox stops at eight errors by default; people want all of them at once. A limit remains against hostile input.
Settings.Set({ maxErrors: 1_000 })

type SchemaError = TLocalizedValidationError

/**
 * TypeBox's errors as faults for people: one for each place, unknown keys by name, and of a union only what is wrong
 * with the form that was meant.
 */
export function schemaFaults(errors: readonly SchemaError[]): Fault[] {
  const faults = new Map<string, Fault>()
  for (const error of withoutUnionNoise(errors)) {
    for (const fault of faultsOf(error)) {
      if (!faults.has(fault.pointer)) faults.set(fault.pointer, fault)
    }
  }
  return [...faults.values()]
}

function faultsOf({ keyword, instancePath, params, message }: SchemaError): Fault[] {
  switch (keyword) {
    case 'additionalProperties':
      return keysOf(params, 'additionalProperties').map((key) => ({
        pointer: `${instancePath}/${escapePointer(key)}`,
        message: 'is not known here',
      }))
    case 'required':
      return keysOf(params, 'requiredProperties').map((key) => ({
        pointer: `${instancePath}/${escapePointer(key)}`,
        message: 'is missing',
      }))
    case 'boolean': // The same unknown key once more; additionalProperties names it.
      return []
    case 'enum':
      return [{ pointer: instancePath, message: `must be one of ${keysOf(params, 'allowedValues').join(', ')}` }]
    case 'const':
      return [
        {
          pointer: instancePath,
          message: `must be ${JSON.stringify((params as { allowedValue: unknown }).allowedValue)}`,
        },
      ]
    case 'type':
      return [
        {
          pointer: instancePath,
          message: `must be ${[Reflect.get(params, 'type')].flat().map(withArticle).join(' or ')}`,
        },
      ]
    case 'anyOf':
      return [{ pointer: instancePath, message: 'has none of the forms that are allowed here' }]
    default:
      return [{ pointer: instancePath, message }]
  }
}

/**
 * A union that fails reports every branch. A branch is meant when the value has its basic type and its constants, so
 * that what is left is a fault inside it; when exactly one is meant its errors stand for the union, otherwise the
 * union's own error does.
 */
function withoutUnionNoise(errors: readonly SchemaError[]): readonly SchemaError[] {
  let left = errors
  // Innermost unions come first, so an outer one sees what is left of them.
  for (const union of errors.filter((error) => error.keyword === 'anyOf')) {
    const branches = Map.groupBy(
      left.filter((error) => error.schemaPath.startsWith(`${union.schemaPath}/anyOf/`)),
      (error) => error.schemaPath.slice(`${union.schemaPath}/anyOf/`.length).split('/')[0],
    )
    const noise = new Set([...branches.values()].flat())
    const meant = [...branches.values()].filter((branch) => !branch.some((error) => isOtherForm(error, union)))
    const kept = new Set(meant.length === 1 ? meant[0] : [union])
    left = left.filter((error) => kept.has(error) || (error !== union && !noise.has(error)))
  }
  return left
}

/** A wrong basic type of the value itself, or a wrong constant right below it, says that another branch was meant. */
function isOtherForm({ keyword, instancePath }: SchemaError, union: SchemaError): boolean {
  if (instancePath === union.instancePath) return keyword === 'type' || keyword === 'const' || keyword === 'enum'
  return keyword === 'const' && instancePath.lastIndexOf('/') === union.instancePath.length
}

const withArticle = (type: string): string => (type === 'null' ? type : `${/^[aeiou]/.test(type) ? 'an' : 'a'} ${type}`)

function keysOf(params: object, name: string): string[] {
  const keys: unknown = Reflect.get(params, name)
  return Array.isArray(keys) ? keys.map(String) : []
}

/** A key as a reference token of RFC 6901. */
export function escapePointer(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1')
}

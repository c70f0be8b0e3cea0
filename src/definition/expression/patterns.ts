import type { AnyNode, Pattern } from 'acorn'
import type { Context } from './context.ts'
import type { Run } from './run.ts'
import { member, type Value } from './value.ts'

/** Stores an argument in the slots that its pattern names. */
export type Bind = (run: Run, value: Value) => void

/** The names that an arrow function's parameters introduce, in order. */
export function namesOf(patterns: readonly AnyNode[], context: Context): string[] {
  return patterns.flatMap((pattern) => {
    switch (pattern.type) {
      case 'Identifier':
        return [pattern.name]
      case 'AssignmentPattern':
        return namesOf([pattern.left], context)
      case 'ArrayPattern':
        return namesOf(present(pattern.elements), context)
      case 'ObjectPattern':
        return pattern.properties.flatMap((property) =>
          property.type === 'Property' ? namesOf([property.value], context) : unsupported(property, context),
        )
      default:
        return unsupported(pattern, context)
    }
  })
}

/** The elements of [a, , b] without the holes. */
const present = (elements: readonly (Pattern | null)[]): Pattern[] => elements.filter((element) => element !== null)

const unsupported = (node: AnyNode, context: Context): never => {
  throw context.refusal(node, 'Parameters are names, [a, b] or { a, b }; rest parameters are not part of the language')
}

/** Compiles a parameter; taking undefined or null apart gives undefined. */
export function compilePattern(pattern: AnyNode, context: Context): Bind {
  switch (pattern.type) {
    case 'Identifier': {
      const slot = context.slotOf(pattern.name) as number
      return (run, value) => {
        run.slots[slot] = value
      }
    }
    case 'AssignmentPattern': {
      const bind = compilePattern(pattern.left, context)
      const otherwise = context.compile(pattern.right)
      return (run, value) => bind(run, value === undefined ? otherwise(run) : value)
    }
    case 'ArrayPattern':
      return all(pattern.elements.flatMap((element, index) => (element === null ? [] : part(element, index, context))))
    case 'ObjectPattern':
      return all(
        pattern.properties.map((property) => {
          if (property.type !== 'Property') return unsupported(property, context)
          return part(property.value, propertyName(property.key, property.computed, context), context)
        }),
      )
    default:
      return unsupported(pattern, context)
  }
}

function all(binds: readonly Bind[]): Bind {
  return (run, value) => {
    run.spend(binds.length)
    for (const bind of binds) bind(run, value)
  }
}

function part(pattern: AnyNode, key: string | number, context: Context): Bind {
  const bind = compilePattern(pattern, context.deeper())
  return (run, value) => bind(run, member(value, key))
}

function propertyName(key: AnyNode, computed: boolean, context: Context): string {
  if (computed) throw context.refusal(key, 'Computed names in parameters are not part of the language')
  return key.type === 'Identifier' ? key.name : String((key as { value?: unknown }).value)
}

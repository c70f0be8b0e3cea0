import type { ArrayExpression, ObjectExpression, Property } from 'acorn'
import type { Context, Evaluate } from './context.ts'
import { ExpressionError, located } from './error.ts'
import type { Run } from './run.ts'
import { isObject, kindOf, setOwn, toText, type Value, type ValueObject } from './value.ts'

/** Adds to what is being built. */
type Append<T> = (run: Run, target: T) => void

export function compileArray(node: ArrayExpression, context: Context): Evaluate {
  context.unit.makesContainers = true
  const parts = node.elements.map((element): Append<Value[]> => {
    if (element === null) throw context.refusal(node, 'Arrays have no holes; write undefined')
    if (element.type === 'SpreadElement') return compileSpread(element.argument, context)
    const value = context.compile(element)
    return (run, target) => {
      target.push(value(run))
    }
  })
  return (run) => {
    run.spend(1)
    const array: Value[] = []
    for (const append of parts) append(run, array)
    run.reserveElements(array.length)
    return array
  }
}

/** `...values` in an array or in the arguments of a call. */
export function compileSpread(argument: Parameters<Context['compile']>[0], context: Context): Append<Value[]> {
  const value = context.compile(argument)
  const place = context.place(argument)
  return (run, target) => {
    const elements = value(run)
    if (!Array.isArray(elements)) {
      throw located(new ExpressionError(`Only arrays can be spread here, not ${kindOf(elements)}`), place)
    }
    run.reserveElements(target.length + elements.length)
    for (const element of elements) target.push(element)
  }
}

export function compileObject(node: ObjectExpression, context: Context): Evaluate {
  context.unit.makesContainers = true
  const parts = node.properties.map((property) =>
    property.type === 'SpreadElement'
      ? compileObjectSpread(property.argument, context)
      : compileProperty(property, context),
  )
  return (run) => {
    run.spend(1)
    const object: ValueObject = {}
    for (const append of parts) append(run, object)
    return object
  }
}

function compileObjectSpread(argument: Parameters<Context['compile']>[0], context: Context): Append<ValueObject> {
  const value = context.compile(argument)
  const place = context.place(argument)
  return (run, target) => {
    const source = value(run)
    if (source === undefined || source === null) return
    if (!isObject(source) || Array.isArray(source)) {
      throw located(new ExpressionError(`Only objects can be spread into an object, not ${kindOf(source)}`), place)
    }
    const keys = Object.keys(source)
    run.reserveElements(keys.length)
    for (const key of keys) setOwn(target, key, source[key])
  }
}

function compileProperty(property: Property, context: Context): Append<ValueObject> {
  if (property.kind !== 'init' || property.method) {
    throw context.refusal(
      property,
      'Objects hold values only; getters, setters and methods are not part of the language',
    )
  }
  const key = propertyKey(property, context)
  const value = context.compile(property.value)
  if (typeof key === 'string') return (run, target) => setOwn(target, key, value(run))
  return (run, target) => setOwn(target, key(run), value(run))
}

function propertyKey(property: Property, context: Context): string | ((run: Run) => string) {
  const { key, computed } = property
  if (computed) {
    const name = context.compile(key)
    const place = context.place(property)
    return (run) => {
      try {
        return toText(name(run))
      } catch (error) {
        throw located(error, place)
      }
    }
  }
  const name = key.type === 'Identifier' ? key.name : String((key as { value: unknown }).value)
  if (name === '__proto__')
    throw context.refusal(property, "Objects have no prototypes here; for a key of that name write ['__proto__']")
  return name
}

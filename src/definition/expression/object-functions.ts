import { type Callables, plain, table, withCallback, withOptionalCallback } from './callable.ts'
import { ExpressionError } from './error.ts'
import { MAX_TEXT, type Run } from './run.ts'
import { isObject, kindOf, setOwn, toKey, toNumber, toText, type Value, type ValueObject } from './value.ts'

/** The operand as an object; arrays and texts are objects with their positions as keys, as in JavaScript. */
function entriesOf(run: Run, value: Value, name: string): [string, Value][] {
  if (value === undefined || value === null) throw new ExpressionError(`${name} needs an object, not ${kindOf(value)}`)
  if (typeof value === 'string') {
    run.reserveElements(value.length)
    return Object.entries(value)
  }
  if (!isObject(value)) return []
  const entries = Object.entries(value as ValueObject)
  run.reserveElements(entries.length)
  return entries
}

function fromEntries(run: Run, value: Value): Value {
  if (!Array.isArray(value))
    throw new ExpressionError(`Object.fromEntries needs an array of [key, value], not ${kindOf(value)}`)
  run.reserveElements(value.length)
  const object: ValueObject = {}
  for (const entry of value) {
    if (!Array.isArray(entry))
      throw new ExpressionError(`Object.fromEntries needs [key, value] pairs, not ${kindOf(entry)}`)
    setOwn(object, toText(entry[0]), entry[1])
  }
  return object
}

export const objectFunctions: Callables = table<unknown>({
  keys: plain((run, _self, args) => entriesOf(run, args[0], 'Object.keys').map(([key]) => key)),
  values: plain((run, _self, args) => entriesOf(run, args[0], 'Object.values').map(([, value]) => value)),
  entries: plain((run, _self, args) => entriesOf(run, args[0], 'Object.entries')),
  fromEntries: plain((run, _self, args) => fromEntries(run, args[0])),
  hasOwn: plain((_run, _self, args) => isObject(args[0]) && Object.hasOwn(args[0], toKey(args[1]))),
  groupBy: withCallback((run, _self, callback, args) => {
    const elements = arrayOf(args[0], 'Object.groupBy')
    run.reserveElements(elements.length)
    const groups = new Map<string, Value[]>()
    for (const [index, element] of elements.entries()) {
      const key = toText(callback(element, index))
      const group = groups.get(key)
      if (group) group.push(element)
      else groups.set(key, [element])
    }
    const object: ValueObject = {}
    for (const [key, group] of groups) setOwn(object, key, group)
    return object
  }, 1),
})

function arrayOf(value: Value, name: string): Value[] {
  if (Array.isArray(value)) return value
  throw new ExpressionError(`${name} needs an array, not ${kindOf(value)}`)
}

/** Array.from takes an array, a text, or `{ length: n }`. */
function elementsOf(run: Run, source: Value): Value[] {
  if (Array.isArray(source)) {
    run.reserveElements(source.length)
    return [...source]
  }
  if (typeof source === 'string') {
    run.reserveElements(source.length)
    return Array.from(source)
  }
  if (!isObject(source))
    throw new ExpressionError(`Array.from needs an array, a text or { length: n }, not ${kindOf(source)}`)
  const length = Math.max(Math.trunc(toNumber(source.length ?? 0)) || 0, 0)
  run.reserveElements(length)
  return Array.from({ length }, (_, index) => (Object.hasOwn(source, index) ? source[index] : undefined))
}

export const arrayFunctions: Callables = table<unknown>({
  isArray: plain((_run, _self, args) => Array.isArray(args[0])),
  of: plain((run, _self, args) => {
    run.reserveElements(args.length)
    return [...args]
  }),
  from: withOptionalCallback((run, _self, callback, args) => {
    const elements = elementsOf(run, args[0])
    return callback ? elements.map((element, index) => callback(element, index)) : elements
  }, 1),
})

function stringify(run: Run, args: readonly Value[]): Value {
  const [value, replacer, space] = args
  if (replacer !== undefined && replacer !== null)
    throw new ExpressionError('JSON.stringify takes no replacer here; pass null')
  if (value === undefined) return undefined
  return toJsonText(run, value, typeof space === 'number' || typeof space === 'string' ? space : 0)
}

/** JSON.stringify, measured before it is done: a small value may hold one part a million times. */
export function toJsonText(run: Run, value: Exclude<Value, undefined>, space: number | string = 0): string {
  const indent = Math.min(typeof space === 'string' ? space.length : Math.max(Math.trunc(space) || 0, 0), 10)
  run.spendText(run.measure(value, MAX_TEXT, indent) * 4)
  const text = JSON.stringify(value, null, space)
  run.reserveText(text.length)
  return text
}

export const jsonFunctions: Callables = table<unknown>({
  parse: plain((run, _self, args) => {
    const text = toText(args[0])
    run.spend((text.length >> 2) + 1)
    return JSON.parse(text) as Value
  }),
  stringify: plain((run, _self, args) => stringify(run, args)),
})

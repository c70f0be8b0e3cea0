import { ExpressionError } from './error.ts'

/** A value inside an expression: JSON, or undefined, which arrays and objects may hold until they leave it. Never a function. */
export type Value = undefined | null | boolean | number | string | Value[] | { [key: string]: Value }
export type ValueObject = { [key: string]: Value }

export const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

const arrayIndex = /^(?:0|[1-9]\d*)$/

/** The value's own member: prototypes, getters and methods are out of reach, anything missing is undefined. */
export function member(value: Value, key: string | number): Value {
  if (typeof value === 'object') {
    return value !== null && Object.hasOwn(value, key) ? (value as ValueObject)[key] : undefined
  }
  if (typeof value !== 'string') return undefined
  if (key === 'length') return value.length
  if (typeof key === 'number' || arrayIndex.test(key)) return value[Number(key)]
  return undefined
}

/** Sets an own property, `__proto__` too: data may carry that name and must not become a prototype. */
export function setOwn<T>(target: { [key: string]: T }, key: string, value: T): void {
  if (key === '__proto__') {
    Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true })
  } else target[key] = value
}

/** What the value is, for messages. */
export function kindOf(value: Value): string {
  if (value === undefined || value === null) return String(value)
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'object') return 'an object'
  if (typeof value === 'string') return 'a text'
  return `a ${typeof value}`
}

/** The text of a scalar, as JavaScript's String() gives it; arrays and objects have none here. */
export function toText(value: Value): string {
  if (typeof value === 'string') return value
  if (isObject(value)) {
    throw new ExpressionError(
      `${kindOf(value)} cannot be used as a text: write JSON.stringify(…), or .join(…) for arrays`,
    )
  }
  return String(value)
}

/** The number of a scalar, as JavaScript's Number() gives it; arrays and objects have none here. */
export function toNumber(value: Value): number {
  if (typeof value === 'number') return value
  if (isObject(value)) throw new ExpressionError(`${kindOf(value)} cannot be used as a number`)
  return Number(value)
}

/** A key for member access. */
export function toKey(value: Value): string | number {
  return typeof value === 'number' ? value : toText(value)
}

import type { Json } from '../json.ts'
import { ExpressionError } from './error.ts'
import { MAX_DEPTH, type Run } from './run.ts'
import { isObject, setOwn, type Value, type ValueObject } from './value.ts'

/**
 * Makes an expression's value plain JSON, as JSON.stringify would see it: undefined leaves objects and becomes null in arrays.
 * NaN and Infinity fail instead of turning into null unseen. Parts that are JSON already are shared, not copied.
 */
export function settle(run: Run, value: Value, depth = 0): Json | undefined {
  if (typeof value === 'number') return settleNumber(value)
  if (!isObject(value)) {
    if (typeof value === 'string') run.reserveResult(value.length)
    return value
  }
  if (depth > MAX_DEPTH) throw new ExpressionError(`The result nests deeper than ${MAX_DEPTH} levels`)
  return Array.isArray(value) ? settleArray(run, value, depth) : settleObject(run, value, depth)
}

/** Adds 0 to turn -0 into 0: JSON knows only one of them. */
export function settleNumber(value: number): number {
  if (Number.isFinite(value)) return value + 0
  throw new ExpressionError(
    `The result is ${value}, which JSON cannot hold: check the operands, for instance with Number.isFinite(…)`,
  )
}

function settleArray(run: Run, elements: Value[], depth: number): Json {
  run.reserveResult(4 + elements.length * 4)
  let copy: Json[] | undefined
  for (let i = 0; i < elements.length; i++) {
    const settled = settle(run, elements[i], depth + 1) ?? null
    if (copy === undefined && !Object.is(settled, elements[i])) copy = elements.slice(0, i) as Json[]
    copy?.push(settled)
  }
  return copy ?? (elements as Json[])
}

function settleObject(run: Run, object: ValueObject, depth: number): Json {
  const keys = Object.keys(object)
  run.reserveResult(4 + keys.length * 8)
  let changed: Map<string, Json | undefined> | undefined
  for (const key of keys) {
    run.reserveResult(key.length)
    const settled = settle(run, object[key], depth + 1)
    if (settled === undefined || !Object.is(settled, object[key])) {
      changed ??= new Map()
      changed.set(key, settled)
    }
  }
  if (changed === undefined) return object as Json
  const copy: { [key: string]: Json } = {}
  for (const key of keys) {
    const settled = changed.has(key) ? changed.get(key) : (object[key] as Json)
    if (settled !== undefined) setOwn(copy, key, settled)
  }
  return copy
}

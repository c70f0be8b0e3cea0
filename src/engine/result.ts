import type { Json, JsonObject } from '../definition/json.ts'
import { ActionError, type ActionResult } from './actions/action.ts'

/** In bytes: what one payload may take, and what the state may still grow by. */
export interface Bounds {
  readonly maxBytes: number
  readonly roomFor: (bytes: number) => number
}

/**
 * What an action returned, as the JSON that the journal will give back: what recovery reads must be what the next step saw.
 * Throws ActionError PayloadTooLarge, StateTooLarge, or InternalError for what is no JSON.
 */
export function checkResult(result: ActionResult, bounds: Bounds): ActionResult {
  const { output: given, meta: givenMeta } = result ?? {}
  const output = asJson(given) ?? null
  const meta = givenMeta === undefined ? undefined : (asJson(givenMeta) as JsonObject)
  const most = 6 * (size(output) + (meta === undefined ? 0 : size(meta)))
  if (!isWithin(most, bounds)) checkSize('the output', [output, meta], bounds)
  return meta === undefined ? { output } : { output, meta }
}

/** What a step has found out for itself (its items, its variables), as far as it may be kept. Throws as `checkResult` does. */
export function checkDecision(data: Json, bounds: Bounds): void {
  if (!isWithin(6 * size(data), bounds)) checkSize('what the step evaluates to', [data], bounds)
}

/** `size` tells without encoding it that it is far from its limits. */
const isWithin = (most: number, { maxBytes, roomFor }: Bounds): boolean => most <= maxBytes && most <= roomFor(most)

function checkSize(what: string, values: readonly (Json | undefined)[], { maxBytes, roomFor }: Bounds): void {
  const bytes = values.reduce<number>((sum, value) => sum + Buffer.byteLength(JSON.stringify(value) ?? ''), 0)
  if (bytes > maxBytes) {
    const message = `${what} is ${bytes} bytes; at most ${maxBytes} are kept (CAIRN_MAX_PAYLOAD_BYTES)`
    throw new ActionError('PayloadTooLarge', message, { retryable: false })
  }
  if (bytes > roomFor(bytes)) {
    const message = 'the state of the execution would grow beyond CAIRN_MAX_STATE_BYTES'
    throw new ActionError('StateTooLarge', message, { retryable: false })
  }
}

/** In UTF-16 units, of which each is at most 6 bytes as JSON: what is far from its limit need not be encoded to be known. */
function size(value: unknown): number {
  if (typeof value === 'string') return value.length + 2
  if (typeof value !== 'object' || value === null) return 8
  let sum = 2
  if (Array.isArray(value)) for (const item of value) sum += 1 + size(item)
  else for (const [key, item] of Object.entries(value)) sum += key.length + 4 + size(item)
  return sum
}

/** The value itself when it is plain JSON already, otherwise what JSON makes of it. */
function asJson(value: unknown): Json | undefined {
  if (isJson(value)) return value
  const text = JSON.stringify(value)
  return text === undefined ? undefined : (JSON.parse(text) as Json)
}

/** Deeper than any service answers; without a bound, recursion would end in a stack overflow far from here. */
const DEEPEST = 500

function isJson(value: unknown, depth = 0): value is Json {
  if (depth > DEEPEST) {
    throw new ActionError('PayloadTooLarge', `the output is nested more than ${DEEPEST} deep`, { retryable: false })
  }
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true
  if (typeof value === 'number') return Number.isFinite(value) && !Object.is(value, -0)
  if (typeof value !== 'object') return false
  if (Array.isArray(value)) return value.every((item) => isJson(item, depth + 1))
  const prototype: unknown = Object.getPrototypeOf(value)
  return (
    (prototype === Object.prototype || prototype === null) &&
    Object.values(value).every((item) => isJson(item, depth + 1))
  )
}

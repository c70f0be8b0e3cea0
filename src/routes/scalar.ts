import { type Static, type TSchema, Type } from 'typebox'
import { storedPattern } from '../definition/stored-text.ts'
import { CairnError } from '../errors.ts'
import { rfc3339 } from '../stream/resource.ts'

/**
 * The scalars of the API. Texts end in text columns or are compared with them: see definition/stored-text.ts.
 */

export const Uuid = Type.String({ format: 'uuid', examples: ['0199f3a8-7c1e-7d3a-9b52-0c8e4f6a1d27'] })

/** RFC 3339, always in UTC when answered; taken in any offset. */
export const Timestamp = Type.String({ format: 'date-time', examples: ['2026-11-22T21:48:05.125Z'] })

export const text = (
  maxLength: number,
  options: { minLength?: number; description?: string; examples?: string[] } = {},
) => Type.String({ ...options, maxLength, pattern: storedPattern })

/** The schema, or null. JSON Schema's type list where it can be, since clients generated from it read better. */
export function nullable<S extends TSchema>(schema: S) {
  const { type, enum: values, ...rest } = schema as TSchema & { type?: string; enum?: unknown[] }
  const nullableSchema =
    typeof type === 'string'
      ? { ...rest, type: [type, 'null'], ...(values && { enum: [...values, null] }) }
      : { anyOf: [schema, { type: 'null' }] }
  return Type.Unsafe<Static<S> | null>(nullableSchema)
}

/** One of a few words. */
export const oneOf = <const T extends string>(
  values: readonly T[],
  options: { description?: string; examples?: T[] } = {},
) => Type.Unsafe<T>({ type: 'string', enum: [...values], ...options })

/** A reference to a schema that app.ts registers under its $id, so that OpenAPI names it once. */
export const ref = <S extends TSchema>(schema: S) =>
  Type.Unsafe<Static<S>>({ $ref: `${(schema as { $id?: string }).$id}#` })

export const rfc3339OrNull = (ms: number | null): string | null => (ms === null ? null : rfc3339(ms))

/** A time that a caller sent, which its schema has checked, in milliseconds since 1970. Leap seconds have no such number. */
export function toMs(pointer: string, time: string): number {
  const ms = Date.parse(time)
  if (Number.isNaN(ms))
    throw new CairnError('REQUEST_INVALID', [], { faults: [{ pointer, message: 'is no time that can be counted' }] })
  return ms
}

export const isUuid = (id: string): boolean => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id)

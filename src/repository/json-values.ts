import pg from 'pg'
import type { Json } from '../definition/json.ts'

/** Rows that are larger than the caller takes; the query was cancelled. */
export class ResultTooLarge extends Error {
  override readonly name = 'ResultTooLarge'
}

type Parser = (text: string) => Json

const { builtins } = pg.types

/** JSON has no NaN and no infinities: they stay text. */
const toNumber: Parser = (text) => (Number.isFinite(Number(text)) ? Number(text) : text)

/** `2026-01-31 12:00:00.5+00` as RFC 3339; `infinity` and years beyond 9999 stay as they are. */
const toTimestamp: Parser = (text) =>
  /^\d{4}-\d\d-\d\d \d/.test(text) ? text.replace(' ', 'T').replace(/\+00(:00)?$/, 'Z') : text

/** A cluster of scalar types by object id, and of arrays of them; whatever is missing is text, int8 and numeric on purpose. */
const scalars = new Map<number, Parser>([
  [builtins.BOOL, (text) => text === 't'],
  [builtins.INT2, Number],
  [builtins.INT4, Number],
  [builtins.OID, Number],
  [builtins.FLOAT4, toNumber],
  [builtins.FLOAT8, toNumber],
  [builtins.JSON, (text) => JSON.parse(text)],
  [builtins.JSONB, (text) => JSON.parse(text)],
  [builtins.TIMESTAMP, toTimestamp],
  [builtins.TIMESTAMPTZ, toTimestamp],
  [builtins.BYTEA, (text) => Buffer.from(text.slice(2), 'hex').toString('base64')],
])

const asText: Parser = (text) => text

/** PostgreSQL's object ids of the array types, with that of their elements. */
const arrays = new Map<number, number>([
  [1000, builtins.BOOL],
  [1001, builtins.BYTEA],
  [1005, builtins.INT2],
  [1007, builtins.INT4],
  [1016, builtins.INT8],
  [1028, builtins.OID],
  [1021, builtins.FLOAT4],
  [1022, builtins.FLOAT8],
  [1231, builtins.NUMERIC],
  [1009, builtins.TEXT],
  [1015, builtins.VARCHAR],
  [2951, builtins.UUID],
  [1182, builtins.DATE],
  [1115, builtins.TIMESTAMP],
  [1185, builtins.TIMESTAMPTZ],
  [199, builtins.JSON],
  [3807, builtins.JSONB],
])

// The published types describe an older version of it.
const arrayParser = pg.types.arrayParser as unknown as { create(text: string, parse: Parser): { parse(): Json } }

function parserOf(oid: number): Parser {
  const element = arrays.get(oid)
  if (element === undefined) return scalars.get(oid) ?? asText
  const parse = scalars.get(element) ?? asText
  return (text) => arrayParser.create(text, parse).parse()
}

/**
 * What turns a query's columns into JSON. The texts are counted as they come: beyond `maxBytes` the rest is not kept, and
 * `onTooLarge` hears of it once.
 */
export function jsonTypes(maxBytes: number, onTooLarge: () => void): pg.CustomTypesConfig {
  let left = maxBytes
  return {
    getTypeParser: ((oid: number) => {
      const parse = parserOf(oid)
      return (text: string) => {
        if (left >= 0) {
          left -= text.length
          if (left < 0) onTooLarge()
        }
        if (left < 0) throw new ResultTooLarge('The rows are larger than is taken')
        return parse(text)
      }
    }) as pg.CustomTypesConfig['getTypeParser'],
  }
}

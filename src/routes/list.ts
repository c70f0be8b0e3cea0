import { type TSchema, Type } from 'typebox'
import { cursorInvalid } from '../repository/cursor.ts'
import { nullable, ref, text } from './scalar.ts'

/** How many items a list answers with when the caller does not say, and at most. */
const DEFAULT_LIMIT = 50
const MAX_LIMIT = 200

/** Query fields of every list. The default stands in the text: as a JSON Schema default, generated clients would ask for the field. */
export const listQuery = {
  limit: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: MAX_LIMIT,
      description: `How many items at most; ${DEFAULT_LIMIT} when left out`,
      examples: [DEFAULT_LIMIT],
    }),
  ),
  cursor: Type.Optional(
    text(1000, { description: 'The `nextCursor` of the page before; opaque, valid with the same filters' }),
  ),
}

interface ListQuery {
  readonly limit?: number
  readonly cursor?: string
}

export const limitOf = (query: ListQuery): number => query.limit ?? DEFAULT_LIMIT

/** The shape of every list. */
export const listOf = <S extends TSchema>(item: S, $id: string) =>
  Type.Object(
    {
      items: Type.Array(ref(item)),
      nextCursor: nullable(Type.String({ description: 'Where the next page begins; null on the last one' })),
    },
    { $id },
  )

/** One page of a list that is in memory anyway, in the rising order of a number that stays with its item. */
export function pageOf<T>(all: readonly T[], query: ListQuery, numberOf: (item: T, position: number) => number) {
  const after = query.cursor === undefined ? -1 : numberIn(query.cursor)
  const first = all.findIndex((item, position) => numberOf(item, position) > after)
  const begin = first === -1 ? all.length : first
  const end = begin + limitOf(query)
  const items = all.slice(begin, end)
  return { items, nextCursor: end < all.length ? cursorAfter(numberOf(items.at(-1)!, end - 1)) : null }
}

/** A cursor that goes on after the item with this number. */
export const cursorAfter = (number: number): string => Buffer.from(String(number)).toString('base64url')

/** The number in a cursor of `cursorAfter`; CURSOR_INVALID when it is none. */
export function numberIn(cursor: string): number {
  const text = Buffer.from(cursor, 'base64url').toString()
  if (!/^\d{1,15}$/.test(text)) throw cursorInvalid()
  return Number(text)
}

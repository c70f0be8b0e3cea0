import { isStorable } from '../definition/stored-text.ts'
import { CairnError } from '../errors.ts'

/** One page of a list, newest first. `nextCursor` is null on the last page. */
export interface Page<Item> {
  readonly items: Item[]
  readonly nextCursor: string | null
}

/** Where a page ended: a time in ms, then a UUID. */
export interface Position {
  readonly order: number
  readonly id: string
}

/** Cuts `rows`, of which one more than `limit` was read, into a page. */
export const page = <Row, Item>(
  rows: readonly Row[],
  limit: number,
  position: (row: Row) => Position,
  toItem: (row: Row) => Item,
): Page<Item> =>
  pageBy(
    rows,
    limit,
    (row) => {
      const { order, id } = position(row)
      return [order, id]
    },
    toItem,
  )

/** The same for a list that is ordered by other things: `position` is all that the next page needs to know. */
export function pageBy<Row, Item>(
  rows: readonly Row[],
  limit: number,
  position: (row: Row) => readonly (string | number)[],
  toItem: (row: Row) => Item,
): Page<Item> {
  const last = rows.length > limit ? rows[limit - 1] : undefined
  return {
    items: rows.slice(0, limit).map(toItem),
    nextCursor: last === undefined ? null : Buffer.from(JSON.stringify(position(last))).toString('base64url'),
  }
}

export const cursorInvalid = (): CairnError =>
  new CairnError('CURSOR_INVALID', [], { faults: [{ pointer: '/cursor', message: 'is none that this list gave out' }] })

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** Reads a cursor back; null without one, CURSOR_INVALID for what no list gave out. */
export function decodeCursor(cursor: string | undefined): Position | null {
  if (cursor === undefined) return null
  const [order, id] = parse(cursor)
  if (!Number.isSafeInteger(order) || typeof id !== 'string' || !uuid.test(id)) throw cursorInvalid()
  return { order: order as number, id }
}

/** Reads a cursor of `pageBy` back, for a list whose positions are of these types. CURSOR_INVALID. */
export function positionIn(
  cursor: string | undefined,
  types: readonly ('text' | 'integer')[],
): (string | number)[] | null {
  if (cursor === undefined) return null
  const values = parse(cursor)
  const isOne = (value: unknown, index: number): boolean =>
    types[index] === 'integer' ? Number.isSafeInteger(value) : typeof value === 'string' && isStorable(value)
  if (values.length !== types.length || !values.every(isOne)) throw cursorInvalid()
  return values as (string | number)[]
}

function parse(cursor: string): unknown[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString())
    return Array.isArray(value) ? value : []
  } catch {
    return []
  }
}

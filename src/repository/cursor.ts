import { CairnError } from '../errors.ts'

/** One page of a list, newest first. `nextCursor` is null on the last page. */
export interface Page<Item> {
  readonly items: Item[]
  readonly nextCursor: string | null
}

/** Where a page ended: lists are ordered by a number (a time in ms, a version), then by id where it is not unique. */
export interface Position {
  readonly order: number
  readonly id: string
}

/** Cuts `rows`, of which one more than `limit` was read, into a page. */
export function page<Row, Item>(
  rows: readonly Row[],
  limit: number,
  position: (row: Row) => Position,
  toItem: (row: Row) => Item,
): Page<Item> {
  const last = rows.length > limit ? rows[limit - 1] : undefined
  return {
    items: rows.slice(0, limit).map(toItem),
    nextCursor: last === undefined ? null : encodeCursor(position(last)),
  }
}

const encodeCursor = ({ order, id }: Position): string => Buffer.from(JSON.stringify([order, id])).toString('base64url')

/** Reads a cursor back; null without one, CURSOR_INVALID for what no list gave out. */
export function decodeCursor(cursor: string | undefined): Position | null {
  if (cursor === undefined) return null
  const [order, id] = parse(cursor)
  if (!Number.isSafeInteger(order) || typeof id !== 'string' || !/^([0-9a-f-]{36})?$/.test(id))
    throw new CairnError('CURSOR_INVALID')
  return { order: order as number, id }
}

function parse(cursor: string): unknown[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString())
    return Array.isArray(value) ? value : []
  } catch {
    return []
  }
}

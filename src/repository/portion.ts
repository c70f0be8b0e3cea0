/** A part of what was asked for, from its beginning. */
export interface Portion<Item> {
  readonly items: Item[]
  /** The bytes were used up: what was asked for after the last item was not looked at. */
  readonly isCut: boolean
}

/**
 * The rows of `inner`, a SELECT with a column `size`, in the order of `order`, until their sizes make up `bytes` (the number
 * of a parameter); always at least one. Sizes are those of pg_column_size: as stored, so that a value which is passed over is
 * never read, and compressed, which JSON takes well: what arrives may be some times as large.
 */
export function portionSql(inner: string, { order, bytes }: { order: string; bytes: string }): string {
  return `SELECT * FROM (
  SELECT found.*, sum(size) OVER (ORDER BY ${order} ROWS UNBOUNDED PRECEDING) AS total FROM (${inner}) AS found
) AS summed WHERE total - size < ${bytes}::bigint ORDER BY ${order}`
}

export function portionOf<Row extends { total: number }, Item>(
  rows: readonly Row[],
  bytes: number,
  toItem: (row: Row) => Item,
): Portion<Item> {
  const last = rows.at(-1)
  return { items: rows.map(toItem), isCut: last !== undefined && last.total >= bytes }
}

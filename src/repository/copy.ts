import type { ArrayColumn } from './array-columns.ts'

/** Rows for COPY: its statement, and the rows in its text format. */
export interface Copy {
  readonly statement: string
  readonly lines: string
}

/** `COPY table (…) FROM STDIN`. */
export const copyStatement = <Row>(table: string, columns: readonly ArrayColumn<Row>[]): string =>
  `COPY ${table} (${columns.map(({ name }) => name).join(', ')}) FROM STDIN`

/** The rows in COPY's text format (postgresql.org/docs/current/sql-copy.html): a line each, its values between tabs. */
export function copyLines<Row>(columns: readonly ArrayColumn<Row>[], rows: readonly Row[]): string {
  let lines = ''
  for (const row of rows) {
    let separator = ''
    for (const { type, of } of columns) {
      lines += separator
      lines += textOf(type, of(row))
      separator = '\t'
    }
    lines += '\n'
  }
  return lines
}

function textOf(type: ArrayColumn<never>['type'], value: string | number | null): string | number {
  if (value === null) return '\\N'
  if (typeof value === 'number' || type === 'uuid') return value
  // JSON.stringify has escaped what else would be special.
  if (type === 'json') return value.includes('\\') ? value.replaceAll('\\', '\\\\') : value
  return special.test(value) ? value.replace(everySpecial, (character) => escapes[character]!) : value
}

const special = /[\\\t\n\r]/
const everySpecial = /[\\\t\n\r]/g
const escapes: Record<string, string> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' }

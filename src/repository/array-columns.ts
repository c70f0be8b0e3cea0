/**
 * Rows as parallel array parameters for `unnest`: the fastest way to hand PostgreSQL many rows in one statement (105,000
 * rows/s against 65,000 with a json parameter). The literals are written here: pg's own writer escapes value by value.
 */
export interface ArrayColumn<Row> {
  readonly name: string
  /** `word` is text of our own making: never empty, without line breaks. */
  readonly type: 'uuid' | 'bigint' | 'integer' | 'smallint' | 'text' | 'text[]' | 'word' | 'json'
  readonly of: (row: Row) => string | number | null
}

/**
 * `unnest($3::uuid[], $4::bigint[], …) AS alias(id, seq, …)`; `first` is the number of the first parameter.
 *
 * Words and JSON travel as lines of one text: JSON as JSON.stringify writes it has no raw line break, so nothing is escaped
 * here nor unescaped there (a fifth of a flush's time). Were there one after all, the columns would differ in length, unnest
 * would fill up with NULLs, and NOT NULL would refuse the statement: values cannot slip into other rows.
 *
 * The sub-select hides the arrays' lengths from the planner. It would find a plan for short arrays cheaper than the generic
 * one, and plan every flush of a named statement anew: 1.5 ms instead of 0.4 ms.
 */
export function unnest<Row>(columns: readonly ArrayColumn<Row>[], first: number, alias: string): string {
  const arrays = columns.map(({ type }, index) => {
    const parameter = `(SELECT $${first + index})`
    if (isLine(type)) return `string_to_array(${parameter}::text, E'\\n', '')`
    // PostgreSQL's unnest flattens arrays of arrays: an array within a row travels as its text.
    return `${parameter}::${type === 'text[]' ? 'text' : type}[]`
  })
  return `unnest(${arrays.join(', ')}) AS ${alias}(${columnNames(columns)})`
}

/**
 * `(SELECT $3::uuid AS id, $4::bigint AS seq, …) AS alias`: exactly one row, its values as they are. To unnest one row takes longer
 * than to insert it: see docs/adr/0043.
 */
function oneRow<Row>(columns: readonly ArrayColumn<Row>[], first: number, alias: string): string {
  const values = columns.map(({ name, type }, index) => `$${first + index}::${scalarTypes[type] ?? type} AS ${name}`)
  return `(SELECT ${values.join(', ')}) AS ${alias}`
}

const scalarTypes: Partial<Record<ArrayColumn<never>['type'], string>> = {
  word: 'text',
  json: 'text',
  'text[]': 'text',
}

/**
 * `INSERT INTO table (…) SELECT … FROM source, unnest(…) AS given`: the rows, once for each row of `source`. `given` may hold more
 * columns than are inserted, for a WHERE that follows.
 */
export function insertFrom<Row>(
  source: string,
  table: string,
  columns: readonly ArrayColumn<Row>[],
  first: number,
  { given = columns, form = asArrays }: { given?: readonly ArrayColumn<Row>[]; form?: RowsForm } = {},
): string {
  const list = selectList(columns, 'given')
  return `INSERT INTO ${table} (${columnNames(columns)}) SELECT ${list} FROM ${source}, ${form.from(given, first, 'given')}`
}

/** `alias.id, alias.data::json, …`, in the order of `columnNames`. */
function selectList<Row>(columns: readonly ArrayColumn<Row>[], alias: string): string {
  return columns.map((column) => `${alias}.${column.name}${cast(column)}`).join(', ')
}

/** What turns the unnested text into the column's type. */
export const cast = <Row>({ type }: ArrayColumn<Row>): string =>
  type === 'json' ? '::json' : type === 'text[]' ? '::text[]' : ''

const columnNames = <Row>(columns: readonly ArrayColumn<Row>[]): string => columns.map(({ name }) => name).join(', ')

/** The parameters for `unnest`, one text a column. */
export function arrayParameters<Row>(columns: readonly ArrayColumn<Row>[], rows: readonly Row[]): string[] {
  return columns.map(({ type, of }) => {
    if (isLine(type)) return rows.map((row) => of(row) ?? '').join('\n')
    const isText = type === 'text' || type === 'text[]'
    const values = rows.map((row) => {
      const value = of(row)
      return value === null ? 'NULL' : isText ? quoted(value as string) : value
    })
    return `{${values.join(',')}}`
  })
}

/** How rows travel: what a statement selects them from, and its parameters for that. */
export interface RowsForm {
  from<Row>(columns: readonly ArrayColumn<Row>[], first: number, alias: string): string
  parameters<Row>(columns: readonly ArrayColumn<Row>[], rows: readonly Row[]): (string | number | null)[]
}

/** Any number of rows. */
export const asArrays: RowsForm = { from: unnest, parameters: arrayParameters }
/** Exactly one. */
export const asOneRow: RowsForm = { from: oneRow, parameters: (columns, [row]) => columns.map(({ of }) => of(row!)) }

/** A text[] literal. */
export const textArray = (values: readonly string[]): string => `{${values.map(quoted).join(',')}}`

const isLine = (type: string): boolean => type === 'word' || type === 'json'
const special = /["\\]/g
const quoted = (text: string): string => `"${text.replace(special, '\\$&')}"`

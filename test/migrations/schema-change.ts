import type pg from 'pg'

/** What statements of a release rely on: columns by `table.column`, and what the database holds against their writes. */
export interface Schema {
  readonly tables: ReadonlySet<string>
  readonly columns: ReadonlyMap<string, Column>
  /** Constraints, unique indexes and triggers, by `table: definition`. */
  readonly rules: ReadonlySet<string>
}
interface Column {
  readonly table: string
  readonly type: string
  /** An insert that does not name it is refused. */
  readonly isDemanded: boolean
}

export async function readSchema(client: pg.Client): Promise<Schema> {
  const { rows: columns } = await client.query(`
    SELECT c.relname AS table, a.attname AS column, format_type(a.atttypid, a.atttypmod) AS type,
           a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS demanded
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped`)
  const { rows: rules } = await client.query(`
    SELECT conrelid::regclass::text || ': ' || pg_get_constraintdef(oid) AS rule
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'f', 'p', 'u', 'x')
    UNION ALL
    SELECT indrelid::regclass::text || ': ' || regexp_replace(pg_get_indexdef(indexrelid), 'INDEX \\S+', 'INDEX')
    FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE indisunique AND relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT tgrelid::regclass::text || ': ' || pg_get_triggerdef(pg_trigger.oid)
    FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
    WHERE NOT tgisinternal AND relnamespace = 'public'::regnamespace`)
  return {
    tables: new Set(columns.map(({ table }) => table)),
    columns: new Map(
      columns.map(({ table, column, type, demanded }) => [`${table}.${column}`, { table, type, isDemanded: demanded }]),
    ),
    rules: new Set(rules.map(({ rule }) => rule)),
  }
}

/**
 * How a migration breaks the release before it, which goes on running beside it: what that release reads is gone or another,
 * or what it writes is refused. Empty when the migration only expands. New tables may hold whatever rules they like, and so may
 * triggers AFTER a change of which the migration says that they only fill what it adds.
 */
export function contractions(before: Schema, after: Schema, fills: readonly string[] = []): string[] {
  const faults: string[] = []
  for (const table of before.tables) if (!after.tables.has(table)) faults.push(`${table} is gone`)
  for (const [name, column] of before.columns) {
    const now = after.columns.get(name)
    if (!after.tables.has(column.table)) continue
    if (now === undefined) faults.push(`${name} is gone`)
    else if (now.type !== column.type) faults.push(`${name} was ${column.type} and is ${now.type}`)
    else if (now.isDemanded && !column.isDemanded) faults.push(`${name} must be given now`)
  }
  for (const [name, column] of after.columns) {
    if (before.tables.has(column.table) && !before.columns.has(name) && column.isDemanded)
      faults.push(`${name} is new and must be given`)
  }
  for (const rule of after.rules) {
    const table = rule.slice(0, rule.indexOf(': '))
    const isFilling = fills.some((name) => rule.startsWith(`${table}: CREATE TRIGGER ${name} AFTER `))
    if (before.tables.has(table) && !before.rules.has(rule) && !isFilling) faults.push(`new rule on ${rule}`)
  }
  return faults
}

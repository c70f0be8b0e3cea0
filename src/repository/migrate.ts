import { promises as fs } from 'node:fs'
import path from 'node:path'
import { sql } from 'kysely'
import { FileMigrationProvider, Migrator } from 'kysely/migration'
import type { Database } from './connection.ts'

const migrationFolder = path.join(import.meta.dirname, '../../migrations')

/**
 * Brings the schema up to this release, forward only; several nodes may call it at once (an advisory lock lets one work).
 * A database that a newer release has migrated further is left alone: schemas expand before they contract, so an older
 * node still runs on it. The lock belongs to a session: give it a direct connection, not PgBouncer.
 */
export async function migrate({ db }: Database): Promise<void> {
  const migrator = new Migrator({ db, provider: new FileMigrationProvider({ fs, path, migrationFolder }) })
  const known = await migrator.getMigrations()
  if (known.every((migration) => migration.executedAt !== undefined)) return
  const { error } = await migrator.migrateToLatest()
  if (error !== undefined) throw error
}

/** Refuses a server on which an acknowledged commit could be lost: every promise of Cairn rests on durable commits. */
export async function checkDurability({ db }: Database): Promise<void> {
  for (const setting of ['fsync', 'synchronous_commit'] as const) {
    const { rows } = await sql<{ value: string }>`SELECT current_setting(${setting}) AS value`.execute(db)
    if (rows[0]?.value !== 'off') continue
    const remedy = `Switch it on for this role and database (e.g. ALTER SYSTEM SET ${setting} = on; SELECT pg_reload_conf())`
    throw new Error(
      `PostgreSQL runs with ${setting} = off: a crash could lose work that Cairn has confirmed. ${remedy}`,
    )
  }
}

import { promises as fs } from 'node:fs'
import path from 'node:path'
import { Kysely, PostgresAdapter, PostgresDialect, sql } from 'kysely'
import { FileMigrationProvider, Migrator } from 'kysely/migration'
import type pg from 'pg'
import type { Database } from './connection.ts'
import { boundIdleness } from './transaction.ts'

const migrationFolder = path.join(import.meta.dirname, '../../migrations')

/** Kysely's own lock, so that a node of an older release waits too. */
const lockId = '3853314791062309107'

/**
 * Kysely locks by session, and PgBouncer in transaction mode gives each transaction whatever session is free: such a lock
 * would stay behind on one of them. Everything runs in one transaction here, and the lock ends with it.
 */
class TransactionLock extends PostgresAdapter {
  override async acquireMigrationLock(): Promise<void> {}
  override async releaseMigrationLock(): Promise<void> {}
}

class MigrationDialect extends PostgresDialect {
  override createAdapter(): PostgresAdapter {
    return new TransactionLock()
  }
}

/**
 * Brings the schema up to this release, forward only, in one transaction; several nodes may call it at once (an advisory
 * lock lets one work), behind PgBouncer too. A database that a newer release has migrated further is left alone: schemas
 * expand before they contract, so an older node still runs on it.
 */
export function migrate(database: Database): Promise<void> {
  return database.withPatience(migrateOver)
}

async function migrateOver(pool: pg.Pool): Promise<void> {
  // It borrows the pool, so it is not destroyed: that would end the pool.
  const db = new Kysely<unknown>({ dialect: new MigrationDialect({ pool }) })
  const provider = new FileMigrationProvider({ fs, path, migrationFolder })
  if (await isMigrated(db, provider)) return
  await db.transaction().execute(async (trx) => {
    // Others wait for the lock, and must not wait for a node that stands still with it.
    await boundIdleness(trx)
    await sql`SELECT pg_advisory_xact_lock(${sql.lit(lockId)})`.execute(trx)
    // A newer release may have gone further while this one waited: what it did is unknown here, and Kysely would object.
    if (await isMigrated(trx, provider)) return
    const { error } = await new Migrator({ db: trx, provider }).migrateToLatest()
    if (error !== undefined) throw error
  })
}

async function isMigrated(db: Kysely<unknown>, provider: FileMigrationProvider): Promise<boolean> {
  const known = await new Migrator({ db, provider }).getMigrations()
  return known.every((migration) => migration.executedAt !== undefined)
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

import { sql } from 'kysely'
import type { Definition } from '../definition/schema.ts'
import { CairnError } from '../errors.ts'
import type { Database } from './connection.ts'
import { type Page, pageBy, positionIn } from './cursor.ts'
import { boundIdleness } from './transaction.ts'
import { findWorkflow, lockActive, nameTaken, type Workflow } from './workflows.ts'

/** One immutable definition of a workflow. */
export interface WorkflowVersion {
  readonly workflowId: string
  readonly version: number
  /** `active` is the one that new executions run by default; a `deprecated` one takes none. */
  readonly status: 'active' | 'inactive' | 'deprecated'
  readonly definition: Definition
  /** ms since 1970. */
  readonly createdAt: number
}

/** The version, or null. */
export async function findVersion(
  database: Database,
  workflowId: string,
  version: number,
): Promise<WorkflowVersion | null> {
  const row = await versionsOf(database, workflowId).where('version', '=', version).executeTakeFirst()
  return row === undefined ? null : toVersion(row)
}

/** Newest first. CURSOR_INVALID. */
export async function listVersions(
  database: Database,
  workflowId: string,
  limit: number,
  cursor?: string,
): Promise<Page<WorkflowVersion>> {
  const after = positionIn(cursor, ['integer', 'text'])
  let query = versionsOf(database, workflowId)
    .orderBy('version', 'desc')
    .limit(limit + 1)
  if (after !== null) query = query.where('version', '<', after[0] as number)
  // Cursors have a place for an id, which versions do not need.
  return pageBy(await query.execute(), limit, (row) => [row.version, ''], toVersion)
}

/**
 * Makes a version the one that new executions run; name, description and tags follow its definition, a deprecation is
 * lifted. Active already: no change. WORKFLOW_NOT_FOUND, WORKFLOW_ARCHIVED, VERSION_NOT_FOUND, WORKFLOW_NAME_TAKEN.
 */
export async function activateVersion(
  database: Database,
  workflowId: string,
  version: number,
  at: number,
): Promise<Workflow> {
  let taken = { namespace: 'default', name: '' }
  await database.db
    .transaction()
    .execute(async (trx) => {
      await boundIdleness(trx)
      const workflow = await lockActive(trx, workflowId)
      const row = await trx
        .updateTable('workflow_versions')
        .set({ deprecated_at: null })
        .where('workflow_id', '=', workflowId)
        .where('version', '=', version)
        .returning('definition')
        .executeTakeFirst()
      if (row === undefined) throw new CairnError('VERSION_NOT_FOUND', [workflowId, version])
      if (workflow.active_version === version) return
      const { name, description = null, tags = [] } = row.definition as Definition
      taken = { namespace: workflow.namespace, name }
      await trx
        .updateTable('workflows')
        .set({ name, description, tags, active_version: version, updated_at: at })
        .where('id', '=', workflowId)
        .execute()
    })
    .catch((error) => nameTaken(database, taken, error))
  return (await findWorkflow(database, workflowId))!
}

/** Takes a version out of use for new executions. VERSION_ACTIVE for the active one. Deprecated already: no change. */
export async function deprecateVersion(
  database: Database,
  workflowId: string,
  version: number,
  at: number,
): Promise<WorkflowVersion> {
  await database.db.transaction().execute(async (trx) => {
    await boundIdleness(trx)
    const workflow = await lockActive(trx, workflowId)
    if (workflow.active_version === version) throw new CairnError('VERSION_ACTIVE', [version, workflowId])
    await trx
      .updateTable('workflow_versions')
      .set({ deprecated_at: sql`coalesce(deprecated_at, ${at})` })
      .where('workflow_id', '=', workflowId)
      .where('version', '=', version)
      .execute()
  })
  const found = await findVersion(database, workflowId, version)
  if (found === null) throw new CairnError('VERSION_NOT_FOUND', [workflowId, version])
  return found
}

const versionsOf = ({ db }: Database, workflowId: string) =>
  db
    .selectFrom('workflow_versions')
    .innerJoin('workflows', 'workflows.id', 'workflow_versions.workflow_id')
    .selectAll('workflow_versions')
    .select('workflows.active_version')
    .where('workflow_id', '=', workflowId)

interface VersionRow {
  workflow_id: string
  version: number
  definition: unknown
  deprecated_at: number | null
  created_at: number
  active_version: number
}

const toVersion = (row: VersionRow): WorkflowVersion => ({
  workflowId: row.workflow_id,
  version: row.version,
  status: row.deprecated_at !== null ? 'deprecated' : row.version === row.active_version ? 'active' : 'inactive',
  definition: row.definition as Definition,
  createdAt: row.created_at,
})

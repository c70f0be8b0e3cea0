import { type SelectQueryBuilder, sql, type Transaction } from 'kysely'
import type { Definition } from '../definition/schema.ts'
import { CairnError } from '../errors.ts'
import type { Database } from './connection.ts'
import { decodeCursor, type Page, page } from './cursor.ts'
import type { Tables } from './tables.ts'
import { boundIdleness } from './transaction.ts'

/** A workflow as its active version shows it. Times are ms since 1970. */
export interface Workflow {
  readonly id: string
  readonly namespace: string
  readonly name: string
  readonly description: string | null
  /** The active version: what new executions run. */
  readonly version: number
  readonly status: 'active' | 'archived'
  readonly tags: string[]
  readonly definition: Definition
  readonly createdAt: number
  readonly updatedAt: number
}

/** What a definition says of its workflow, and when. */
export interface NewVersion {
  readonly name: string
  readonly description: string | null
  readonly tags: readonly string[]
  readonly definition: Definition
  readonly at: number
}

export interface NewWorkflow extends NewVersion {
  readonly id: string
  readonly namespace: string
}

export interface WorkflowFilter {
  readonly namespace?: string | undefined
  readonly workflowId?: string | undefined
  readonly name?: string | undefined
  readonly tag?: string | undefined
  readonly status?: 'active' | 'archived' | undefined
}

/** The statements that make a workflow with its version 1, once for each row of `source`; `first` numbers the parameters. */
export function insertWorkflowFrom(source: string, first: number): string[] {
  const types = ['uuid', 'text', 'text', 'text', 'text[]', 'bigint', 'json']
  const [id, namespace, name, description, tags, at, definition] = types.map(
    (type, index) => `$${first + index}::${type}`,
  )
  return [
    `INSERT INTO workflows
       (id, namespace, name, description, tags, created_at, updated_at, active_version, newest_version, status)
     SELECT ${id}, ${namespace}, ${name}, ${description}, ${tags}, ${at}, ${at}, 1, 1, 'active' FROM ${source}`,
    `INSERT INTO workflow_versions (workflow_id, version, definition, created_at)
     SELECT ${id}, 1, ${definition}, ${at} FROM ${source}`,
  ]
}

export const workflowParameters = (workflow: NewWorkflow): unknown[] => [
  workflow.id,
  workflow.namespace,
  workflow.name,
  workflow.description,
  workflow.tags,
  workflow.at,
  JSON.stringify(workflow.definition),
]

/** Creates a workflow with its version 1. WORKFLOW_NAME_TAKEN. */
export async function insertWorkflow(database: Database, workflow: NewWorkflow): Promise<Workflow> {
  const [intoWorkflows, intoVersions] = insertWorkflowFrom('(SELECT 1) AS once', 1)
  const text = `WITH workflow AS (${intoWorkflows}) ${intoVersions}`
  await database.pool.query(text, workflowParameters(workflow)).catch((error) => nameTaken(database, workflow, error))
  return found(await findWorkflow(database, workflow.id), workflow.id)
}

/** Turns a violation of the names' uniqueness into WORKFLOW_NAME_TAKEN, which names the workflow that has it. */
export async function nameTaken(
  database: Database,
  { namespace, name }: { namespace: string; name: string },
  error: unknown,
): Promise<never> {
  if ((error as { constraint?: string }).constraint !== 'workflows_name') throw error
  const { items } = await listWorkflows(database, { namespace, name, status: 'active' }, 1)
  throw new CairnError('WORKFLOW_NAME_TAKEN', [name, items[0]?.id ?? 'just now'], { cause: error })
}

/**
 * Adds the next version and makes it the active one; name, description and tags follow it.
 * `ifVersion` must be the active version then, else VERSION_CONFLICT. WORKFLOW_NOT_FOUND, _ARCHIVED, _NAME_TAKEN.
 */
export async function insertVersion(
  database: Database,
  workflowId: string,
  { name, description, tags, definition, at }: NewVersion,
  { ifVersion }: { ifVersion?: number | undefined } = {},
): Promise<Workflow> {
  let namespace = 'default'
  await database.db
    .transaction()
    .execute(async (trx) => {
      await boundIdleness(trx)
      const workflow = await lockActive(trx, workflowId)
      namespace = workflow.namespace
      if (ifVersion !== undefined && ifVersion !== workflow.active_version) {
        throw new CairnError('VERSION_CONFLICT', [ifVersion, workflow.active_version])
      }
      const version = workflow.newest_version + 1
      await trx
        .insertInto('workflow_versions')
        .values({ workflow_id: workflowId, version, definition: JSON.stringify(definition), created_at: at })
        .execute()
      await trx
        .updateTable('workflows')
        .set({ name, description, tags: [...tags], active_version: version, newest_version: version, updated_at: at })
        .where('id', '=', workflowId)
        .execute()
    })
    .catch((error) => nameTaken(database, { namespace, name }, error))
  return found(await findWorkflow(database, workflowId), workflowId)
}

/** The workflow with its active definition, or null; archived ones too. */
export async function findWorkflow({ db }: Database, id: string): Promise<Workflow | null> {
  const row = await withDefinition(db.selectFrom('workflows')).where('id', '=', id).executeTakeFirst()
  return row === undefined ? null : toWorkflow(row)
}

/** The active workflow of that name, or null: an archived one gives its name back. */
export async function findWorkflowNamed({ db }: Database, namespace: string, name: string): Promise<Workflow | null> {
  const row = await withDefinition(db.selectFrom('workflows'))
    .where('namespace', '=', namespace)
    .where('name', '=', name)
    .where('status', '=', 'active')
    .executeTakeFirst()
  return row === undefined ? null : toWorkflow(row)
}

/** Newest first; filters are combined with "and". CURSOR_INVALID. */
export async function listWorkflows(
  { db }: Database,
  filter: WorkflowFilter,
  limit: number,
  cursor?: string,
): Promise<Page<Workflow>> {
  const after = decodeCursor(cursor)
  const { namespace = 'default', workflowId, name, tag, status } = filter
  let query = withDefinition(db.selectFrom('workflows'))
    .where('namespace', '=', namespace)
    .orderBy('workflows.created_at', 'desc')
    .orderBy('workflows.id', 'desc')
    .limit(limit + 1)
  if (workflowId !== undefined) query = query.where('id', '=', workflowId)
  if (name !== undefined) query = query.where('name', '=', name)
  if (tag !== undefined) query = query.where(sql<boolean>`tags @> ${[tag]}::text[]`)
  if (status !== undefined) query = query.where('status', '=', status)
  if (after !== null)
    query = query.where(sql<boolean>`(workflows.created_at, id) < (${after.order}, ${after.id}::uuid)`)
  return page(await query.execute(), limit, (row) => ({ order: row.created_at, id: row.id }), toWorkflow)
}

/** Takes the workflow out of service: no new executions or versions; its name is free again. Archived already: no change. */
export async function archiveWorkflow(database: Database, id: string, at: number): Promise<Workflow> {
  await database.db
    .updateTable('workflows')
    .set({ status: 'archived', updated_at: at })
    .where('id', '=', id)
    .where('status', '=', 'active')
    .execute()
  return found(await findWorkflow(database, id), id)
}

/** The workflow's row, locked against other changes. WORKFLOW_NOT_FOUND, WORKFLOW_ARCHIVED. */
export async function lockActive(trx: Transaction<Tables>, id: string) {
  const row = await trx.selectFrom('workflows').selectAll().where('id', '=', id).forUpdate().executeTakeFirst()
  if (row === undefined) throw new CairnError('WORKFLOW_NOT_FOUND', [id])
  if (row.status === 'archived') throw new CairnError('WORKFLOW_ARCHIVED', [id])
  return row
}

function found(workflow: Workflow | null, id: string): Workflow {
  if (workflow === null) throw new CairnError('WORKFLOW_NOT_FOUND', [id])
  return workflow
}

const withDefinition = <O>(query: SelectQueryBuilder<Tables, 'workflows', O>) =>
  query
    .innerJoin('workflow_versions', (join) =>
      join
        .onRef('workflow_versions.workflow_id', '=', 'workflows.id')
        .onRef('workflow_versions.version', '=', 'workflows.active_version'),
    )
    .selectAll('workflows')
    .select('workflow_versions.definition')

interface WorkflowRow {
  id: string
  namespace: string
  name: string
  description: string | null
  active_version: number
  status: 'active' | 'archived'
  tags: string[]
  definition: unknown
  created_at: number
  updated_at: number
}

const toWorkflow = (row: WorkflowRow): Workflow => ({
  id: row.id,
  namespace: row.namespace,
  name: row.name,
  description: row.description,
  version: row.active_version,
  status: row.status,
  tags: row.tags,
  definition: row.definition as Definition,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
})

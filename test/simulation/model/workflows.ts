import type { Definition } from '../../../src/definition/schema.ts'
import { CairnError } from '../../../src/errors.ts'
import type { WorkflowVersion } from '../../../src/repository/workflow-versions.ts'
import type { NewWorkflow, Workflow } from '../../../src/repository/workflows.ts'
import { put, type Statement } from './server.ts'
import type { Tables } from './tables.ts'

// src/repository/workflows.ts and workflow-versions.ts, as far as executions need them.

export const insertStatement = (workflow: NewWorkflow): Statement<void> =>
  function* insertWorkflow(transaction, tables) {
    const { id, namespace, name, description, tags, definition, at } = workflow
    yield { row: `workflow name ${namespace} ${name}`, mode: 'exclusive' }
    const taken = [...tables.workflows.values()].find((other) => other.namespace === namespace && other.name === name)
    if (taken?.status === 'active') throw new CairnError('WORKFLOW_NAME_TAKEN', [name, taken.id])
    const times = { createdAt: at, updatedAt: at }
    const row = {
      id,
      namespace,
      name,
      description,
      tags,
      activeVersion: 1,
      newestVersion: 1,
      status: 'active',
      ...times,
    }
    transaction.change(put((all) => all.workflows, id, row as typeof row & { status: 'active' }))
    const version = {
      workflowId: id,
      version: 1,
      definition: JSON.stringify(definition),
      deprecatedAt: null,
      createdAt: at,
    }
    transaction.change(put((all) => all.versions, `${id}/1`, version))
  }

export function findWorkflow({ workflows, versions }: Tables, id: string): Workflow | null {
  const row = workflows.get(id)
  if (row === undefined) return null
  const { activeVersion: version, newestVersion: _, tags, ...rest } = row
  const definition = JSON.parse(versions.get(`${id}/${version}`)!.definition) as Definition
  return { ...rest, version, tags: [...tags], definition }
}

export function findWorkflowNamed(tables: Tables, namespace: string, name: string): Workflow | null {
  const row = [...tables.workflows.values()].find(
    (other) => other.namespace === namespace && other.name === name && other.status === 'active',
  )
  return row === undefined ? null : findWorkflow(tables, row.id)
}

export function findVersion({ versions }: Tables, workflowId: string, version: number): WorkflowVersion | null {
  const row = versions.get(`${workflowId}/${version}`)
  if (row === undefined) return null
  const { definition, deprecatedAt, createdAt } = row
  const status = deprecatedAt === null ? 'active' : 'deprecated'
  return { workflowId, version, status, definition: JSON.parse(definition) as Definition, createdAt }
}

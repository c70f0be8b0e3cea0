import { type Static, Type } from 'typebox'
import { Definition } from '../definition/schema.ts'
import type { WorkflowVersion as StoredVersion } from '../repository/workflow-versions.ts'
import type { Workflow as StoredWorkflow } from '../repository/workflows.ts'
import { rfc3339 } from '../stream/resource.ts'
import { nullable, oneOf, ref, Timestamp, Uuid } from './scalar.ts'

const VersionNumber = Type.Integer({ minimum: 1, description: 'Counted by the service from 1', examples: [3] })

export const Workflow = Type.Object(
  {
    id: Uuid,
    name: Type.String({ description: 'Unique among the active workflows', examples: ['Data Processing Pipeline'] }),
    description: nullable(Type.String()),
    version: Type.Unsafe<number>({ ...VersionNumber, description: 'The active version: what new executions run' }),
    status: oneOf(['active', 'archived'], { description: 'An archived workflow takes no new executions or versions' }),
    tags: Type.Array(Type.String()),
    definition: ref(Definition),
    createdAt: Timestamp,
    updatedAt: Timestamp,
  },
  { $id: 'Workflow', description: 'A named workflow; `version` and `definition` are the active ones' },
)

export const WorkflowVersion = Type.Object(
  {
    workflowId: Uuid,
    version: VersionNumber,
    status: oneOf(['active', 'inactive', 'deprecated'], {
      description: 'Only the active one is what new executions run by default',
    }),
    definition: ref(Definition),
    createdAt: Timestamp,
  },
  { $id: 'WorkflowVersion', description: 'One immutable definition of a workflow' },
)

export const workflowResourceSchemas = [Workflow, WorkflowVersion]

export function workflowResource(workflow: StoredWorkflow): Static<typeof Workflow> {
  const { id, name, description, version, status, tags, definition, createdAt, updatedAt } = workflow
  return {
    id,
    name,
    description,
    version,
    status,
    tags,
    definition,
    createdAt: rfc3339(createdAt),
    updatedAt: rfc3339(updatedAt),
  }
}

export function versionResource({
  workflowId,
  version,
  status,
  definition,
  createdAt,
}: StoredVersion): Static<typeof WorkflowVersion> {
  return { workflowId, version, status, definition, createdAt: rfc3339(createdAt) }
}

/** The entity tag of a workflow is its active version: what If-Match of a PUT compares. */
export const etagOf = (workflow: { version: number }): string => `"${workflow.version}"`

export const locationOfWorkflow = (id: string): string => `/api/workflows/${id}`

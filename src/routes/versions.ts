import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { WorkflowEngine } from '../engine/engine.ts'
import { CairnError } from '../errors.ts'
import { answer } from './answer.ts'
import { IdempotencyHeaders } from './idempotency.ts'
import { jsonPatch, PatchOperation } from './json-patch.ts'
import { limitOf, listOf, listQuery } from './list.ts'
import { problems } from './problem.ts'
import { ref, Uuid } from './scalar.ts'
import { etagOf, versionResource, Workflow, WorkflowVersion, workflowResource } from './workflow-resource.ts'
import { findWorkflow, WorkflowParams } from './workflows.ts'

const version = Type.Integer({ minimum: 1, maximum: 2_147_483_647, examples: [2] })
const VersionParams = Type.Object({ workflowId: Uuid, version })
const VersionList = listOf(WorkflowVersion, 'WorkflowVersionList')
export const versionSchemas = [VersionList, PatchOperation]

const tags = ['Versions']

/** The versions of a workflow: read, compare, activate, deprecate. */
export const versionRoutes: FastifyPluginAsyncTypebox<{ engine: WorkflowEngine }> = async (app, { engine }) => {
  app.get(
    '/api/workflows/:workflowId/versions',
    {
      schema: {
        operationId: 'listVersions',
        summary: 'List the versions of a workflow',
        description: 'Newest first.',
        tags,
        params: WorkflowParams,
        querystring: Type.Object(listQuery),
        response: { 200: answer('One page', ref(VersionList)), ...problems('WORKFLOW_NOT_FOUND', 'CURSOR_INVALID') },
      },
    },
    async (request) => {
      const { id } = await findWorkflow(engine, request.params.workflowId)
      const page = await engine.store.listVersions(id, limitOf(request.query), request.query.cursor)
      return { items: page.items.map(versionResource), nextCursor: page.nextCursor }
    },
  )

  app.get(
    '/api/workflows/:workflowId/versions/:version',
    {
      schema: {
        operationId: 'getVersion',
        summary: 'Read one version',
        tags,
        params: VersionParams,
        response: {
          200: answer('The version', ref(WorkflowVersion)),
          ...problems('WORKFLOW_NOT_FOUND', 'VERSION_NOT_FOUND'),
        },
      },
    },
    async (request) => versionResource(await findVersion(engine, request.params.workflowId, request.params.version)),
  )

  app.post(
    '/api/workflows/:workflowId/versions/:version/activate',
    {
      schema: {
        operationId: 'activateVersion',
        summary: 'Make a version the active one',
        description:
          'New executions run it from now on. A deprecated version becomes usable again. Activating the active one changes nothing.',
        tags,
        params: VersionParams,
        headers: IdempotencyHeaders,
        response: {
          200: answer('The workflow', ref(Workflow), { headers: { etag: 'The active version, quoted; for If-Match' } }),
          ...problems('WORKFLOW_NOT_FOUND', 'VERSION_NOT_FOUND', 'WORKFLOW_ARCHIVED'),
        },
      },
    },
    async (request, reply) => {
      const workflow = await engine.activateVersion(request.params.workflowId, request.params.version)
      reply.header('etag', etagOf(workflow))
      return workflowResource(workflow)
    },
  )

  app.post(
    '/api/workflows/:workflowId/versions/:version/deprecate',
    {
      schema: {
        operationId: 'deprecateVersion',
        summary: 'Take a version out of use',
        description: 'New executions of it are refused; those that run go on. The active version cannot be deprecated.',
        tags,
        params: VersionParams,
        headers: IdempotencyHeaders,
        response: {
          200: answer('The version', ref(WorkflowVersion)),
          ...problems('WORKFLOW_NOT_FOUND', 'VERSION_NOT_FOUND', 'VERSION_ACTIVE'),
        },
      },
    },
    async (request) =>
      versionResource(await engine.deprecateVersion(request.params.workflowId, request.params.version)),
  )

  app.get(
    '/api/workflows/:workflowId/diff',
    {
      schema: {
        operationId: 'diffVersions',
        summary: 'Compare two versions',
        description:
          'The JSON Patch (RFC 6902) that turns the definition of `from` into that of `to`; empty when they are the same.',
        tags,
        params: WorkflowParams,
        querystring: Type.Object({ from: version, to: version }),
        response: {
          200: answer('The patch', Type.Array(ref(PatchOperation)), { mediaType: 'application/json-patch+json' }),
          ...problems('WORKFLOW_NOT_FOUND', 'VERSION_NOT_FOUND'),
        },
      },
    },
    async (request, reply) => {
      const { workflowId } = request.params
      const from = await findVersion(engine, workflowId, request.query.from)
      const to = await findVersion(engine, workflowId, request.query.to)
      return reply.type('application/json-patch+json').send(jsonPatch(from.definition, to.definition))
    },
  )
}

/** Answers WORKFLOW_NOT_FOUND or VERSION_NOT_FOUND when there is none. */
async function findVersion(engine: WorkflowEngine, workflowId: string, version: number) {
  const found = await engine.store.findVersion(workflowId, version)
  if (found) return found
  await findWorkflow(engine, workflowId)
  throw new CairnError('VERSION_NOT_FOUND', [workflowId, version])
}

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { Definition } from '../definition/schema.ts'
import type { WorkflowEngine } from '../engine/engine.ts'
import { CairnError } from '../errors.ts'
import { answer, emptyAnswer } from './answer.ts'
import { IdempotencyHeaders, markReplayed, replayAnswer } from './idempotency.ts'
import { limitOf, listOf, listQuery } from './list.ts'
import { bodyProblems, FaultSchema, problems } from './problem.ts'
import { oneOf, ref, text, Uuid } from './scalar.ts'
import { etagOf, locationOfWorkflow, Workflow, workflowResource } from './workflow-resource.ts'

export const WorkflowParams = Type.Object({ workflowId: Uuid })

const WorkflowList = listOf(Workflow, 'WorkflowList')
const Validation = Type.Object(
  {
    valid: Type.Boolean(),
    errors: Type.Array(ref(FaultSchema), { description: 'All faults at once; empty when it is valid' }),
  },
  { $id: 'Validation' },
)
export const workflowSchemas = [WorkflowList, Validation]

const tags = ['Workflows']
const etag = { etag: 'The active version, quoted; for If-Match' }

/** Workflows: create, find, change by a new version, archive. */
export const workflowRoutes: FastifyPluginAsyncTypebox<{ engine: WorkflowEngine }> = async (app, { engine }) => {
  app.post(
    '/api/workflows',
    {
      schema: {
        operationId: 'createWorkflow',
        summary: 'Create a workflow',
        description: 'Stores the definition as version 1. An invalid one is answered with all its faults at once.',
        tags,
        headers: IdempotencyHeaders,
        body: ref(Definition),
        response: {
          201: answer('Created', ref(Workflow), { headers: { location: 'Its address', ...etag } }),
          200: replayAnswer(ref(Workflow)),
          ...problems('WORKFLOW_NAME_TAKEN', 'DEFINITION_INVALID', 'IDEMPOTENCY_KEY_REUSED', ...bodyProblems),
        },
      },
    },
    async (request, reply) => {
      const { workflow, replayed } = await engine.createWorkflowKeyed(request.body, {
        idempotencyKey: request.headers['idempotency-key'],
      })
      markReplayed(reply, replayed)
      reply.header('location', locationOfWorkflow(workflow.id)).header('etag', etagOf(workflow))
      return reply.code(replayed ? 200 : 201).send(workflowResource(workflow))
    },
  )

  app.get(
    '/api/workflows',
    {
      schema: {
        operationId: 'listWorkflows',
        summary: 'List workflows',
        description: 'Newest first. Filters are combined with "and".',
        tags,
        querystring: Type.Object({
          ...listQuery,
          workflowId: Type.Optional(Uuid),
          name: Type.Optional(text(200, { description: 'The exact name' })),
          tag: Type.Optional(text(100, { description: 'A tag that it has' })),
          status: Type.Optional(oneOf(['active', 'archived'])),
        }),
        response: { 200: answer('One page', ref(WorkflowList)), ...problems('CURSOR_INVALID') },
      },
    },
    async (request) => {
      const { limit: _limit, cursor, ...filter } = request.query
      const page = await engine.store.listWorkflows(filter, limitOf(request.query), cursor)
      return { items: page.items.map(workflowResource), nextCursor: page.nextCursor }
    },
  )

  app.get(
    '/api/workflows/:workflowId',
    {
      schema: {
        operationId: 'getWorkflow',
        summary: 'Read a workflow',
        tags,
        params: WorkflowParams,
        response: { 200: answer('The workflow', ref(Workflow), { headers: etag }), ...problems('WORKFLOW_NOT_FOUND') },
      },
    },
    async (request, reply) => {
      const workflow = await findWorkflow(engine, request.params.workflowId)
      reply.header('etag', etagOf(workflow))
      return workflowResource(workflow)
    },
  )

  app.put(
    '/api/workflows/:workflowId',
    {
      schema: {
        operationId: 'updateWorkflow',
        summary: 'Store a new version and activate it',
        description:
          'Versions are immutable: executions that run stay on theirs. `If-Match` guards against a version that somebody else made meanwhile.',
        tags,
        params: WorkflowParams,
        headers: Type.Object({
          'if-match': Type.Optional(
            Type.String({
              pattern: '^(\\*|"[1-9][0-9]{0,8}")$',
              description: 'The ETag that the change is based on; `*` is any',
              examples: ['"3"'],
            }),
          ),
        }),
        body: ref(Definition),
        response: {
          200: answer('The workflow with its new version', ref(Workflow), { headers: etag }),
          ...problems(
            'WORKFLOW_NOT_FOUND',
            'WORKFLOW_ARCHIVED',
            'WORKFLOW_NAME_TAKEN',
            'VERSION_CONFLICT',
            'DEFINITION_INVALID',
            ...bodyProblems,
          ),
        },
      },
    },
    async (request, reply) => {
      const ifVersion = versionOf(request.headers['if-match'])
      const workflow = await engine.updateWorkflow(request.params.workflowId, request.body, { ifVersion })
      reply.header('etag', etagOf(workflow))
      return workflowResource(workflow)
    },
  )

  app.delete(
    '/api/workflows/:workflowId',
    {
      schema: {
        operationId: 'archiveWorkflow',
        summary: 'Archive a workflow',
        description: 'Its executions go on; new starts and versions are refused. Archiving it again changes nothing.',
        tags,
        params: WorkflowParams,
        response: { 204: emptyAnswer('Archived'), ...problems('WORKFLOW_NOT_FOUND') },
      },
    },
    async (request, reply) => {
      await engine.archiveWorkflow(request.params.workflowId)
      return reply.code(204).send()
    },
  )

  app.post(
    '/api/workflows/validate',
    {
      schema: {
        operationId: 'validateDefinition',
        summary: 'Check a definition without storing it',
        tags,
        headers: IdempotencyHeaders,
        body: ref(Definition),
        response: { 200: answer('What is wrong with it, if anything', ref(Validation)), ...problems(...bodyProblems) },
      },
    },
    async (request) => {
      const errors = await engine.validateDefinition(request.body)
      return { valid: errors.length === 0, errors }
    },
  )
}

/** Answers WORKFLOW_NOT_FOUND when there is none. */
export async function findWorkflow(engine: WorkflowEngine, workflowId: string) {
  const workflow = await engine.store.findWorkflow(workflowId)
  if (!workflow) throw new CairnError('WORKFLOW_NOT_FOUND', [workflowId])
  return workflow
}

/** `"3"` → 3; `*` and nothing: no condition. */
const versionOf = (ifMatch: string | undefined): number | undefined =>
  ifMatch === undefined || ifMatch === '*' ? undefined : Number(ifMatch.slice(1, -1))

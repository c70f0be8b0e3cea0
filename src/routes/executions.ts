import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type Static, Type } from 'typebox'
import type { Json } from '../definition/json.ts'
import { priorityBounds } from '../definition/schema-fields.ts'
import { executionStatuses } from '../engine/core/state.ts'
import type { WorkflowEngine } from '../engine/engine.ts'
import { CairnError } from '../errors.ts'
import { conflictPolicies, reusePolicies } from '../repository/execution-keys.ts'
import { answer } from './answer.ts'
import {
  Execution,
  executionResource,
  executionSummary,
  locationOfExecution,
  readExecution,
} from './execution-resource.ts'
import { IdempotencyHeaders, markReplayed, replayAnswer } from './idempotency.ts'
import { limitOf, listOf, listQuery } from './list.ts'
import { bodyProblems, problems } from './problem.ts'
import { isUuid, oneOf, ref, Timestamp, text, toMs, Uuid } from './scalar.ts'
import { waitForEnd, waitQuery } from './wait.ts'

export const ExecutionParams = Type.Object({ executionId: Uuid })

const StartExecution = Type.Object(
  {
    workflowId: Type.String({
      maxLength: 200,
      description: 'A UUID',
      examples: ['0199f3a8-7c1e-7d3a-9b52-0c8e4f6a1d27'],
    }),
    version: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 2_147_483_647, description: 'The active one when left out', examples: [3] }),
    ),
    input: Type.Optional(
      Type.Unsafe<Json>({
        description: "Any JSON that fits the workflow's inputSchema, up to 1 MiB",
        examples: [{ orderId: 4711 }],
      }),
    ),
    triggeredBy: Type.Optional(text(200, { description: 'Who or what wants it', examples: ['user-123'] })),
    correlationId: Type.Optional(
      text(200, { minLength: 1, description: 'The `x-correlation-id` header when left out' }),
    ),
    tags: Type.Optional(Type.Array(text(100, { minLength: 1 }), { maxItems: 50, examples: [['nightly']] })),
    priority: Type.Optional(
      Type.Integer({
        ...priorityBounds,
        description:
          "Higher ones are taken up first, and go first in lines for slots: a step of priority is worth a minute of waiting; the workflow's `priority` when left out",
      }),
    ),
    executionKey: Type.Optional(
      text(200, {
        minLength: 1,
        description:
          'A business key: at most one live execution of the workflow has it. An execution that is removed frees its key',
        examples: ['order-4711'],
      }),
    ),
    reusePolicy: Type.Optional(
      oneOf(reusePolicies, {
        description:
          'When the last execution under the key has ended: `allow` (when left out) starts another, `failed_only` unless it completed, `reject` never: 409',
      }),
    ),
    conflictPolicy: Type.Optional(
      oneOf(conflictPolicies, {
        description:
          'When an execution under the key is live: `fail` (when left out) answers 409, `use_existing` 200 with that one, `cancel_existing` cancels it, waits for its end, and starts another',
      }),
    ),
    startAt: Type.Optional(
      Type.Unsafe<string>({ ...Timestamp, description: 'Not before this time; now when left out' }),
    ),
  },
  {
    $id: 'StartExecution',
    additionalProperties: false,
    examples: [
      {
        workflowId: '0199f3a8-7c1e-7d3a-9b52-0c8e4f6a1d27',
        input: { orderId: 4711 },
        triggeredBy: 'user-123',
        tags: ['nightly'],
      },
    ],
  },
)
const StartHeaders = Type.Object({
  ...IdempotencyHeaders.properties,
  'x-correlation-id': Type.Optional(
    Type.String({ description: 'Stored with the execution, logged, answered, and sent on by http_request' }),
  ),
  traceparent: Type.Optional(
    Type.String({ description: "W3C trace context: the caller's trace goes on in the execution" }),
  ),
})
const ExecutionList = listOf(Execution, 'ExecutionList')
export const startSchemas = [StartExecution, ExecutionList]

const ListQuery = Type.Object({
  ...listQuery,
  workflowId: Type.Optional(Uuid),
  status: Type.Optional(oneOf(executionStatuses)),
  triggeredBy: Type.Optional(text(200)),
  correlationId: Type.Optional(text(200)),
  executionKey: Type.Optional(text(200)),
  parentExecutionId: Type.Optional(
    Type.Unsafe<string>({ ...Uuid, description: 'The execution whose sub-workflows are listed' }),
  ),
  tag: Type.Optional(text(100, { description: 'A tag that it has' })),
  createdAfter: Type.Optional(Type.Unsafe<string>({ ...Timestamp, description: 'Created after this time' })),
  createdBefore: Type.Optional(Type.Unsafe<string>({ ...Timestamp, description: 'Created before this time' })),
})

const tags = ['Executions']

/** Executions: start, find, read. What is done to a running one stands in control.ts, rollback.ts and signals.ts. */
export const executionRoutes: FastifyPluginAsyncTypebox<{ engine: WorkflowEngine }> = async (app, { engine }) => {
  app.post(
    '/api/workflows/executions',
    {
      schema: {
        operationId: 'startExecution',
        summary: 'Start an execution',
        description: 'A 201 is durable. With `waitMs` the answer waits for the end and may hold the output already.',
        tags,
        headers: StartHeaders,
        querystring: Type.Object(waitQuery),
        body: ref(StartExecution),
        response: {
          201: answer('Started', ref(Execution), { headers: { location: 'Its address' } }),
          200: replayAnswer(ref(Execution), ', or the live execution under the same executionKey'),
          ...problems(
            'WORKFLOW_NOT_FOUND',
            'VERSION_NOT_FOUND',
            'WORKFLOW_ARCHIVED',
            'VERSION_DEPRECATED',
            'INPUT_INVALID',
            'PAYLOAD_TOO_LARGE',
            'IDEMPOTENCY_KEY_REUSED',
            'EXECUTION_KEY_LIVE',
            'EXECUTION_KEY_USED',
            'CONCURRENCY_LIMIT',
            'ENGINE_OVERLOADED',
            ...bodyProblems,
          ),
        },
      },
    },
    async (request, reply) => {
      const { startAt, ...body } = request.body
      if (!isUuid(body.workflowId)) throw new CairnError('WORKFLOW_NOT_FOUND', [body.workflowId])
      const {
        execution,
        replayed,
        existing = false,
      } = await engine.requestStart({
        ...body,
        workflowId: body.workflowId.toLowerCase(),
        startAt: startAt === undefined ? undefined : toMs('/startAt', startAt),
        correlationId: body.correlationId ?? request.correlationId ?? undefined,
        idempotencyKey: request.headers['idempotency-key'],
        traceparent: request.traceparent,
      })
      markReplayed(reply, replayed)
      const isThere = replayed || existing
      reply.code(isThere ? 200 : 201).header('location', locationOfExecution(execution.id))
      const { waitMs = 0 } = request.query
      if (waitMs > 0) await waitForEnd(engine, execution.id, waitMs, reply)
      if (waitMs > 0 || isThere) return reply.send(executionResource(await readExecution(engine, execution.id)))
      return reply.send(executionResource({ ...execution, percentage: 0, path: null }))
    },
  )

  app.get(
    '/api/workflows/executions',
    {
      schema: {
        operationId: 'listExecutions',
        summary: 'List executions',
        description: 'Newest first, without input and output. Filters are combined with "and".',
        tags,
        querystring: ListQuery,
        response: { 200: answer('One page', ref(ExecutionList)), ...problems('CURSOR_INVALID') },
      },
    },
    async (request) => {
      const page = await engine.store.listExecutions(
        filterOf(request.query),
        limitOf(request.query),
        request.query.cursor,
      )
      return { items: page.items.map(executionSummary), nextCursor: page.nextCursor }
    },
  )

  app.get(
    '/api/workflows/executions/:executionId',
    {
      schema: {
        operationId: 'getExecution',
        summary: 'Read an execution',
        description: 'With `waitMs` the answer comes at its end, or when the time is up.',
        tags,
        params: ExecutionParams,
        querystring: Type.Object({
          ...waitQuery,
          fields: Type.Optional(
            Type.String({
              maxLength: 500,
              description:
                'Comma-separated names of the fields that are wanted. `input` and `output` are left out unless named (an empty value leaves out both); the small ones always come.',
              examples: ['id,status,output'],
            }),
          ),
        }),
        response: { 200: answer('The execution', ref(Execution)), ...problems('EXECUTION_NOT_FOUND') },
      },
    },
    async (request, reply) => {
      const { executionId } = request.params
      const { waitMs = 0, fields } = request.query
      const wanted = fields === undefined ? undefined : fieldsOf(fields)
      if (waitMs > 0) await waitForEnd(engine, executionId, waitMs, reply)
      const { input, output, ...summary } = executionResource(await readExecution(engine, executionId))
      return {
        ...summary,
        ...((wanted?.has('input') ?? true) && { input }),
        ...((wanted?.has('output') ?? true) && { output }),
      }
    },
  )
}

function filterOf({
  limit: _limit,
  cursor: _cursor,
  createdAfter,
  createdBefore,
  ...filter
}: Static<typeof ListQuery>) {
  return {
    ...filter,
    workflowId: filter.workflowId?.toLowerCase(),
    parentExecutionId: filter.parentExecutionId?.toLowerCase(),
    createdAfter: createdAfter === undefined ? undefined : toMs('/createdAfter', createdAfter),
    createdBefore: createdBefore === undefined ? undefined : toMs('/createdBefore', createdBefore),
  }
}

/** The names in `fields`; one that no execution has is refused. */
function fieldsOf(fields: string): Set<string> {
  const names = new Set(fields.split(',').map((name) => name.trim()))
  names.delete('')
  const unknown = [...names].filter((name) => !Object.hasOwn(Execution.properties, name))
  if (unknown.length === 0) return names
  const known = Object.keys(Execution.properties).join(', ')
  throw new CairnError('REQUEST_INVALID', [], {
    faults: unknown.map((name) => ({ pointer: '/fields', message: `an execution has no "${name}"; it has ${known}` })),
  })
}

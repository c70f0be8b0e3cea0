import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { WorkflowEngine } from '../engine/engine.ts'
import { answer } from './answer.ts'
import { Execution, executionResource, readExecution } from './execution-resource.ts'
import { ExecutionParams } from './executions.ts'
import { IdempotencyHeaders, markReplayed } from './idempotency.ts'
import { bodyProblems, problems } from './problem.ts'
import { oneOf, ref, text } from './scalar.ts'

const ControlRequest = Type.Object(
  {
    action: oneOf(['pause', 'resume', 'cancel', 'retry'], {
      description:
        'pause: nothing new starts, running attempts end. resume: goes on from the exact point. cancel: running attempts are aborted. retry: a failed execution goes on from its failed step; completed steps stay, but the `finally` of a `try` that goes on runs again at its end.',
    }),
    reason: Type.Optional(
      text(1000, { description: 'Stands in the journal', examples: ['maintenance of the warehouse'] }),
    ),
  },
  {
    $id: 'ControlRequest',
    additionalProperties: false,
    examples: [{ action: 'pause', reason: 'maintenance of the warehouse' }],
  },
)
export const controlSchemas = [ControlRequest]

/** Pause, resume, cancel and retry of an execution. */
export const controlRoutes: FastifyPluginAsyncTypebox<{ engine: WorkflowEngine }> = async (app, { engine }) => {
  app.patch(
    '/api/workflows/executions/:executionId',
    {
      schema: {
        operationId: 'controlExecution',
        summary: 'Pause, resume, cancel or retry an execution',
        description: 'Answers once it took effect, or after 5 s with 202: then it is durable and will take effect.',
        tags: ['Control'],
        params: ExecutionParams,
        headers: IdempotencyHeaders,
        body: ref(ControlRequest),
        response: {
          200: answer('In effect', ref(Execution), {
            headers: { 'idempotency-replayed': '`true` for a repeat under the same key' },
          }),
          202: answer('Taken, not in effect yet; `requested` shows it', ref(Execution)),
          ...problems(
            'EXECUTION_NOT_FOUND',
            'EXECUTION_STATUS_CONFLICT',
            'EXECUTION_COMPENSATED',
            'CHILD_RESULT_TAKEN',
            'EXECUTION_KEY_LIVE',
            'IDEMPOTENCY_KEY_REUSED',
            'ENGINE_OVERLOADED',
            ...bodyProblems,
          ),
        },
      },
    },
    async (request, reply) => {
      const { executionId } = request.params
      const { action, reason } = request.body
      const { effective, replayed } = await engine.control(executionId, action, {
        reason,
        idempotencyKey: request.headers['idempotency-key'],
      })
      markReplayed(reply, replayed)
      reply.code(effective ? 200 : 202)
      return reply.send(executionResource(await readExecution(engine, executionId)))
    },
  )
}

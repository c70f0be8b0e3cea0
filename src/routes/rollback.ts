import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { WorkflowEngine } from '../engine/engine.ts'
import { answer } from './answer.ts'
import { Execution, executionResource, readExecution } from './execution-resource.ts'
import { ExecutionParams } from './executions.ts'
import { IdempotencyHeaders, markReplayed } from './idempotency.ts'
import { bodyProblems, problems } from './problem.ts'
import { ref } from './scalar.ts'

const RollbackRequest = Type.Object(
  {
    checkpointIndex: Type.Integer({
      minimum: 0,
      maximum: 2_147_483_647,
      description: '`index` of a checkpoint that is kept',
      examples: [2],
    }),
    resume: Type.Optional(Type.Boolean({ description: 'Goes on at once; otherwise it is paused afterwards' })),
    compensate: Type.Optional(
      Type.Boolean({
        description:
          'First takes back what was completed after the checkpoint: the compensations run in reverse order. When one fails in the end, there is no rollback: the execution is failed as CompensationFailed',
      }),
    ),
    seq: Type.Optional(
      Type.Integer({
        minimum: 1,
        description: '`lastSeq` that the decision was made on: refused when the execution has moved on since',
      }),
    ),
  },
  { $id: 'RollbackRequest', additionalProperties: false, examples: [{ checkpointIndex: 2, resume: true }] },
)
export const rollbackSchemas = [RollbackRequest]

/** Going back to a checkpoint. */
export const rollbackRoutes: FastifyPluginAsyncTypebox<{ engine: WorkflowEngine }> = async (app, { engine }) => {
  app.post(
    '/api/workflows/executions/:executionId/rollback',
    {
      schema: {
        operationId: 'rollbackExecution',
        summary: 'Go back to a checkpoint',
        description:
          'Whatever the status, finished ones included; running attempts are aborted. What came after the checkpoint stays readable in the journal, but counts no more; steps after it are performed again with new idempotency keys. Answers once it took effect, or after 5 s with 202.',
        tags: ['Control'],
        params: ExecutionParams,
        headers: IdempotencyHeaders,
        body: ref(RollbackRequest),
        response: {
          200: answer('Rolled back', ref(Execution), {
            headers: { 'idempotency-replayed': '`true` for a repeat under the same key' },
          }),
          202: answer('Taken, not in effect yet', ref(Execution)),
          ...problems(
            'EXECUTION_NOT_FOUND',
            'CHECKPOINT_NOT_FOUND',
            'CHECKPOINT_GONE',
            'SEQ_CONFLICT',
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
      const { effective, replayed } = await engine.rollback(executionId, {
        ...request.body,
        idempotencyKey: request.headers['idempotency-key'],
      })
      markReplayed(reply, replayed)
      reply.code(effective ? 200 : 202)
      return reply.send(executionResource(await readExecution(engine, executionId)))
    },
  )
}

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { RollbackPlan as Plan } from '../engine/core/rollback-plan.ts'
import { stepStatuses } from '../engine/core/state.ts'
import type { WorkflowEngine } from '../engine/engine.ts'
import { checkpointResource } from '../stream/resource.ts'
import { Checkpoint } from '../stream/schema.ts'
import { answer } from './answer.ts'
import { Execution, executionResource, readExecution } from './execution-resource.ts'
import { ExecutionParams } from './executions.ts'
import { IdempotencyHeaders, markReplayed } from './idempotency.ts'
import { bodyProblems, problems } from './problem.ts'
import { oneOf, ref, Uuid } from './scalar.ts'

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

const PlannedStep = Type.Object(
  {
    path: Type.String(),
    id: Type.String(),
    name: Type.String(),
    status: oneOf(stepStatuses),
    compensation: Type.Optional(Type.String({ description: 'Where its compensation would stand' })),
  },
  { $id: 'PlannedStep', description: 'A step in the plan of a rollback, with its present status' },
)

const RollbackPlan = Type.Object(
  {
    executionId: Uuid,
    checkpoint: ref(Checkpoint),
    lastSeq: Type.Integer({ description: 'What the plan was made of: give it as `seq` of the rollback itself' }),
    compensated: Type.Array(ref(PlannedStep), {
      description: 'What would be taken back first, in that order; empty without `compensate`',
    }),
    performedAgain: Type.Array(ref(PlannedStep), {
      description:
        'Steps that were begun after the checkpoint, or were under way then: they begin anew when the flow comes to them. Of loops the iterations that are over are not listed, the loop is',
    }),
    kept: Type.Array(ref(PlannedStep), { description: 'Steps that were completed before, and stay' }),
    cancelledChildren: Type.Array(Uuid, { description: 'Live executions of sub_workflow that would be cancelled' }),
    keptChildren: Type.Array(Uuid, { description: 'Those that go on' }),
  },
  { $id: 'RollbackPlan', description: 'What a rollback would do' },
)
export const rollbackSchemas = [RollbackRequest, PlannedStep, RollbackPlan]

/** Going back to a checkpoint. */
export const rollbackRoutes: FastifyPluginAsyncTypebox<{ engine: WorkflowEngine }> = async (app, { engine }) => {
  app.post(
    '/api/workflows/executions/:executionId/rollback',
    {
      schema: {
        operationId: 'rollbackExecution',
        summary: 'Go back to a checkpoint',
        description:
          'Whatever the status, finished ones included; running attempts are aborted. What came after the checkpoint stays readable in the journal, but counts no more; steps after it are performed again with new idempotency keys. With `dryRun` nothing of that happens, and the answer says what would. Answers once it took effect, or after 5 s with 202.',
        tags: ['Control'],
        params: ExecutionParams,
        headers: IdempotencyHeaders,
        querystring: Type.Object({
          dryRun: Type.Optional(
            Type.Boolean({ description: 'Changes nothing, and answers with the plan of the rollback' }),
          ),
        }),
        body: ref(RollbackRequest),
        response: {
          200: answer('Rolled back; with `dryRun` the plan', Type.Union([ref(Execution), ref(RollbackPlan)]), {
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
            'FORMAT_UNKNOWN',
            'HISTORY_INVALID',
            'ENGINE_OVERLOADED',
            ...bodyProblems,
          ),
        },
      },
    },
    async (request, reply) => {
      const { executionId } = request.params
      if (request.query.dryRun) return reply.send(planResource(await engine.planRollback(executionId, request.body)))
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

const planResource = (plan: Plan) => ({ ...plan, checkpoint: checkpointResource(plan.checkpoint) })

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { WorkflowEngine } from '../engine/engine.ts'
import { checkpointResource } from '../stream/resource.ts'
import { Checkpoint, CheckpointView } from '../stream/schema.ts'
import { answer } from './answer.ts'
import { ExecutionParams } from './executions.ts'
import { listOf, listQuery, pageOf } from './list.ts'
import { problems } from './problem.ts'
import { ref, Uuid } from './scalar.ts'

const CheckpointList = listOf(Checkpoint, 'CheckpointList')
export const checkpointSchemas = [Checkpoint, CheckpointView, CheckpointList]

const tags = ['Checkpoints']

/** Where an execution can be rolled back to. */
export const checkpointRoutes: FastifyPluginAsyncTypebox<{ engine: WorkflowEngine }> = async (app, { engine }) => {
  app.get(
    '/api/workflows/executions/:executionId/checkpoints',
    {
      schema: {
        operationId: 'listCheckpoints',
        summary: 'List the checkpoints that are kept',
        description:
          "Oldest first: the last ones (10, or what the workflow says), and as many of the root's own steps.",
        tags,
        params: ExecutionParams,
        querystring: Type.Object(listQuery),
        response: {
          200: answer('One page', ref(CheckpointList)),
          ...problems('EXECUTION_NOT_FOUND', 'CURSOR_INVALID', 'FORMAT_UNKNOWN', 'HISTORY_INVALID'),
        },
      },
    },
    async (request) => {
      const checkpoints = await engine.listCheckpoints(request.params.executionId)
      const page = pageOf(checkpoints, request.query, (checkpoint) => checkpoint.index)
      return { items: page.items.map(checkpointResource), nextCursor: page.nextCursor }
    },
  )

  app.get(
    '/api/workflows/executions/:executionId/checkpoints/:index',
    {
      schema: {
        operationId: 'getCheckpoint',
        summary: 'Read a checkpoint with its complete state',
        tags,
        params: Type.Object({
          executionId: Uuid,
          index: Type.Integer({
            minimum: 0,
            maximum: 2_147_483_647,
            description: 'Counted from 0 in the effective history',
            examples: [2],
          }),
        }),
        response: {
          200: answer('The checkpoint', ref(CheckpointView)),
          ...problems(
            'EXECUTION_NOT_FOUND',
            'CHECKPOINT_NOT_FOUND',
            'CHECKPOINT_GONE',
            'FORMAT_UNKNOWN',
            'HISTORY_INVALID',
          ),
        },
      },
    },
    async (request) => {
      const checkpoint = await engine.getCheckpoint(request.params.executionId, request.params.index)
      return { ...checkpointResource(checkpoint), state: checkpoint.state }
    },
  )
}

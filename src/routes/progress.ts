import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { WorkflowEngine } from '../engine/engine.ts'
import { progressResource, stepResource } from '../stream/resource.ts'
import { ChildProgress, Progress, StepProgress } from '../stream/schema.ts'
import { answer } from './answer.ts'
import { ExecutionParams } from './executions.ts'
import { listOf, listQuery, pageOf } from './list.ts'
import { problems } from './problem.ts'
import { ref } from './scalar.ts'

const StepList = listOf(StepProgress, 'StepList')
export const progressSchemas = [Progress, StepProgress, ChildProgress, StepList]

const tags = ['Progress']

/** How far an execution has come. Current as of the call, on every node. */
export const progressRoutes: FastifyPluginAsyncTypebox<{ engine: WorkflowEngine }> = async (app, { engine }) => {
  app.get(
    '/api/workflows/executions/:executionId/progress',
    {
      schema: {
        operationId: 'getProgress',
        summary: 'Read how far an execution has come',
        description: 'Percentage, current step, all steps and the time that is left, by the history of its workflow.',
        tags,
        params: ExecutionParams,
        response: {
          200: answer('The progress', ref(Progress)),
          ...problems('EXECUTION_NOT_FOUND', 'FORMAT_UNKNOWN', 'HISTORY_INVALID'),
        },
      },
    },
    async (request) => progressResource(await engine.getProgress(request.params.executionId)),
  )

  app.get(
    '/api/workflows/executions/:executionId/steps',
    {
      schema: {
        operationId: 'listSteps',
        summary: 'List the steps with attempts and timings',
        description: 'Every step of the definition in its order, reached or not.',
        tags,
        params: ExecutionParams,
        querystring: Type.Object(listQuery),
        response: {
          200: answer('One page', ref(StepList)),
          ...problems('EXECUTION_NOT_FOUND', 'CURSOR_INVALID', 'FORMAT_UNKNOWN', 'HISTORY_INVALID'),
        },
      },
    },
    async (request) => {
      const steps = await engine.getSteps(request.params.executionId)
      const page = pageOf(steps, request.query, (_step, position) => position)
      return { items: page.items.map(stepResource), nextCursor: page.nextCursor }
    },
  )
}

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { WorkflowEngine } from '../engine/engine.ts'
import { answer } from './answer.ts'
import { problems } from './problem.ts'
import { nullable, ref } from './scalar.ts'
import { findWorkflow, WorkflowParams } from './workflows.ts'

const Count = Type.Integer({ minimum: 0 })
const Milliseconds = nullable(Type.Integer({ minimum: 0, description: 'ms; null while nothing was measured' }))

export const Statistics = Type.Object(
  {
    totalExecutions: Count,
    completedExecutions: Count,
    failedExecutions: Count,
    cancelledExecutions: Count,
    runningExecutions: Type.Integer({
      minimum: 0,
      description: 'Not finished yet: pending, running, waiting and paused',
    }),
    successRate: nullable(
      Type.Number({
        minimum: 0,
        maximum: 1,
        description: 'Share of the finished that completed; null while there is none',
      }),
    ),
    averageExecutionTimeMs: Milliseconds,
    p50Ms: Milliseconds,
    p95Ms: Milliseconds,
    p99Ms: Milliseconds,
    steps: Type.Array(
      Type.Object({
        id: Type.String({ examples: ['fetch-data'] }),
        executions: Count,
        failures: Count,
        retries: Count,
        averageMs: Milliseconds,
        p95Ms: Milliseconds,
      }),
    ),
  },
  {
    $id: 'Statistics',
    description:
      'Totals are by present status; durations, success rate and percentiles count every end. Percentiles come from a histogram and are a few per cent wide.',
    examples: [
      {
        totalExecutions: 120,
        completedExecutions: 110,
        failedExecutions: 6,
        cancelledExecutions: 1,
        runningExecutions: 3,
        successRate: 0.94,
        averageExecutionTimeMs: 412,
        p50Ms: 380,
        p95Ms: 940,
        p99Ms: 1310,
        steps: [{ id: 'fetch-data', executions: 117, failures: 4, retries: 9, averageMs: 120, p95Ms: 260 }],
      },
    ],
  },
)
export const statisticsSchemas = [Statistics]

const tags = ['Statistics']

/** Counts and durations, kept while executions run: no journal is scanned. */
export const statisticsRoutes: FastifyPluginAsyncTypebox<{ engine: WorkflowEngine }> = async (app, { engine }) => {
  app.get(
    '/api/workflows/statistics',
    {
      schema: {
        operationId: 'getStatistics',
        summary: 'Statistics over all workflows',
        tags,
        response: { 200: answer('The statistics', ref(Statistics)), ...problems() },
      },
    },
    () => engine.store.readStatistics(),
  )

  app.get(
    '/api/workflows/:workflowId/statistics',
    {
      schema: {
        operationId: 'getWorkflowStatistics',
        summary: 'Statistics of one workflow',
        tags,
        params: WorkflowParams,
        response: { 200: answer('The statistics', ref(Statistics)), ...problems('WORKFLOW_NOT_FOUND') },
      },
    },
    async (request) => {
      const { id } = await findWorkflow(engine, request.params.workflowId)
      return engine.store.readStatistics(id)
    },
  )
}

import { type Static, Type } from 'typebox'
import { executionStatuses, isFinished } from '../engine/core/state.ts'
import type { WorkflowEngine } from '../engine/engine.ts'
import { CairnError } from '../errors.ts'
import type { ExecutionSummary, ExecutionView } from '../repository/executions.ts'
import { rfc3339 } from '../stream/resource.ts'
import { ExecutionErrorSchema } from '../stream/schema.ts'
import { nullable, oneOf, ref, rfc3339OrNull, Timestamp, Uuid } from './scalar.ts'

export const Execution = Type.Object(
  {
    id: Uuid,
    workflowId: Uuid,
    workflowVersion: Type.Integer({ description: 'It stays on this version for life', examples: [1] }),
    status: oneOf(executionStatuses),
    requested: nullable(oneOf(['pause', 'cancel'], { description: 'Asked for, but not in effect yet' })),
    triggeredBy: nullable(Type.String({ examples: ['user-123'] })),
    correlationId: nullable(Type.String()),
    executionKey: nullable(Type.String({ description: 'The business key that it was started under' })),
    tags: Type.Array(Type.String()),
    priority: Type.Integer({ description: 'Higher ones are taken up first' }),
    input: Type.Optional(Type.Unknown({ description: 'Left out in lists, and when `fields` does not name it' })),
    output: Type.Optional(
      Type.Unknown({
        description: 'null until it is completed. Left out in lists, and when `fields` does not name it',
      }),
    ),
    error: nullable(ref(ExecutionErrorSchema)),
    percentage: Type.Integer({
      minimum: 0,
      maximum: 100,
      description: 'As of the newest event; 100 only when completed',
      examples: [66],
    }),
    currentStep: nullable(
      Type.Object(
        { id: Type.String({ examples: ['process-data'] }), path: Type.String({ examples: ['process-data'] }) },
        {
          description:
            'The step that the newest event is about. When it is about none (a pause, a resume), the one that progress calls current; in lists null then',
        },
      ),
    ),
    parentExecutionId: nullable(Uuid),
    lastSeq: Type.Integer({ description: 'seq of the newest event; 0 before the first' }),
    createdAt: Timestamp,
    startedAt: nullable(Timestamp),
    completedAt: nullable(Timestamp),
    updatedAt: Timestamp,
  },
  {
    $id: 'Execution',
    description: 'One run of one version of a workflow',
    examples: [
      {
        id: '0199f3a8-7c1e-7d3a-9b52-0c8e4f6a1d27',
        workflowId: '0199f3a7-11aa-7cc0-8f04-5b1f0f6a9e10',
        workflowVersion: 1,
        status: 'running',
        requested: null,
        triggeredBy: 'user-123',
        correlationId: 'order-4711',
        executionKey: null,
        tags: ['nightly'],
        priority: 0,
        input: { orderId: 4711 },
        output: null,
        error: null,
        percentage: 66,
        currentStep: { id: 'validate-data', path: 'validate-data' },
        parentExecutionId: null,
        lastSeq: 4,
        createdAt: '2026-11-22T21:48:05.125Z',
        startedAt: '2026-11-22T21:48:05.125Z',
        completedAt: null,
        updatedAt: '2026-11-22T21:48:05.131Z',
      },
    ],
  },
)
export type Execution = Static<typeof Execution>

export const executionSchemas = [ExecutionErrorSchema, Execution]

/** A list's item: without input and output, which may be large. */
export function executionSummary(execution: ExecutionSummary): Execution {
  return {
    id: execution.id,
    workflowId: execution.workflowId,
    workflowVersion: execution.workflowVersion,
    status: execution.status,
    requested: execution.requested,
    triggeredBy: execution.triggeredBy,
    correlationId: execution.correlationId,
    executionKey: execution.executionKey,
    tags: [...execution.tags],
    priority: execution.priority,
    error: execution.error,
    percentage: execution.percentage,
    currentStep: execution.path === null ? null : { id: stepIdOf(execution.path), path: execution.path },
    parentExecutionId: execution.parentExecutionId,
    lastSeq: execution.lastSeq,
    createdAt: rfc3339(execution.createdAt),
    startedAt: rfc3339OrNull(execution.startedAt),
    completedAt: rfc3339OrNull(execution.completedAt),
    updatedAt: rfc3339(execution.updatedAt),
  }
}

export const executionResource = (execution: ExecutionView): Execution => ({
  ...executionSummary(execution),
  input: execution.input,
  output: execution.output,
})

/** The execution as it is now; answers EXECUTION_NOT_FOUND when there is none. */
export async function readExecution(engine: WorkflowEngine, executionId: string): Promise<ExecutionView> {
  const execution = await engine.store.findExecutionView(executionId)
  if (!execution) throw new CairnError('EXECUTION_NOT_FOUND', [executionId])
  if (execution.path !== null || isFinished(execution.status)) return execution
  return { ...execution, path: await engine.currentPath(executionId) }
}

export const locationOfExecution = (id: string): string => `/api/workflows/executions/${id}`

/** The step whose instance stands at the path: `fan.b` → b, `each[3].charge` → charge. */
const stepIdOf = (path: string): string => path.slice(path.lastIndexOf('.') + 1).replace(/\[\d+\]$/, '')

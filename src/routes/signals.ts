import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { Json } from '../definition/json.ts'
import type { WorkflowEngine } from '../engine/engine.ts'
import { answer } from './answer.ts'
import { IdempotencyHeaders, markReplayed, replayAnswer } from './idempotency.ts'
import { bodyProblems, problems } from './problem.ts'
import { ref, text, Uuid } from './scalar.ts'

const SignalReceipt = Type.Object(
  { executionId: Uuid, name: Type.String({ examples: ['approved'] }) },
  { $id: 'SignalReceipt', description: 'The signal is durable' },
)
export const signalSchemas = [SignalReceipt]

/** Signals: facts from outside that an execution may wait for. */
export const signalRoutes: FastifyPluginAsyncTypebox<{ engine: WorkflowEngine }> = async (app, { engine }) => {
  app.post(
    '/api/workflows/executions/:executionId/signals/:name',
    {
      schema: {
        operationId: 'signalExecution',
        summary: 'Send a signal',
        description:
          'The body is its payload: any JSON, null when there is none. A signal is kept until a step takes it, also when it comes before the step waits. A finished execution only records it. When all steps that wait for that name have a schema, the payload must fit one of them.',
        tags: ['Signals'],
        params: Type.Object({
          executionId: Uuid,
          name: text(200, { minLength: 1, description: 'What the step waits for', examples: ['approved'] }),
        }),
        headers: IdempotencyHeaders,
        body: Type.Unsafe<Json>({ description: 'The payload, up to 1 MiB', examples: [{ by: 'ada@example.org' }] }),
        response: {
          202: answer('Taken', ref(SignalReceipt)),
          200: replayAnswer(ref(SignalReceipt)),
          ...problems(
            'EXECUTION_NOT_FOUND',
            'SIGNAL_INVALID',
            'PAYLOAD_TOO_LARGE',
            'SIGNALS_FULL',
            'IDEMPOTENCY_KEY_REUSED',
            'ENGINE_OVERLOADED',
            ...bodyProblems,
          ),
        },
      },
    },
    async (request, reply) => {
      const { executionId, name } = request.params
      const { replayed } = await engine.signal(executionId, name, request.body ?? null, {
        idempotencyKey: request.headers['idempotency-key'],
      })
      markReplayed(reply, replayed)
      return reply.code(replayed ? 200 : 202).send({ executionId, name })
    },
  )
}

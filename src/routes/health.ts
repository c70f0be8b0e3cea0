import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { WorkflowEngine } from '../engine/engine.ts'
import { answer } from './answer.ts'
import { problems } from './problem.ts'
import { oneOf, ref } from './scalar.ts'

const Health = Type.Object(
  {
    status: oneOf(['ok', 'unavailable']),
    reasons: Type.Array(Type.String(), {
      description: 'Why it is not ready; empty when it is',
      examples: [['PostgreSQL does not answer']],
    }),
  },
  { $id: 'Health' },
)
export const healthSchemas = [Health]

const tags = ['Service']

/** For whatever watches the process: restart it when it is not alive, send it no traffic when it is not ready. */
export const healthRoutes: FastifyPluginAsyncTypebox<{ engine: WorkflowEngine }> = async (app, { engine }) => {
  app.get(
    '/health/live',
    {
      schema: {
        operationId: 'getLiveness',
        summary: 'Does the process run?',
        tags,
        response: { 200: answer('It does', ref(Health)), ...problems() },
      },
    },
    async () => ({ status: 'ok' as const, reasons: [] }),
  )

  app.get(
    '/health/ready',
    {
      schema: {
        operationId: 'getReadiness',
        summary: 'Can this node take requests?',
        description: 'Not while the engine starts or stops, has lost its lease, or PostgreSQL does not answer.',
        tags,
        response: { ...problems(), 200: answer('It can', ref(Health)), 503: answer('It cannot', ref(Health)) },
      },
    },
    async (_request, reply) => {
      const reasons = app.isRetiring() ? ['the server is stopping'] : await engine.readiness()
      return reply
        .code(reasons.length === 0 ? 200 : 503)
        .send({ status: reasons.length === 0 ? 'ok' : 'unavailable', reasons })
    },
  )
}

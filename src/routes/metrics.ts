import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { CairnError } from '../errors.ts'
import { answer } from './answer.ts'
import { problems } from './problem.ts'

/** Answers a scrape by itself. */
export type MetricsHandler = (request: IncomingMessage, response: ServerResponse) => void

/** What Prometheus scrapes. */
export const metricsRoutes: FastifyPluginAsyncTypebox<{ metricsHandler: MetricsHandler | undefined }> = async (
  app,
  { metricsHandler },
) => {
  app.get(
    '/metrics',
    {
      schema: {
        operationId: 'getMetrics',
        summary: 'Metrics for Prometheus',
        tags: ['Service'],
        response: {
          200: answer('The metrics', Type.String(), { mediaType: 'text/plain' }),
          ...problems('ROUTE_NOT_FOUND'),
        },
      },
    },
    async (request, reply) => {
      if (!metricsHandler) throw new CairnError('ROUTE_NOT_FOUND', ['GET', '/metrics'])
      reply.hijack()
      for (const [name, value] of Object.entries(reply.getHeaders())) reply.raw.setHeader(name, value ?? '')
      metricsHandler(request.raw, reply.raw)
    },
  )
}

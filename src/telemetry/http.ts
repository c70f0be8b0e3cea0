import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import type { Metrics } from './metrics.ts'
import { activeTraceparent } from './trace-context.ts'

/**
 * Counts and times every answer, and has executions that a request starts go on in the request's own span. Register it
 * after the request ids, whose `traceparent` (the caller's) it narrows down to the server's span when traces are on.
 */
const telemetry: FastifyPluginAsync<{ readonly metrics: Metrics }> = async (app, { metrics }) => {
  app.addHook('onRequest', async (request) => {
    request.traceparent = activeTraceparent() ?? request.traceparent
  })
  app.addHook('onResponse', async (request, reply) => {
    metrics.answered(request.method, request.routeOptions.url ?? 'none', reply.statusCode, reply.elapsedTime)
  })
}

export const httpTelemetryPlugin = fp(telemetry, { name: 'http-telemetry', dependencies: ['request-ids'] })

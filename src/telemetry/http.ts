import { trace } from '@opentelemetry/api'
import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import type { Metrics } from './metrics.ts'
import { activeTraceparent } from './trace-context.ts'

/**
 * Counts and times every answer. When traces are on, it names the server's span after the route, and has executions go on in
 * that span: register it after the request ids, whose `traceparent` (the caller's) it replaces. (@fastify/otel would add a span
 * for each hook and handler, which says nothing that anybody asked.)
 */
const telemetry: FastifyPluginAsync<{ readonly metrics: Metrics }> = async (app, { metrics }) => {
  app.addHook('onRequest', async (request) => {
    const span = trace.getActiveSpan()
    if (span === undefined) return
    const route = request.routeOptions.url
    if (route !== undefined) span.updateName(`${request.method} ${route}`).setAttribute('http.route', route)
    request.traceparent = activeTraceparent() ?? request.traceparent
  })
  app.addHook('onResponse', async (request, reply) => {
    metrics.answered(request.method, request.routeOptions.url ?? 'none', reply.statusCode, reply.elapsedTime)
  })
}

export const httpTelemetryPlugin = fp(telemetry, { name: 'http-telemetry', dependencies: ['request-ids'] })

import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'

/** One line an answer: info where something was asked to change, debug for reads. Fastify's own two lines are off. */
const requestLog: FastifyPluginAsync = async (app) => {
  app.addHook('onResponse', async (request, reply) => {
    const line = {
      method: request.method,
      route: request.routeOptions.url ?? null,
      status: reply.statusCode,
      durationMs: Math.round(reply.elapsedTime * 10) / 10,
    }
    if (request.method === 'GET' || request.method === 'HEAD') request.log.debug(line, 'request answered')
    else request.log.info(line, 'request answered')
  })
}
export const requestLogPlugin = fp(requestLog, { name: 'request-log' })

import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'

/**
 * One line an answer: info where something was asked to change, debug for reads. One too where the client did not wait for it, of
 * which Fastify says nothing. Its own two lines are off.
 */
const requestLog: FastifyPluginAsync = async (app) => {
  app.addHook('onRequest', async (request, reply) => {
    reply.raw.once('close', () => {
      const isUnanswered = !reply.sent && !reply.raw.headersSent
      if (isUnanswered) request.log.info(factsOf(request, reply), 'the client did not wait for the answer')
    })
  })
  app.addHook('onResponse', async (request, reply) => {
    const line = { ...factsOf(request, reply), status: reply.statusCode }
    if (request.method === 'GET' || request.method === 'HEAD') request.log.debug(line, 'request answered')
    else request.log.info(line, 'request answered')
  })
}
export const requestLogPlugin = fp(requestLog, { name: 'request-log' })

const factsOf = ({ method, routeOptions }: FastifyRequest, { elapsedTime }: FastifyReply) => ({
  method,
  route: routeOptions.url ?? null,
  durationMs: Math.round(elapsedTime * 10) / 10,
})

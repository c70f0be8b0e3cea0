import type { FastifyPluginAsync, FastifyReply, FastifyRequest, RouteHandlerMethod } from 'fastify'
import fp from 'fastify-plugin'
import { CairnError } from '../errors.ts'

/**
 * No request waits for longer than `withinMs` (and than it asked for by `waitMs`) once its body was read: then it is answered with 503,
 * whatever it waits for. PostgreSQL is given up later, statement by statement, and what a transaction left locked later still. An
 * answer that has begun, as a stream has, may take as long as it needs. Register it before the routes.
 */
const timeLimit: FastifyPluginAsync<{ readonly withinMs: number }> = async (app, { withinMs }) => {
  app.addHook('onRoute', (route) => {
    const { preHandler } = route
    // Those of plugins take a callback as their third parameter.
    if (typeof preHandler === 'function' && preHandler.length < 3)
      route.preHandler = bounded(preHandler as RouteHandlerMethod) as typeof preHandler
    route.handler = bounded(route.handler)
  })

  function bounded(handle: RouteHandlerMethod): RouteHandlerMethod {
    return function (request, reply) {
      const answer = handle.call(this, request, reply)
      return answer instanceof Promise ? within(withinMs + waitMsOf(request), answer, request, reply) : answer
    }
  }
}
export const timeLimitPlugin = fp(timeLimit, { name: 'time-limit' })

async function within<T>(ms: number, answer: Promise<T>, request: FastifyRequest, reply: FastifyReply): Promise<T> {
  const { promise: overdue, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    if (reply.sent || reply.raw.headersSent) return
    answer.catch((err) => request.log.debug({ err }, 'what a request waited for has failed'))
    reject(new CairnError('DATABASE_UNAVAILABLE', [], { cause: new Error(`not answered within ${ms} ms`) }))
  }, ms)
  return Promise.race([answer, overdue]).finally(() => clearTimeout(timer))
}

const waitMsOf = ({ query }: FastifyRequest): number => (query as { waitMs?: number } | undefined)?.waitMs ?? 0

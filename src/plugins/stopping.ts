import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { CairnError } from '../errors.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Aborted when the server begins to close: long answers end then. */
    stopping: AbortSignal
  }
}

/** What is not answered by then is cut off: more than the 5 s that a control request waits for its effect. */
const CUT_OFF_MS = 6_000

/** While the server closes, new requests on connections that are still open get 503 and the connection ends. */
const stoppingServer: FastifyPluginAsync = async (app) => {
  const stopping = new AbortController()
  app.decorate('stopping', stopping.signal)
  app.addHook('preClose', async () => {
    stopping.abort()
    const cutOff = setTimeout(() => app.server.closeAllConnections(), CUT_OFF_MS)
    app.server.once('close', () => clearTimeout(cutOff))
  })

  app.addHook('onRequest', async (request, reply) => {
    if (!stopping.signal.aborted) return
    reply.header('connection', 'close')
    // Health speaks for itself: alive until the end, and not ready.
    if (!request.routeOptions.url?.startsWith('/health/')) throw new CairnError('ENGINE_STOPPING')
  })
}
export const stoppingPlugin = fp(stoppingServer, { name: 'stopping' })

import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { CairnError } from '../errors.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Aborted when no new request is taken any more: long answers end then. */
    stopping: AbortSignal
    /** True from `retire` on. */
    isRetiring(): boolean
    /**
     * Sends the clients elsewhere. For `graceMs`, in which balancers find out that this node is not ready, every request is
     * still answered, and each answer ends its connection. Then it resolves, and what still comes gets 503.
     */
    retire(graceMs: number): Promise<void>
  }
}

/*
 * How a server leaves without a failed request:
 *
 *   open ──retire──▶ retiring (not ready; all is answered) ──graceMs──▶ refusing (503; long answers end) ──close──▶ closed
 *     └──────────────────────────────────close──────────────────────────────▲
 *
 * /health/ speaks for itself until the socket closes: alive, and not ready.
 */

/** What is not answered this long after the close began is cut off: more than the 5 s that a control request waits. */
const CUT_OFF_MS = 6_000

const stoppingServer: FastifyPluginAsync = async (app) => {
  const stopping = new AbortController()
  let isRetiring = false
  app.decorate('stopping', stopping.signal)
  app.decorate('isRetiring', () => isRetiring)
  app.decorate('retire', async (graceMs: number) => {
    isRetiring = true
    await delay(graceMs, undefined, { signal: stopping.signal }).catch(() => {})
    stopping.abort()
  })
  stopping.signal.addEventListener('abort', () => void app.liveSockets.close())
  app.addHook('preClose', async () => {
    isRetiring = true
    stopping.abort()
    const cutOff = setTimeout(() => app.server.closeAllConnections(), CUT_OFF_MS)
    app.server.once('close', () => clearTimeout(cutOff))
  })

  app.addHook('onRequest', async (request) => {
    if (stopping.signal.aborted && !request.routeOptions.url?.startsWith('/health/'))
      throw new CairnError('ENGINE_STOPPING')
  })
  app.addHook('onSend', async (_request, reply) => {
    if (isRetiring) reply.header('connection', 'close')
  })
}
export const stoppingPlugin = fp(stoppingServer, { name: 'stopping', dependencies: ['websocket'] })

import websocket from '@fastify/websocket'
import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { INTERNAL_ERROR, LiveSockets } from '../stream/live-sockets.ts'
import { MAX_MESSAGE_BYTES } from '../stream/websocket.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Open WebSockets: whoever upgrades one adds it. */
    liveSockets: LiveSockets
  }
}

/**
 * WebSockets by routes with a `wsHandler`. Register it before all routes and all other hooks: an upgrade may be asked of any
 * address, and where nobody takes it, or a hook refuses it, the plugin's own hooks must end the connection with the answer.
 * A connection that stays behind would hold up the server's close for ever.
 */
const websockets: FastifyPluginAsync<{ keepAliveMs: number }> = async (app, { keepAliveMs }) => {
  const sockets = new LiveSockets(keepAliveMs)
  app.decorate('liveSockets', sockets)
  await app.register(websocket, {
    options: { maxPayload: MAX_MESSAGE_BYTES, perMessageDeflate: false },
    preClose: (done) => void sockets.close().then(() => done()),
    // A broken frame, a message that is too large: ws is closing the socket already, and the peer is to blame.
    errorHandler: (error, socket, request) => {
      request.log.debug({ err: error }, 'a socket broke')
      socket.close(INTERNAL_ERROR)
    },
  })
}
export const websocketPlugin = fp(websockets, { name: 'websocket' })

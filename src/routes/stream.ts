import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { WorkflowEngine } from '../engine/engine.ts'
import { CairnError } from '../errors.ts'
import { websocketPlugin } from '../plugins/websocket.ts'
import { EventStream } from '../stream/sse.ts'
import { type SocketContext, StreamSocket } from '../stream/websocket.ts'
import { WritePace } from '../stream/write-pace.ts'
import { answer } from './answer.ts'
import { ExecutionParams } from './executions.ts'
import { problems } from './problem.ts'

export interface StreamRoutesOptions {
  readonly engine: Pick<WorkflowEngine, 'feed' | 'store'>
  /** A peer that answers no ping for this long is dead; server-sent events say something as often. */
  readonly keepAliveMs?: number
}

const KEEP_ALIVE_MS = 30_000

const AfterQuery = Type.Object({
  after: Type.Optional(
    Type.Integer({
      minimum: 0,
      description: 'Sends the events after this seq first; by default those after the snapshot',
      examples: [17],
    }),
  ),
})

const tags = ['Streams']
const upgraded = { 101: { description: 'The messages that asyncapi.json describes', type: 'null' } }

/** Progress as it happens, by WebSocket and by server-sent events. */
export const streamRoutes: FastifyPluginAsyncTypebox<StreamRoutesOptions> = async (
  app,
  { engine, keepAliveMs = KEEP_ALIVE_MS },
) => {
  if (!app.hasDecorator('liveSockets')) await app.register(websocketPlugin, { keepAliveMs })
  const streams = new Set<EventStream>()
  // The engine has a feed and a store only once it has started: they are asked for when they are needed.
  const context: SocketContext = {
    get feed() {
      return engine.feed
    },
    workflowExists: async (workflowId) => (await engine.store.findWorkflow(workflowId)) !== null,
    log: app.log,
    pace: new WritePace(),
  }
  const requireExecution = async ({ params }: { params: unknown }): Promise<void> => {
    const { executionId } = params as { executionId: string }
    if ((await engine.store.findExecution(executionId)) === null)
      throw new CairnError('EXECUTION_NOT_FOUND', [executionId])
  }

  app.stopping.addEventListener('abort', () => {
    for (const stream of streams) stream.end()
  })

  app.route({
    method: 'GET',
    url: '/api/workflows/executions/:executionId/stream',
    schema: {
      operationId: 'streamExecution',
      summary: 'Follow an execution by WebSocket',
      description:
        'First its progress as a `snapshot`, then its events, live. A terminal event does not close the socket, since a retry or a ' +
        'rollback may follow. To go on after a lost connection, give the last seq seen as `after`.',
      tags,
      params: ExecutionParams,
      querystring: AfterQuery,
      response: { ...upgraded, ...problems('EXECUTION_NOT_FOUND', 'UPGRADE_REQUIRED') },
    },
    preHandler: requireExecution,
    handler: refuse,
    wsHandler: (socket, request) => {
      const { executionId } = request.params as { executionId: string }
      const { after } = request.query as { after?: number }
      app.liveSockets.add(socket)
      new StreamSocket(socket, request.raw.socket, context).follow(executionId, after)
    },
  })

  app.route({
    method: 'GET',
    url: '/api/stream',
    schema: {
      operationId: 'stream',
      summary: 'Follow many executions and workflows by one WebSocket',
      description:
        'Send `{"type":"subscribe","executionId":…,"after"?:…}` or `{"type":"subscribe","workflowId":…}`, `unsubscribe` with the same ' +
        'names, and `ping`. A bad message is answered by an `error` message; the socket stays open.',
      tags,
      response: { ...upgraded, ...problems('UPGRADE_REQUIRED') },
    },
    handler: refuse,
    wsHandler: (socket, request) => {
      app.liveSockets.add(socket)
      new StreamSocket(socket, request.raw.socket, context).listen()
    },
  })

  app.get(
    '/api/workflows/executions/:executionId/events/stream',
    {
      schema: {
        operationId: 'streamEvents',
        summary: 'Follow an execution by server-sent events',
        description:
          'The messages of the WebSocket, named by their `type`, with the seq as `id`. `Last-Event-ID` goes before `after`.',
        tags,
        params: ExecutionParams,
        querystring: AfterQuery,
        headers: Type.Object({
          'last-event-id': Type.Optional(
            Type.String({ pattern: '^\\d{1,15}$', description: 'Where a lost connection ended', examples: ['17'] }),
          ),
        }),
        response: {
          200: answer('The stream; it ends only with the service', Type.String(), { mediaType: 'text/event-stream' }),
          ...problems('EXECUTION_NOT_FOUND'),
        },
      },
      preHandler: requireExecution,
    },
    async (request, reply) => {
      const last = request.headers['last-event-id']
      const after = last === undefined ? request.query.after : Number(last)
      const stream = new EventStream(engine.feed, request.params.executionId, { after, heartbeatMs: keepAliveMs })
      streams.add(stream)
      stream.once('close', () => streams.delete(stream))
      reply.header('cache-control', 'no-store').header('x-accel-buffering', 'no').type('text/event-stream')
      return reply.send(stream)
    },
  )
}

const refuse = (): never => {
  throw new CairnError('UPGRADE_REQUIRED')
}

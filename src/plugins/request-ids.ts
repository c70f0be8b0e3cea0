import { randomUUID } from 'node:crypto'
import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { CairnError } from '../errors.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The caller's `x-correlation-id`: stored with what it starts, logged, sent on by http_request. */
    correlationId: string | null
    /** The caller's W3C trace context, when it is a valid one. */
    traceparent: string | undefined
  }
}

const MAX_LENGTH = 200
const traceparentPattern = /^[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/

/** For Fastify's genReqId: the caller's `x-request-id` when it is a sane one, otherwise a new one. */
export function requestIdOf({ headers }: { headers: Record<string, string | string[] | undefined> }): string {
  const id = headers['x-request-id']
  return typeof id === 'string' && /^[\w.:/+=@-]{1,128}$/.test(id) ? id : randomUUID()
}

/** Every answer carries `x-request-id`, and the `x-correlation-id` that came with the request. */
const requestIds: FastifyPluginAsync = async (app) => {
  app.decorateRequest('correlationId', null)
  app.decorateRequest('traceparent', undefined)

  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id)
    const { traceparent } = request.headers
    if (typeof traceparent === 'string' && traceparentPattern.test(traceparent)) request.traceparent = traceparent

    const correlationId = request.headers['x-correlation-id']
    if (typeof correlationId !== 'string' || correlationId === '') return
    if (correlationId.length > MAX_LENGTH) throw tooLong()
    request.correlationId = correlationId
    request.log = reply.log = request.log.child({ correlationId })
    reply.header('x-correlation-id', correlationId)
  })
}
export const requestIdsPlugin = fp(requestIds, { name: 'request-ids' })

const tooLong = (): CairnError =>
  new CairnError('REQUEST_INVALID', [], {
    faults: [{ pointer: '/x-correlation-id', message: `must not have more than ${MAX_LENGTH} characters` }],
  })

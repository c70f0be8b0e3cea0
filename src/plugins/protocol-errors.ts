import { randomUUID } from 'node:crypto'
import { maxHeaderSize, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance, FastifyPluginAsync, FastifyServerOptions } from 'fastify'
import fp from 'fastify-plugin'
import { CairnError } from '../errors.ts'
import { problemOf } from './errors.ts'
import { requestIdOf } from './request-ids.ts'

/*
 * What Node refuses before there is a request for Fastify, and would answer in words of its own or without any: these are problems
 * too, though no hook hears of them.
 */

/** For Fastify's `requestTimeout`: how long a request may take to arrive, ms. */
export const ARRIVES_WITHIN_MS = 30_000

type ClientError = Parameters<NonNullable<FastifyServerOptions['clientErrorHandler']>>[0]

/** For Fastify's `clientErrorHandler`: what arrives is no HTTP, too large or too slow. The connection ends with the answer. */
export function answerClientError(this: FastifyInstance, error: ClientError, socket: Socket): void {
  // Behind the answer to another request, of which some is on its way, one more would be taken for a piece of it.
  const { _httpMessage: begun } = socket as Socket & { _httpMessage?: { headersSent: boolean } | null }
  if (error.code === 'ECONNRESET' || !socket.writable || begun?.headersSent) return void socket.destroy()
  const { problem, headers, text } = written(this, expectedOf(error), '', randomUUID())
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
  socket.end(`HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}\r\n${lines.join('\r\n')}\r\n\r\n${text}`)
  socket.destroySoon()
}

const protocolErrors: FastifyPluginAsync = async (app) => {
  // Node answers 100-continue by itself.
  app.server.on('checkExpectation', (request, response) => {
    const error = new CairnError('EXPECTATION_FAILED', [request.headers.expect])
    const { problem, headers, text } = written(app, error, request.url!.split('?', 1)[0]!, requestIdOf(request))
    response.writeHead(problem.status, headers).end(text)
  })
  // Node's own check, of which it says nothing, is off.
  app.addHook('onRequest', async ({ raw, headers }) => {
    if (headers.host === undefined && raw.httpVersion === '1.1')
      throw new CairnError('HTTP_INVALID', ['Host is missing'])
  })
}
export const protocolErrorsPlugin = fp(protocolErrors, { name: 'protocol-errors' })

function expectedOf(error: ClientError & { reason?: string }): CairnError {
  switch (error.code) {
    case 'HPE_HEADER_OVERFLOW':
      return new CairnError('HEADERS_TOO_LARGE', [maxHeaderSize])
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new CairnError('REQUEST_TIMEOUT', [ARRIVES_WITHIN_MS / 1000])
    default:
      return new CairnError('HTTP_INVALID', [error.reason ?? error.message])
  }
}

function written({ log }: FastifyInstance, error: CairnError, instance: string, requestId: string) {
  const errorId = randomUUID()
  const problem = problemOf(error, errorId, { instance, correlationId: null })
  log.debug({ requestId, errorId, code: error.code, detail: error.message }, 'request refused')
  const text = JSON.stringify(problem)
  const headers = {
    'x-request-id': requestId,
    'content-type': 'application/problem+json',
    'content-length': Buffer.byteLength(text),
    connection: 'close',
  }
  return { problem, headers, text }
}

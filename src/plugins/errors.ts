import { randomUUID } from 'node:crypto'
import type { FastifyError, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { CairnError } from '../errors.ts'
import { isUnavailable } from '../repository/classify.ts'
import { type Problem, titleOf } from '../routes/problem.ts'
import { RouteMethods } from './route-methods.ts'

/** Faults beyond these are left out: a body of a megabyte can hold a hundred thousand. */
const MAX_FAULTS = 100

/** Every failure becomes RFC 9457 problem+json with one row of errors.ts; what is not expected says its error id and nothing else. */
const errorAnswers: FastifyPluginAsync = async (app) => {
  app.setErrorHandler((error: FastifyError, request, reply) => answerWith(error, request, reply))
  const routes = new RouteMethods()
  app.addHook('onRoute', (route) => routes.add(route))
  app.setNotFoundHandler((request, reply) => {
    const path = pathOf(request)
    const allowed = routes.of(path).join(', ')
    if (allowed === '') return answerWith(new CairnError('ROUTE_NOT_FOUND', [request.method, path]), request, reply)
    reply.header('allow', allowed)
    return answerWith(new CairnError('METHOD_NOT_ALLOWED', [path, allowed, request.method]), request, reply)
  })
}
export const errorsPlugin = fp(errorAnswers, { name: 'errors' })

/** Answers with the problem that stands for the error, and logs both under one id. */
export function answerWith(error: Error, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const errorId = randomUUID()
  const expected = expectedError(error, request)
  const place = { instance: pathOf(request), correlationId: request.correlationId ?? null }
  const problem = problemOf(expected ?? new CairnError('INTERNAL', [errorId]), errorId, place)
  const { code, status } = problem
  if (status === 503) request.log.info({ err: error, errorId, code }, 'request put off')
  else if (status >= 500) request.log.error({ err: error, errorId, code }, 'request failed')
  else request.log.debug({ errorId, code, detail: problem.detail }, 'request refused')
  if (status === 503 || status === 429) reply.header('retry-after', '1')
  return reply.code(status).type('application/problem+json').send(problem)
}

/** What is answered; `instance` is the request's path. */
export function problemOf(
  error: CairnError,
  errorId: string,
  { instance, correlationId }: Pick<Problem, 'instance' | 'correlationId'>,
): Problem {
  const { code, status, message, faults, details } = error
  return {
    type: `/docs/errors#${code}`,
    title: titleOf(code),
    status,
    detail: message,
    instance,
    code,
    ...(faults.length > 0 && { errors: faults.slice(0, MAX_FAULTS) }),
    errorId,
    correlationId,
    ...details,
  }
}

/** The row that an error stands for; undefined when nobody expected it. */
function expectedError(
  error: Error & { code?: unknown; limit?: number },
  request: FastifyRequest,
): CairnError | undefined {
  if (error instanceof CairnError) return error
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new CairnError('BODY_TOO_LARGE', [request.server.initialConfig.bodyLimit])
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new CairnError('MEDIA_TYPE_UNSUPPORTED', [request.headers['content-type'] ?? 'nothing'])
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return new CairnError('BODY_NOT_JSON', ['it is not as long as content-length says'])
    case 'FST_ERR_BAD_URL':
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return new CairnError('ROUTE_NOT_FOUND', [request.method, pathOf(request)])
  }
  return isUnavailable(error) ? new CairnError('DATABASE_UNAVAILABLE', [], { cause: error }) : undefined
}

const pathOf = (request: FastifyRequest): string => request.url.split('?', 1)[0]!

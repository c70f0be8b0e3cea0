import { Type } from 'typebox'
import type { Json, JsonObject } from '../../definition/json.ts'
import { pointerTo } from '../../definition/json-pointer.ts'
import type { Fault } from '../../definition/plan.ts'
import { isTemplate } from '../../definition/template.ts'
import { type ActionContext, ActionError } from './action.ts'
import { acceptEncoding, appendPairs, encodeBody } from './http-body.ts'
import type { HttpRequest } from './http-exchange.ts'

const strict = { additionalProperties: false } as const
const Scalar = Type.Union([Type.String(), Type.Number(), Type.Boolean(), Type.Null()])

/** The part of http_request's config that makes the request. */
export const RequestConfig = {
  url: Type.String({ minLength: 1, description: 'http:// or https://, without user and password' }),
  method: Type.Optional(
    Type.Enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'], { description: 'GET by default' }),
  ),
  headers: Type.Optional(Type.Record(Type.String(), Scalar, { description: 'null leaves a header out' })),
  query: Type.Optional(
    Type.Record(Type.String(), Type.Union([Scalar, Type.Array(Scalar)]), {
      description: "Added to the url's own query",
    }),
  ),
  body: Type.Optional(
    Type.Unknown({
      description: 'A string is sent as it is, an object as a form or as JSON by its content-type, all else as JSON',
    }),
  ),
  auth: Type.Optional(
    Type.Union([
      Type.Object({ type: Type.Literal('bearer'), token: Type.String() }, strict),
      Type.Object({ type: Type.Literal('basic'), username: Type.String(), password: Type.String() }, strict),
      Type.Object({ type: Type.Literal('header'), name: Type.String({ minLength: 1 }), value: Type.String() }, strict),
    ]),
  ),
}
const Request = Type.Object(RequestConfig)
type Request = Type.Static<typeof Request>

/** Methods that change nothing and need no Idempotency-Key (RFC 9110, 9.2.1). */
const safe = new Set(['GET', 'HEAD', 'OPTIONS'])

/** Headers that belong to the connection. With `host` a definition could ask an allowed server for another's pages. */
const reserved = /^(host|connection|content-length|expect|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade)$/

/** The request that a rendered config describes; throws ActionError ValidationError when it describes none. */
export function composeRequest(config: Request, context: ActionContext): HttpRequest {
  const method = config.method ?? 'GET'
  const url = parseUrl(config.url)
  if (config.query) appendPairs(url.searchParams, config.query)
  const given = headersOf(config.headers ?? {})
  if (config.auth) Object.assign(given, authorization(config.auth))
  const payload = config.body === undefined ? undefined : encodeBody(config.body as Json, given['content-type'])
  const headers: Record<string, string> = {
    accept: '*/*',
    'accept-encoding': acceptEncoding,
    'user-agent': 'cairn',
    ...(payload && { 'content-type': payload.contentType }),
    ...(!safe.has(method) && { 'idempotency-key': context.idempotencyKey }),
    ...tracingHeaders(context),
    ...given,
  }
  return { method, url, headers, body: payload?.text }
}

/** What tells the other side on whose behalf we ask. A correlation id that cannot stand in a header stays at home. */
export function tracingHeaders({ correlationId, traceparent }: ActionContext): Record<string, string> {
  return {
    ...(correlationId !== null && /^[\x21-\x7e]+$/.test(correlationId) && { 'x-correlation-id': correlationId }),
    ...(traceparent !== undefined && { traceparent }),
  }
}

function parseUrl(text: string): URL {
  const url = URL.parse(text)
  const fault = faultOfUrl(url)
  if (url === null || fault !== null) throw invalid('/url', fault!)
  return url
}

/** What keeps it from being asked; null when nothing does. */
function faultOfUrl(url: URL | null): string | null {
  if (!url) return 'is not an absolute URL'
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    return `begins with ${url.protocol}, not with http: or https:`
  return url.username || url.password ? 'holds a user or a password; use auth' : null
}

const reservedMessage = 'is set by Cairn and cannot be given'

/** What every attempt would be refused for, in a config as it was written: what holds no template stays as it is. */
export function faultsAsWritten({ url, headers }: JsonObject): Fault[] {
  const isLiteral = typeof url === 'string' && url !== '' && !isTemplate(url)
  const fault = isLiteral ? faultOfUrl(URL.parse(url.replaceAll('\\{{', '{{'))) : null
  const names =
    typeof headers === 'object' && headers !== null && !Array.isArray(headers) ? Object.entries(headers) : []
  const refused = names.filter(([name, value]) => value !== null && reserved.test(name.toLowerCase()))
  return [
    ...(fault === null ? [] : [{ pointer: '/url', message: fault }]),
    ...refused.map(([name]) => ({ pointer: pointerTo('/headers', name), message: reservedMessage })),
  ]
}

function headersOf(headers: NonNullable<Request['headers']>): Record<string, string> {
  const lowerCased: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value === null) continue
    const key = name.toLowerCase()
    if (reserved.test(key)) throw invalid(`/headers/${name}`, reservedMessage)
    lowerCased[key] = String(value)
  }
  return lowerCased
}

function authorization(auth: NonNullable<Request['auth']>): Record<string, string> {
  switch (auth.type) {
    case 'bearer':
      return { authorization: `Bearer ${auth.token}` }
    case 'basic':
      return { authorization: `Basic ${Buffer.from(`${auth.username}:${auth.password}`).toString('base64')}` }
    case 'header':
      return headersOf({ [auth.name]: auth.value })
  }
}

function invalid(pointer: string, message: string): ActionError {
  return new ActionError('ValidationError', `${pointer} ${message}`, { details: { faults: [{ pointer, message }] } })
}

import { Type } from 'typebox'
import type { Json, JsonObject } from '../../definition/json.ts'
import type { Secrets } from '../secrets.ts'
import { type Action, ActionError, type ActionResult, defineAction } from './action.ts'
import { BodyTooLarge, type Parse, parseBody, readBody, readExcerpt } from './http-body.ts'
import { gated, type HttpOptions, openConnections } from './http-connections.ts'
import { httpFailure, placeOf, statusFailure } from './http-errors.ts'
import { exchange, type HttpResponse } from './http-exchange.ts'
import { composeRequest, faultsAsWritten, RequestConfig } from './http-outgoing.ts'

const HttpConfig = Type.Object(
  {
    ...RequestConfig,
    expectedStatus: Type.Optional(
      Type.Array(Type.Union([Type.Integer({ minimum: 100, maximum: 599 }), Type.String({ pattern: '^[1-5]xx$' })]), {
        minItems: 1,
        description: 'Statuses that are a success, such as 404 or "2xx"; ["2xx"] by default',
      }),
    ),
    parse: Type.Optional(
      Type.Enum(['auto', 'json', 'text', 'base64'], {
        description: 'auto: JSON when the content type says so, else text',
      }),
    ),
    maxResponseBytes: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 67_108_864,
        description: 'After decompression; as much as one output may take by default',
      }),
    ),
    followRedirects: Type.Optional(Type.Integer({ minimum: 0, maximum: 20, description: '5 by default' })),
    idleTimeoutMs: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 2 ** 31 - 1,
        description: 'The longest silence of the server; 5 minutes by default',
      }),
    ),
  },
  { additionalProperties: false },
)
type HttpConfig = Type.Static<typeof HttpConfig>

/** Enough of an unwelcome answer to see what is wrong. */
const excerptCharacters = 2_000
/** Secrets are cut out of a longer piece first, so that none is halved by the cut and slips through. */
const excerptBytes = 65_536

interface HttpRequestOptions extends HttpOptions {
  readonly secrets: Secrets
  /** The largest body that is read when the step does not say. */
  readonly maxBytes: number
}

/** Sends one HTTP request. The output is the parsed body; `close()` ends the connections that it keeps. */
export function createHttpRequest(options: HttpRequestOptions): { action: Action; close(): Promise<void> } {
  const connections = openConnections(options)
  const action = defineAction({
    type: 'http_request',
    configSchema: HttpConfig,
    secretFields: ['/headers', '/query', '/auth', '/body'],
    conflicts: faultsAsWritten,
    target: ({ url }) => targetOf(url),
    async perform(config, context) {
      const startedAt = performance.now()
      const outgoing = composeRequest(config, context)
      const isExpected = statusTest(config.expectedStatus ?? ['2xx'])
      const gate = gated(connections, context.mayPerform)
      try {
        const response = await exchange(outgoing, {
          dispatcher: gate.dispatcher,
          signal: context.signal,
          followRedirects: config.followRedirects ?? 5,
          isExpected,
          idleTimeoutMs: config.idleTimeoutMs ?? 300_000,
        })
        if (!isExpected(response.statusCode)) throw await unexpected(response, options.secrets)
        return await resultOf(response, config, options, startedAt)
      } catch (error) {
        if (gate.refusal) throw gate.refusal.reason
        if (context.signal.aborted) throw context.signal.reason
        throw httpFailure(error, outgoing)
      }
    },
  })
  return { action, close: () => connections.destroy() }
}

/** The host, with its port where that is not the scheme's own. */
function targetOf(url: string): string | null {
  const host = URL.parse(url)?.host
  return host ? `http:${host}` : null
}

async function resultOf(
  response: HttpResponse,
  config: HttpConfig,
  options: HttpRequestOptions,
  startedAt: number,
): Promise<ActionResult> {
  const { statusCode: status, headers, body, request } = response
  const maxBytes = config.maxResponseBytes ?? options.maxBytes
  const bytes = await readBody(body, bodyless(response) ? {} : headers, maxBytes).catch((error) => {
    if (!(error instanceof BodyTooLarge)) throw error
    throw new ActionError('PayloadTooLarge', `${placeOf(response.request)} answered with more than ${maxBytes} bytes`, {
      details: { status },
    })
  })
  return {
    output: parsed(response, bytes, config.parse ?? 'auto', options.secrets),
    meta: {
      status,
      headers: headers as JsonObject,
      url: request.url.href,
      durationMs: Math.round(performance.now() - startedAt),
    },
  }
}

function parsed(response: HttpResponse, bytes: Buffer, parse: Parse, secrets: Secrets): Json {
  try {
    return parseBody(bytes, response.headers, parse)
  } catch {
    // The parser's own message quotes the text, secrets included.
    throw new ActionError(
      'HttpError',
      `${placeOf(response.request)} answered with a body that is not valid JSON, or nested too deeply`,
      {
        details: { status: response.statusCode, body: excerptOf(bytes.toString(), secrets) },
      },
    )
  }
}

async function unexpected(response: HttpResponse, secrets: Secrets): Promise<ActionError> {
  const text = await readExcerpt(response.body, bodyless(response) ? {} : response.headers, excerptBytes).catch(
    () => '',
  )
  return statusFailure(placeOf(response.request), response.statusCode, response.headers, excerptOf(text, secrets))
}

/** Such answers may carry a content-encoding that describes nothing. */
function bodyless({ request, statusCode }: HttpResponse): boolean {
  return request.method === 'HEAD' || statusCode === 204 || statusCode === 304
}

function excerptOf(text: string, secrets: Secrets): string {
  return secrets.redactText(text).slice(0, excerptCharacters)
}

function statusTest(expected: readonly (number | string)[]): (status: number) => boolean {
  return (status) => expected.some((rule) => rule === status || rule === `${Math.floor(status / 100)}xx`)
}

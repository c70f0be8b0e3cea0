import { type Dispatcher, request } from 'undici'

/** One request as it goes out; header names in lower case. */
export interface HttpRequest {
  readonly method: string
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
}

export interface HttpResponse extends Dispatcher.ResponseData {
  /** The request that it answers: the last one after redirects. */
  readonly request: HttpRequest
}

export interface ExchangeOptions {
  readonly dispatcher: Dispatcher
  readonly signal: AbortSignal
  /** How many redirects are followed; the answer to the last one is returned as it is. */
  readonly followRedirects: number
  /** Statuses that are an answer and not an instruction, even when they are redirects. */
  readonly isExpected: (status: number) => boolean
  /** ms without a byte from the server. */
  readonly idleTimeoutMs: number
}

const redirects = new Set([301, 302, 303, 307, 308])

export class TooManyRedirects extends Error {}

/** Sends a request and follows its redirects; throws what undici throws. */
export async function exchange(first: HttpRequest, options: ExchangeOptions): Promise<HttpResponse> {
  const { dispatcher, signal, idleTimeoutMs } = options
  let current = first
  for (let followed = 0; ; followed++) {
    const response = await request(current.url, {
      dispatcher,
      signal,
      method: current.method as Dispatcher.HttpMethod,
      headers: current.headers,
      body: current.body ?? null,
      headersTimeout: idleTimeoutMs,
      bodyTimeout: idleTimeoutMs,
    })
    const target = options.followRedirects > 0 ? redirectOf(response, current.url, options) : undefined
    if (!target) return { ...response, request: current, body: response.body }
    // The body of a redirect is of no interest; draining it keeps the connection.
    await response.body.dump({ limit: 16_384, signal })
    if (followed >= options.followRedirects)
      throw new TooManyRedirects(`More than ${options.followRedirects} redirects`)
    current = redirected(current, response.statusCode, target)
  }
}

/** Where the response sends us, if it does; what leads out of HTTP is left to the caller as a status like any other. */
function redirectOf(response: Dispatcher.ResponseData, base: URL, { isExpected }: ExchangeOptions): URL | undefined {
  const { location } = response.headers
  if (!redirects.has(response.statusCode) || isExpected(response.statusCode) || typeof location !== 'string') return
  const target = URL.parse(location, base.href)
  if (target?.protocol !== 'http:' && target?.protocol !== 'https:') return
  target.username = ''
  target.password = ''
  return target
}

/** Headers that say nothing about who asks, and may follow a redirect to another origin. */
const impersonal = /^(accept(-.*)?|content-type|user-agent|idempotency-key|x-correlation-id|traceparent)$/

/**
 * The request that a redirect asks for (RFC 9110, 15.4): 303 always, 301 and 302 after POST, turn into GET without a
 * body. To another origin nothing goes that could authorize: neither `auth` nor any header that the definition set.
 */
export function redirected({ method, url, headers, body }: HttpRequest, status: number, target: URL): HttpRequest {
  const toGet = method !== 'HEAD' && (status === 303 || (method === 'POST' && (status === 301 || status === 302)))
  const kept = Object.entries(headers).filter(
    ([name]) => (target.origin === url.origin || impersonal.test(name)) && !(toGet && name.startsWith('content-')),
  )
  return {
    method: toGet ? 'GET' : method,
    url: target,
    headers: Object.fromEntries(kept),
    body: toGet ? undefined : body,
  }
}

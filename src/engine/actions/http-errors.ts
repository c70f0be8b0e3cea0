import type { JsonObject } from '../../definition/json.ts'
import { ActionError } from './action.ts'
import { type HttpRequest, TooManyRedirects } from './http-exchange.ts'

type Headers = Readonly<Record<string, string | string[] | undefined>>

/** Whether the same request may well succeed after this status. */
export function isPassing(status: number): boolean {
  return status >= 500 || status === 408 || status === 425 || status === 429
}

/** The failure that a status stands for. `details.retryAfterMs` is what a 429 or 503 asks for. */
export function statusFailure(place: string, status: number, headers: Headers, body: string): ActionError {
  const wait = retryAfterMs(status, headers)
  const details: JsonObject = { status, body, ...(wait !== undefined && { retryAfterMs: wait }) }
  return new ActionError(typeOf(status), `${place} answered ${status}`, { details, retryable: isPassing(status) })
}

function typeOf(status: number): string {
  if (status >= 500) return 'Http5xx'
  return status >= 400 ? 'Http4xx' : 'HttpError'
}

/** Retry-After of a 429 or 503: a number of seconds or a date (RFC 9110, 10.2.3); ms from now, never negative. */
export function retryAfterMs(status: number, headers: Headers): number | undefined {
  if (status !== 429 && status !== 503) return undefined
  const text = String(headers['retry-after'] ?? '')
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1_000
  const date = Date.parse(text)
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now())
}

/** What undici, the system or a decompressor threw, as a failure of the step. ActionErrors pass. */
export function httpFailure(thrown: unknown, request: HttpRequest): unknown {
  if (thrown instanceof ActionError || !(thrown instanceof Error)) return thrown
  const fail = (type: string, message: string) =>
    new ActionError(type, `${placeOf(request)} ${message}`, { cause: thrown })
  if (thrown instanceof TooManyRedirects) return fail('HttpError', `was redirected too often: ${thrown.message}`)
  // The one error of undici that does not always have a code.
  const code = codeOf(thrown) || (thrown.name === 'HTTPParserError' ? 'HPE_' : '')
  if (code === '') return thrown
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT')
    return fail('TimeoutError', 'stayed silent for too long')
  if (code === 'UND_ERR_INVALID_ARG' || code === 'UND_ERR_NOT_SUPPORTED')
    return fail('ValidationError', `cannot be sent: ${thrown.message}`)
  if (unreadable.test(code)) return fail('HttpError', `answered with something that cannot be read: ${thrown.message}`)
  return fail('ConnectionError', `failed: ${thrown.message || code}`)
}

/** HTTP that llhttp refuses, headers without end, a body that does not decompress. */
const unreadable = /^(HPE_|UND_ERR_HEADERS_OVERFLOW|Z_|ERR__?BROTLI|ERR_BROTLI|ZSTD_|ERR_ZSTD|ERR_ZLIB)/

/** A request in messages. Without its query: that is where keys and personal data stand. */
export function placeOf({ method, url }: HttpRequest): string {
  return `${method} ${url.origin}${url.pathname}`
}

/** The system's, undici's or zlib's code; '' for an error without one. */
export function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : ''
}

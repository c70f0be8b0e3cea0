import { pipeline, type Readable, type Transform } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib'
import type { Json } from '../../definition/json.ts'

/** How a response's body becomes the step's output. */
export type Parse = 'auto' | 'json' | 'text' | 'base64'

type Headers = Readonly<Record<string, string | string[] | undefined>>

/** The body as it is sent, and the content type that goes with it unless the caller names one. */
export interface Payload {
  readonly text: string
  readonly contentType: string
}

/** A string goes as it is, an object as a form when its content type says so, anything else as JSON. */
export function encodeBody(body: Json, contentType: string | undefined): Payload {
  if (typeof body === 'string') return { text: body, contentType: 'text/plain; charset=utf-8' }
  if (contentType?.startsWith('application/x-www-form-urlencoded') && typeof body === 'object' && body !== null) {
    return { text: encodePairs(body), contentType }
  }
  return { text: JSON.stringify(body), contentType: 'application/json' }
}

function encodePairs(pairs: object): string {
  const form = new URLSearchParams()
  appendPairs(form, pairs)
  return form.toString()
}

/** Adds every member: a list as several pairs of the same name, null not at all, objects as JSON. */
export function appendPairs(target: URLSearchParams, pairs: object): void {
  for (const [name, value] of Object.entries(pairs)) {
    for (const item of Array.isArray(value) ? value : [value]) {
      if (item !== null && item !== undefined)
        target.append(name, typeof item === 'object' ? JSON.stringify(item) : String(item))
    }
  }
}

export class BodyTooLarge extends Error {}

const decoders: Readonly<Record<string, () => Transform>> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
  zstd: createZstdDecompress,
}

/** What the accept-encoding header says by default. */
export const acceptEncoding = 'gzip, deflate, br, zstd'

/**
 * Reads a body to its end, decompressed. Throws BodyTooLarge as soon as it has more than `maxBytes` decompressed bytes,
 * so that neither an endless answer nor a compressed bomb is held.
 */
export async function readBody(body: Readable, headers: Headers, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of decompressed(body, headers)) {
    bytes += chunk.length
    if (bytes > maxBytes) throw new BodyTooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks, bytes)
}

/** The beginning of a body, as text, for a message about it; what follows is not read. */
export async function readExcerpt(body: Readable, headers: Headers, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of decompressed(body, headers)) {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes >= maxBytes) break
  }
  return decode(Buffer.concat(chunks), headers)
}

function decompressed(body: Readable, headers: Headers): AsyncIterable<Buffer> {
  const encodings = String(headers['content-encoding'] ?? '')
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
  const stages = encodings.reverse().flatMap((name) => decoders[name]?.() ?? [])
  if (stages.length === 0 || stages.length !== encodings.length || headers['content-length'] === '0') return body
  // The errors of every stage come out of the last one; the callback has nothing to add.
  return pipeline([body, ...stages], () => {}) as unknown as Readable
}

/** The output of a step. Throws SyntaxError when it should be JSON and is not, or nested absurdly. An empty body is null, as a text ''. */
export function parseBody(bytes: Buffer, headers: Headers, parse: Parse): Json {
  if (parse === 'base64') return bytes.toString('base64')
  if (parse === 'text') return decode(bytes, headers)
  if (bytes.length === 0) return null
  if (parse !== 'json' && !isJson(headers)) return decode(bytes, headers)
  const value = JSON.parse(new TextDecoder().decode(bytes)) as Json
  if (isDeeperThan(maxDepth, value)) throw new SyntaxError(`nested more than ${maxDepth} deep`)
  return value
}

/** JSON.parse takes any depth, but whatever walks such a value afterwards runs out of stack. */
const maxDepth = 1_000

function isDeeperThan(levels: number, value: Json): boolean {
  let level = [value]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > levels) return true
    level = level.flatMap((item) => (typeof item === 'object' && item !== null ? Object.values(item) : []))
  }
  return false
}

function isJson(headers: Headers): boolean {
  return /^application\/(?:[^;]+\+)?json\s*(?:;|$)/i.test(contentTypeOf(headers))
}

function decode(bytes: Buffer, headers: Headers): string {
  const charset = /;\s*charset="?([^";\s]+)/i.exec(contentTypeOf(headers))?.[1] ?? 'utf-8'
  try {
    return new TextDecoder(charset).decode(bytes)
  } catch (error) {
    if (error instanceof RangeError) return new TextDecoder().decode(bytes) // a charset that nobody knows
    throw error
  }
}

function contentTypeOf(headers: Headers): string {
  return String(headers['content-type'] ?? '')
}

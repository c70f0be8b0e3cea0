import { isUtf8 } from 'node:buffer'
import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { pointerTo } from '../definition/json-pointer.ts'
import { CairnError, type Fault } from '../errors.ts'

/** Writing JSON needs stack for each level, here (some 5,000 levels) and in PostgreSQL: what can be read could not be stored. */
const MAX_DEPTH = 500

/** Reads JSON bodies. None at all is undefined, for the route's schema to judge: some take no body. */
const jsonBody: FastifyPluginAsync = async (app) => {
  // Fastify's own parser refuses __proto__ and constructor.prototype, which would become prototypes when objects are merged.
  const parse = app.getDefaultJsonParser('error', 'error')

  app.removeAllContentTypeParsers()
  app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (request, bytes, done) => {
    if (bytes.length === 0) return done(null, undefined)
    const { 'content-encoding': encoding = 'identity' } = request.headers
    if (encoding !== 'identity')
      return done(new CairnError('MEDIA_TYPE_UNSUPPORTED', [`compressed (content-encoding: ${encoding})`]))
    // Decoded all the same, each bad byte would become U+FFFD unseen.
    if (!isUtf8(bytes)) return done(new CairnError('BODY_NOT_JSON', ['it is not UTF-8']))
    const body = bytes.toString()
    return parse(request, body, (error, value) => {
      if (error) return done(new CairnError('BODY_NOT_JSON', [reasonOf(body)]))
      const faults = nestsTooDeeply(body) ? [tooDeep] : mayOverflow.test(body) ? overflows(value) : []
      if (faults.length > 0) done(new CairnError('REQUEST_INVALID', [], { faults }))
      else done(null, value)
    })
  })
}
export const jsonBodyPlugin = fp(jsonBody, { name: 'json-body' })

function reasonOf(body: string): string {
  try {
    JSON.parse(body)
    return 'the keys __proto__ and constructor.prototype are not taken'
  } catch (error) {
    return (error as Error).message
  }
}

/** Whether valid JSON has arrays and objects in each other beyond the limit. */
function nestsTooDeeply(json: string): boolean {
  if (json.length <= 2 * MAX_DEPTH) return false
  let depth = 0
  for (let index = 0; index < json.length; index++) {
    switch (json[index]) {
      case '"':
        index = endOfText(json, index)
        break
      case '[':
      case '{':
        if (++depth > MAX_DEPTH) return true
        break
      case ']':
      case '}':
        depth--
    }
  }
  return false
}

/** Where the text that begins at `index` ends: at the next quote that is not escaped. */
function endOfText(json: string, index: number): number {
  let end = index + 1
  while (json[end] !== '"') end += json[end] === '\\' ? 2 : 1
  return end
}

const tooDeep: Fault = { pointer: '', message: `nests deeper than ${MAX_DEPTH} levels` }

/** What a number beyond the largest has: an exponent of three digits, or very many before it. */
const mayOverflow = /e\+?\d{3}|\d{200}/i

/** Numbers that JSON.parse made Infinity of; JSON.stringify would make null of them, unseen. */
function overflows(value: unknown, pointer = ''): Fault[] {
  if (value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY)
    return [{ pointer, message: 'is beyond the largest number there is, 1.8e308; send it as text' }]
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, member]) => overflows(member, pointerTo(pointer, key)))
}

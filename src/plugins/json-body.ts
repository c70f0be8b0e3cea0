import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { CairnError } from '../errors.ts'

/** Writing JSON needs stack for each level, here (some 5,000 levels) and in PostgreSQL: what can be read could not be stored. */
const MAX_DEPTH = 500

/** Reads JSON bodies. None at all is undefined, for the route's schema to judge: some take no body. */
const jsonBody: FastifyPluginAsync = async (app) => {
  // Fastify's own parser refuses __proto__ and constructor.prototype, which would become prototypes when objects are merged.
  const parse = app.getDefaultJsonParser('error', 'error')

  app.removeAllContentTypeParsers()
  app.addContentTypeParser<string>('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body === '') return done(null, undefined)
    return parse(request, body, (error, value) => {
      if (error) done(new CairnError('BODY_NOT_JSON', [reasonOf(body)]))
      else if (nestsTooDeeply(body)) done(tooDeep())
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

const tooDeep = (): CairnError =>
  new CairnError('REQUEST_INVALID', [], { faults: [{ pointer: '', message: `nests deeper than ${MAX_DEPTH} levels` }] })

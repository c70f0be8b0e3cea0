import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { CairnError } from '../errors.ts'

/** Reads JSON bodies. None at all is undefined, for the route's schema to judge: some take no body. */
const jsonBody: FastifyPluginAsync = async (app) => {
  // Fastify's own parser refuses __proto__ and constructor.prototype, which would become prototypes when objects are merged.
  const parse = app.getDefaultJsonParser('error', 'error')

  app.removeAllContentTypeParsers()
  app.addContentTypeParser<string>(/^application\/([\w.-]+\+)?json$/, { parseAs: 'string' }, (request, body, done) => {
    if (body === '') return done(null, undefined)
    return parse(request, body, (error, value) => {
      if (error) done(new CairnError('BODY_NOT_JSON', [reasonOf(body)]))
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

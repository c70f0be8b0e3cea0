import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { languageSchema } from '../definition/json-schema.ts'
import { type ErrorCode, errors } from '../errors.ts'
import { titleOf } from '../routes/problem.ts'

const description = `Durable workflow orchestration over PostgreSQL: JSON definitions in, live progress out, nothing lost.

Lists answer \`{items, nextCursor}\`. Times are RFC 3339 in UTC, durations milliseconds. Failures are RFC 9457 problem details with a
\`code\`. Every answer carries \`x-request-id\`; an \`x-correlation-id\` is taken over, stored with the execution and answered. An
\`Idempotency-Key\` makes the repeat of any POST or PATCH harmless.`

const tags = [
  { name: 'Workflows', description: 'Named definitions' },
  { name: 'Versions', description: 'Every change of a definition is a new, immutable version' },
  { name: 'Executions', description: 'Runs of a workflow' },
  { name: 'Control', description: 'Pause, resume, cancel, retry, roll back' },
  { name: 'Progress', description: 'How far an execution has come, and its journal' },
  { name: 'Checkpoints', description: 'Where an execution can be rolled back to' },
  { name: 'Signals', description: 'Facts from outside that an execution waits for' },
  {
    name: 'Streams',
    description: 'Progress as it happens, by WebSocket and server-sent events; /asyncapi.json describes the messages',
  },
  { name: 'Statistics', description: 'Counts and durations' },
  { name: 'Circuit breakers', description: 'Which targets are called, which are not, and who says so' },
  { name: 'Rate limits', description: 'How many calls of a key may begin, and when the next one does' },
  { name: 'Service', description: 'Health and metrics' },
]

/** OpenAPI 3.1 from the schemas of the routes at /openapi.json, AsyncAPI 3 of the streams at /asyncapi.json, the language's JSON Schema at /schema/workflow.json, a page to read and try it at /docs, the errors at /docs/errors. */
const openapi: FastifyPluginAsync<{ version: string; asyncapi: object }> = async (app, { version, asyncapi }) => {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Cairn', version, description, license: { name: 'MIT', identifier: 'MIT' } },
      servers: [{ url: '/', description: 'This service' }],
      tags,
      security: [],
    },
    convertConstToEnum: false,
    transformObject: (document) =>
      'openapiObject' in document ? clientFriendly(document.openapiObject) : document.swaggerObject,
    refResolver: { buildLocalReference: (json, _baseUri, _fragment, index) => String(json.$id ?? `def-${index}`) },
  })
  await app.register(swaggerUi, { routePrefix: '/docs', uiConfig: { docExpansion: 'list', deepLinking: true } })

  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger())
  app.get('/asyncapi.json', { schema: { hide: true } }, async () => asyncapi)
  app.get('/schema/workflow.json', { schema: { hide: true } }, async (_request, reply) =>
    reply.type('application/schema+json').send(languageSchema()),
  )
  app.get('/docs/errors', { schema: { hide: true } }, async (_request, reply) =>
    reply.type('text/html; charset=utf-8').send(errorPage),
  )
}
export const openapiPlugin = fp(openapi, { name: 'openapi' })

/**
 * Says the same in the way that generators of clients understand: a field with a `default` they take for one that must be sent,
 * and an object of which nothing is said for an empty one.
 */
function clientFriendly<T>(schema: T): T {
  if (Array.isArray(schema)) return schema.map(clientFriendly) as T
  if (typeof schema !== 'object' || schema === null) return schema
  const { default: byDefault, ...rest } = schema as Record<string, unknown>
  const friendly: Record<string, unknown> = Object.fromEntries(
    Object.entries(rest).map(([key, value]) => [
      key,
      key === 'properties' ? friendlyMembers(value) : clientFriendly(value),
    ]),
  )
  if (byDefault !== undefined)
    friendly.description = `${rest.description ?? 'Optional'} (by default ${JSON.stringify(byDefault)})`
  const isObject = rest.type === 'object' || (Array.isArray(rest.type) && rest.type.includes('object'))
  if (isObject && !rest.properties) friendly.additionalProperties ??= true
  return friendly as T
}

/** The names in there are a schema's own, whatever they are called. */
const friendlyMembers = (members: unknown): object =>
  Object.fromEntries(Object.entries(members as object).map(([name, schema]) => [name, clientFriendly(schema)]))

/** Where the `type` of a problem leads to. */
const errorPage = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Cairn: errors</title>
<style>body{font:16px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}dt{font-weight:600;margin-top:1rem}dt:target{background:#ff9}</style>
<h1>Errors</h1><p>Every failure is RFC 9457 problem+json; its <code>code</code> is one of these.</p><dl>
${(Object.keys(errors) as ErrorCode[]).map(errorEntry).join('\n')}
</dl></html>`

function errorEntry(code: ErrorCode): string {
  const [message, status] = errors[code]
  const text = message.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('%s', '…')
  return `<dt id="${code}">${code} · ${status} · ${titleOf(code)}</dt><dd>${text}</dd>`
}

import { readFileSync } from 'node:fs'
import t from 'tap'
import { buildApp } from '../../src/app.ts'
import { WorkflowEngine } from '../../src/engine/engine.ts'
import { type ErrorCode, errors } from '../../src/errors.ts'

const app = buildApp({ engine: new WorkflowEngine() })
const routes: { method: string; url: string }[] = []
app.addHook('onRoute', ({ method, url }) => {
  for (const one of [method].flat())
    if (one !== 'HEAD') routes.push({ method: one, url: url.replace(/:(\w+)/g, '{$1}') })
})
t.teardown(() => app.close())
await app.ready()
const { body } = await app.inject('/openapi.json')
const document = JSON.parse(body)

interface Operation {
  readonly operationId: string
  readonly summary: string
  readonly tags: string[]
  readonly parameters?: { readonly name: string }[]
  readonly responses: Record<string, { readonly content?: Record<string, unknown> } | undefined>
}
const operations = Object.entries(document.paths as Record<string, Record<string, Operation>>).flatMap(
  ([url, methods]) => Object.entries(methods).map(([method, operation]) => ({ url, method, operation })),
)

t.test('openapi/openapi.json is what the service answers with', async (t) => {
  const file = JSON.parse(readFileSync(new URL('../../openapi/openapi.json', import.meta.url), 'utf8'))
  t.strictSame(document, file, 'run `npm run openapi` and commit it')
})

t.test('every route of the service is described, but those that describe it', async (t) => {
  const described = new Set(operations.map(({ url, method }) => `${method.toUpperCase()} ${url}`))
  const hidden = /^\/(docs|openapi\.json|asyncapi\.json|schema\/)/
  t.same(
    routes.filter(({ url }) => !hidden.test(url)).filter(({ method, url }) => !described.has(`${method} ${url}`)),
    [],
  )
  t.ok(described.size >= 25)
})

t.test('every operation has an id of its own, a tag, a summary and problems', async (t) => {
  const ids = operations.map(({ operation }) => operation.operationId)
  t.equal(new Set(ids).size, ids.length)
  for (const { url, method, operation } of operations) {
    t.ok(operation.operationId && operation.summary && operation.tags, `${method} ${url}`)
    t.ok(operation.responses[422]?.content?.['application/problem+json'], `${method} ${url} answers with problems`)
  }
})

t.test('every POST and PATCH takes an Idempotency-Key', async (t) => {
  for (const { url, method, operation } of operations) {
    if (method !== 'post' && method !== 'patch') continue
    const names = operation.parameters?.map(({ name }) => name) ?? []
    t.ok(names.includes('idempotency-key'), `${method} ${url}`)
  }
})

t.test('every error is named by a route that may answer with it', async (t) => {
  const named = new Set(body.match(/[A-Z]+(?:_[A-Z]+)+|INTERNAL/g))
  const unnamed = (Object.keys(errors) as ErrorCode[]).filter((code) => !named.has(code))
  // Answered where there is no route yet, or none at all; the last is said on a socket.
  const early = ['HTTP_INVALID', 'HEADERS_TOO_LARGE', 'EXPECTATION_FAILED', 'REQUEST_TIMEOUT']
  t.same(unnamed, [...early, 'METHOD_NOT_ALLOWED', 'SUBSCRIPTIONS_FULL'])
})

t.test('every reference leads somewhere', async (t) => {
  const names = [...body.matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map(([, name]) => name!)
  t.same(
    names.filter((name) => !(name in document.components.schemas)),
    [],
  )
  t.notMatch(body, /"\$ref":"(?!#)/)
})

import { readFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { executionStatuses } from '../../src/engine/core/state.ts'
import { errors } from '../../src/errors.ts'
import { asyncapiDocument } from '../../src/stream/asyncapi.ts'
import { clientMessages, serverMessages } from '../../src/stream/schema.ts'

interface Document {
  readonly channels: Record<
    string,
    { readonly address: string; readonly messages: Record<string, { readonly $ref: string }> }
  >
  readonly operations: Record<
    string,
    { readonly action: string; readonly messages: readonly { readonly $ref: string }[] }
  >
  readonly components: { readonly messages: Record<string, object>; readonly schemas: Record<string, object> }
}

const document = asyncapiDocument() as Document

t.test('the committed document is the one that the service would write now', async (t) => {
  const committed = await readFile(path.join(import.meta.dirname, '../../openapi/asyncapi.json'), 'utf8')
  t.same(JSON.parse(committed), document, 'run npm run openapi')
})

t.test('every message and channel is described, and nothing else', async (t) => {
  t.same(
    Object.keys(document.components.messages).sort(),
    [...Object.keys(serverMessages), ...Object.keys(clientMessages)].sort(),
  )
  t.same(
    Object.values(document.channels).map(({ address }) => address),
    [
      '/api/workflows/executions/{executionId}/stream',
      '/api/stream',
      '/api/workflows/executions/{executionId}/events/stream',
    ],
  )
})

t.test('every reference leads somewhere', async (t) => {
  const references = new Set<string>()
  JSON.stringify(document, (key, value: unknown) => {
    if (key === '$ref') references.add(String(value))
    return value
  })
  for (const reference of references) {
    const target = reference
      .slice(2)
      .split('/')
      .reduce<unknown>((node, key) => (node as Record<string, unknown> | undefined)?.[key], document)
    t.type(target, 'object', reference)
  }
})

t.test('an error message may carry any code, an execution message any status', async (t) => {
  t.match(document.components.messages, {
    error: { payload: { properties: { code: { enum: Object.keys(errors) } } } },
    execution: { payload: { properties: { status: { enum: [...executionStatuses] } } } },
  })
})

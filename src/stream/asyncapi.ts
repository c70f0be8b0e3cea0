import type { TSchema } from 'typebox'
import { clientMessages, messageComponents, serverMessages } from './schema.ts'

type Direction = 'send' | 'receive'
interface Channel {
  readonly address: string
  readonly title: string
  readonly description: string
  readonly parameters?: Record<string, object>
  readonly query?: Record<string, object>
  /** As the service sees it. */
  readonly send: readonly (keyof typeof serverMessages)[]
  readonly receive: readonly (keyof typeof clientMessages)[]
  readonly protocol: 'ws' | 'http'
}

const executionId = { description: 'The execution that is followed' }
const after = {
  type: 'integer',
  minimum: 0,
  description: 'Events after this seq are sent, stored ones first; by default those after the snapshot’s.',
}
const ofExecution = ['snapshot', 'event', 'stepStarted', 'lagged'] as const

const channels: Record<string, Channel> = {
  executionStream: {
    address: '/api/workflows/executions/{executionId}/stream',
    title: 'One execution',
    description:
      'A WebSocket that follows one execution. A terminal event does not end it, since a retry or rollback may follow: the ' +
      'client closes. It is closed with 1012 when the service stops and with 1011 on an internal error; connect again with ' +
      '`after` set to the last seq seen. Peers that answer no ping for 30 s are cut off.',
    parameters: { executionId },
    query: { after },
    send: [...ofExecution, 'pong', 'error'],
    receive: ['ping'],
    protocol: 'ws',
  },
  stream: {
    address: '/api/stream',
    title: 'Many executions and workflows',
    description:
      'A WebSocket with up to 1,000 subscriptions. What cannot be understood or served is answered by an `error` message; the ' +
      'socket stays open. Messages larger than 16 KiB close it with 1009.',
    send: [...ofExecution, 'execution', 'workflowLagged', 'subscribed', 'unsubscribed', 'pong', 'error'],
    receive: ['subscribe', 'unsubscribe', 'ping'],
    protocol: 'ws',
  },
  serverSentEvents: {
    address: '/api/workflows/executions/{executionId}/events/stream',
    title: 'One execution as server-sent events',
    description:
      'The messages of one execution as server-sent events, named by their `type`; `id` is the seq, so that a client that ' +
      'connects again with Last-Event-ID goes on where it was. Ends when the service stops.',
    parameters: { executionId },
    query: { after },
    send: ofExecution,
    receive: [],
    protocol: 'http',
  },
}

/** The streams as an AsyncAPI 3.0 document, from the schemas that the service itself uses. */
export function asyncapiDocument(version = '0.1.0'): object {
  const messages = { ...serverMessages, ...clientMessages }
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Cairn streams',
      version,
      description:
        'Progress as it happens. Only committed events are sent; within a subscription there is no gap and no repeat.',
      license: { name: 'MIT', url: 'https://spdx.org/licenses/MIT.html' },
    },
    defaultContentType: 'application/json',
    servers: {
      local: { host: '127.0.0.1:3000', protocol: 'ws', description: 'Where `npm start` listens' },
      localHttp: { host: '127.0.0.1:3000', protocol: 'http', description: 'The same for server-sent events' },
    },
    channels: mapValues(channels, channelOf),
    operations: Object.fromEntries(Object.entries(channels).flatMap(([name, channel]) => operationsOf(name, channel))),
    components: {
      messages: mapValues(messages, (schema, name) => messageOf(name, schema)),
      schemas: Object.fromEntries(messageComponents.map((schema) => [idOf(schema), plain(schema)])),
    },
  }
}

function channelOf({ address, title, description, parameters, query, send, receive, protocol }: Channel): object {
  const bindings =
    query && protocol === 'ws' ? { ws: { method: 'GET', query: { type: 'object', properties: query } } } : undefined
  return {
    address,
    title,
    description,
    servers: [{ $ref: `#/servers/${protocol === 'ws' ? 'local' : 'localHttp'}` }],
    messages: Object.fromEntries(
      [...send, ...receive].map((name) => [name, { $ref: `#/components/messages/${name}` }]),
    ),
    ...(parameters && { parameters }),
    ...(bindings && { bindings }),
  }
}

function operationsOf(name: string, channel: Channel): [string, object][] {
  const operation = (action: Direction): [string, object] => [
    `${action}${name[0]!.toUpperCase()}${name.slice(1)}`,
    {
      action,
      title: action === 'send' ? `Hear: ${channel.title}` : `Ask: ${channel.title}`,
      channel: { $ref: `#/channels/${name}` },
      security: [],
      messages: channel[action].map((message) => ({ $ref: `#/channels/${name}/messages/${message}` })),
    },
  ]
  return channel.receive.length > 0 ? [operation('send'), operation('receive')] : [operation('send')]
}

function messageOf(name: string, schema: TSchema): object {
  const { description, ...payload } = plain(schema) as { description?: string; properties: { type: { const: string } } }
  return { name: payload.properties.type.const, title: name, summary: description, payload }
}

const idOf = (schema: TSchema): string => (schema as { $id?: string }).$id!

/** Plain JSON Schema: `$id`s become places among the components, and references lead there. */
function plain(schema: TSchema): object {
  const text = JSON.stringify(schema, (key, value: unknown) => {
    if (key === '$id') return undefined
    if (key === '$ref' && typeof value === 'string') return `#/components/schemas/${value.replace(/#$/, '')}`
    return value
  })
  return JSON.parse(text) as object
}

const mapValues = <A, B>(record: Record<string, A>, map: (value: A, key: string) => B): Record<string, B> =>
  Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value, key)]))

import type { AddressInfo } from 'node:net'
import { Ajv2020 } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import Fastify, { type FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { WebSocket } from 'ws'
import type { Plan } from '../../src/definition/plan.ts'
import type { Feed, FeedOptions } from '../../src/engine/feed.ts'
import { errorsPlugin } from '../../src/plugins/errors.ts'
import { requestIdsPlugin } from '../../src/plugins/request-ids.ts'
import { stoppingPlugin } from '../../src/plugins/stopping.ts'
import { validationPlugin } from '../../src/plugins/validation.ts'
import { websocketPlugin } from '../../src/plugins/websocket.ts'
import { type StreamRoutesOptions, streamRoutes } from '../../src/routes/stream.ts'
import { asyncapiDocument } from '../../src/stream/asyncapi.ts'
import { Heard, openFeed, openRecorder, type Recorder } from '../engine/recorder.ts'

// biome-ignore lint/suspicious/noExplicitAny: tests look into messages that AsyncAPI has checked
export type Message = any

export interface StreamServer {
  readonly app: FastifyInstance
  readonly recorder: Recorder
  readonly feed: Feed
  readonly url: string
  /** Opens a WebSocket; every message is held against the AsyncAPI document. */
  connect(path: string, options?: { autoPong?: boolean }): Client
}

export class Client extends Heard<Message> {
  readonly socket: WebSocket
  readonly opened: Promise<void>
  readonly closed: Promise<{ code: number; reason: string }>

  constructor(socket: WebSocket, check: (message: Message) => void) {
    super()
    this.socket = socket
    this.opened = new Promise((resolve, reject) => {
      socket.once('open', resolve)
      socket.once('error', reject)
    })
    this.opened.catch(() => {})
    this.closed = new Promise((resolve) =>
      socket.once('close', (code, reason) => resolve({ code, reason: String(reason) })),
    )
    socket.on('message', (data) => {
      const message = JSON.parse(String(data))
      check(message)
      this.listener(message)
    })
  }

  send(message: unknown): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message))
  }

  get seqs(): number[] {
    return this.messages.filter(({ type }) => type === 'event').map(({ seq }) => seq)
  }
}

/** The stream routes over a real feed on a real database, listening on loopback; the journal is written by hand. */
export async function startStreams(
  t: Test,
  options: {
    plan?: Plan
    keepAliveMs?: number
    feed?: Partial<FeedOptions>
    findWorkflow?: (id: string) => Promise<unknown>
  } = {},
): Promise<StreamServer> {
  const recorder = await openRecorder(t, options.plan)
  const feed = openFeed(t, recorder, options.feed)
  const findWorkflow = options.findWorkflow ?? (async (id: string) => (id === recorder.workflowId ? {} : null))
  const engine = { feed, store: { ...recorder.store, findWorkflow } } as unknown as StreamRoutesOptions['engine']
  const keepAliveMs = options.keepAliveMs ?? 30_000

  const app = Fastify()
  t.teardown(() => app.close())
  app.register(websocketPlugin, { keepAliveMs })
  app.register(requestIdsPlugin)
  app.register(errorsPlugin)
  app.register(stoppingPlugin)
  app.register(validationPlugin)
  app.setSerializerCompiler(() => (value) => JSON.stringify(value))
  app.register(streamRoutes, { engine, keepAliveMs })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo

  const check = messageCheck(t)
  return {
    app,
    recorder,
    feed,
    url: `http://127.0.0.1:${port}`,
    connect(path, { autoPong = true } = {}) {
      const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, { autoPong, perMessageDeflate: false })
      t.teardown(() => socket.terminate())
      return new Client(socket, check)
    },
  }
}

/** Fails the test when a message is none of those that the document describes. */
function messageCheck(t: Test): (message: Message) => void {
  const ajv = new Ajv2020({ strict: false })
  formats.default(ajv)
  const document = asyncapiDocument() as { components: { messages: Record<string, { name: string }> } }
  ajv.addSchema(document, 'asyncapi')
  const checks = Object.entries(document.components.messages).map(([key, { name }]) => ({
    name,
    isValid: ajv.compile({ $ref: `asyncapi#/components/messages/${key}/payload` }),
  }))
  return (message) => {
    if (checks.some(({ name, isValid }) => name === message.type && isValid(message))) return
    t.fail(`not in asyncapi.json: ${JSON.stringify(message).slice(0, 500)}`)
  }
}

import type { Writable } from 'node:stream'
import type { RawData, WebSocket } from 'ws'
import type { Feed } from '../engine/feed.ts'
import type { Log } from '../engine/log.ts'
import type { StreamMessage, Subscription } from '../engine/stream-message.ts'
import { CairnError } from '../errors.ts'
import { INTERNAL_ERROR, SERVICE_RESTART } from './live-sockets.ts'
import { decode, frameOf, type Reply, replyFrame } from './protocol.ts'
import type { ClientMessage } from './schema.ts'
import type { WritePace } from './write-pace.ts'

export interface SocketContext {
  readonly feed: Pick<Feed, 'subscribe' | 'subscribeWorkflow'>
  readonly workflowExists: (workflowId: string) => Promise<boolean>
  readonly log: Pick<Log, 'error'>
  readonly pace: Pick<WritePace, 'soon'>
}

type Connection = Pick<Writable, 'cork' | 'uncork' | 'write' | 'writableLength'>

/** A client's messages are small. */
export const MAX_MESSAGE_BYTES = 16 * 1024
export const MAX_SUBSCRIPTIONS = 1_000
/** Bytes that may wait in a socket: at the upper mark its subscriptions rest, at the lower one they go on. */
const HIGH_WATER = 256 * 1024
const LOW_WATER = 64 * 1024

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/**
 * One WebSocket and what it follows. The socket's own buffer is the only one: while it is full the feed holds back, and
 * nothing more is read from the client either, so that its questions cannot pile up answers.
 */
export class StreamSocket {
  readonly #socket: WebSocket
  readonly #connection: Connection
  readonly #context: SocketContext
  readonly #subscriptions = new Map<string, Subscription>()
  /** Subscriptions that found the buffer full, longest waiting first. */
  readonly #resting = new Set<string>()
  /** Who is asked for, until it is known whether there is such a workflow. */
  readonly #asked = new Set<string>()
  /** It stands for one subscription and ends with it. */
  #isSingle = false
  #isCorked = false
  #awaitsTurn = false

  /** `connection`: the one below the socket. */
  constructor(socket: WebSocket, connection: Connection, context: SocketContext) {
    this.#socket = socket
    this.#connection = connection
    this.#context = context
    socket.on('close', () => this.#end())
    // The answer is corked in already, and shall not wait: `ws` cuts off who has 60 of them outstanding.
    socket.on('ping', this.#uncork)
  }

  /** Follows one execution for as long as the socket is open. */
  follow(executionId: string, after: number | undefined): void {
    this.#isSingle = true
    this.#socket.on('message', (data) => {
      this.#receive(data, () => {
        const hint = 'this socket follows one execution; /api/stream takes subscriptions'
        throw new CairnError('REQUEST_INVALID', [], { faults: [{ pointer: '/type', message: hint }] })
      })
    })
    this.#subscribeExecution(executionId, after)
  }

  /** Takes subscriptions. */
  listen(): void {
    this.#socket.on('message', (data) => this.#receive(data, (message) => this.#carryOut(message)))
  }

  #receive(data: RawData, carryOut: (message: Exclude<ClientMessage, { type: 'ping' }>) => void): void {
    let named: { executionId?: string; workflowId?: string } = {}
    try {
      const message = decode(String(data))
      if (message.type === 'ping') {
        this.#reply({ type: 'pong', at: Date.now() })
      } else {
        named = namesOf(message)
        carryOut({ ...message, ...named })
      }
    } catch (error) {
      this.#refuse(error, named)
    }
  }

  #carryOut(message: Exclude<ClientMessage, { type: 'ping' }>): void {
    const { executionId, workflowId } = message
    const key = keyOf(executionId, workflowId)
    if (message.type === 'unsubscribe') {
      this.#unsubscribe(key)
      this.#reply({ type: 'unsubscribed', executionId, workflowId, at: Date.now() })
      return
    }
    const count = this.#subscriptions.size + this.#asked.size
    const isKnown = this.#subscriptions.has(key) || this.#asked.has(key)
    if (!isKnown && count >= MAX_SUBSCRIPTIONS) throw new CairnError('SUBSCRIPTIONS_FULL', [MAX_SUBSCRIPTIONS])
    if (executionId !== undefined) {
      if (!uuid.test(executionId)) throw new CairnError('EXECUTION_NOT_FOUND', [executionId])
      this.#subscribeExecution(executionId, message.after)
    } else void this.#subscribeWorkflow(workflowId!)
  }

  #subscribeExecution(executionId: string, after: number | undefined): void {
    const key = keyOf(executionId)
    this.#unsubscribe(key)
    const options = { after, ready: () => this.#isReady(key) }
    const subscription = this.#context.feed.subscribe(executionId, options, (message) => this.#deliver(key, message))
    this.#subscriptions.set(key, subscription)
  }

  async #subscribeWorkflow(workflowId: string): Promise<void> {
    const key = keyOf(undefined, workflowId)
    this.#asked.add(key)
    try {
      const exists = uuid.test(workflowId) && (await this.#context.workflowExists(workflowId))
      // Unsubscribed, or closed, while it was looked for.
      if (!this.#asked.delete(key)) return
      if (!exists) throw new CairnError('WORKFLOW_NOT_FOUND', [workflowId])
      this.#unsubscribe(key)
      this.#reply({ type: 'subscribed', workflowId, at: Date.now() })
      const options = { ready: () => this.#isReady(key) }
      const subscription = this.#context.feed.subscribeWorkflow(
        workflowId,
        (message) => this.#deliver(key, message),
        options,
      )
      this.#subscriptions.set(key, subscription)
    } catch (error) {
      this.#asked.delete(key)
      this.#refuse(error, { workflowId })
    }
  }

  #unsubscribe(key: string): void {
    this.#asked.delete(key)
    this.#resting.delete(key)
    this.#subscriptions.get(key)?.()
    this.#subscriptions.delete(key)
  }

  #deliver(key: string, message: StreamMessage): void {
    this.#write(frameOf(message))
    if (message.type !== 'error') return
    this.#subscriptions.delete(key)
    if (message.code === 'ENGINE_STOPPING') this.#socket.close(SERVICE_RESTART, 'the engine stops')
    else if (this.#isSingle) this.#socket.close(INTERNAL_ERROR, message.code)
  }

  #refuse(error: unknown, named: { executionId?: string; workflowId?: string }): void {
    if (!(error instanceof CairnError)) {
      this.#context.log.error({ err: error }, 'a stream broke')
      this.#socket.close(INTERNAL_ERROR, 'internal error')
      return
    }
    const { code, message, faults } = error
    this.#reply({
      type: 'error',
      code,
      message,
      ...named,
      ...(faults.length > 0 && { errors: faults }),
      at: Date.now(),
    })
  }

  #reply(reply: Reply): void {
    this.#write(replyFrame(reply))
    if (this.#connection.writableLength >= HIGH_WATER) this.#socket.pause()
  }

  /**
   * What is sent until its turn leaves in one write (see WritePace), and before that when the buffer is full: it is for the client to be
   * slow. A frame is written below `ws`, which would copy what all sockets share: whole, uncompressed ones may stand between its own.
   */
  #write(frame: Buffer): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return
    if (!this.#isCorked) {
      this.#isCorked = true
      this.#connection.cork()
    }
    if (!this.#awaitsTurn) {
      this.#awaitsTurn = true
      this.#context.pace.soon(this.#takeTurn)
    }
    // Whoever waits for room waits for one of those that made it scarce.
    const isScarce = this.#connection.writableLength + frame.length > LOW_WATER
    this.#connection.write(frame, isScarce ? this.#written : undefined)
    if (this.#connection.writableLength >= HIGH_WATER) this.#uncork()
  }

  #takeTurn = (): void => {
    this.#awaitsTurn = false
    this.#uncork()
  }

  #uncork = (): void => {
    if (!this.#isCorked) return
    this.#isCorked = false
    this.#connection.uncork()
  }

  #isReady(key: string): boolean {
    if (this.#connection.writableLength < HIGH_WATER) return true
    this.#resting.add(key)
    return false
  }

  /** A message has left the buffer. Each that rests has its turn; who fills the buffer again goes last. */
  #written = (): void => {
    if (this.#connection.writableLength > LOW_WATER) return
    if (this.#socket.isPaused) this.#socket.resume()
    for (const key of this.#resting) {
      if (this.#connection.writableLength >= HIGH_WATER) return
      this.#resting.delete(key)
      this.#subscriptions.get(key)?.resume()
    }
  }

  #end(): void {
    for (const subscription of this.#subscriptions.values()) subscription()
    this.#subscriptions.clear()
    this.#resting.clear()
    this.#asked.clear()
  }
}

/** UUIDs are known in lower case. */
function namesOf(message: { executionId?: string; workflowId?: string }): {
  executionId?: string
  workflowId?: string
} {
  const { executionId, workflowId } = message
  return {
    ...(executionId !== undefined && { executionId: executionId.toLowerCase() }),
    ...(workflowId !== undefined && { workflowId: workflowId.toLowerCase() }),
  }
}

const keyOf = (executionId: string | undefined, workflowId?: string): string =>
  executionId === undefined ? `workflow ${workflowId}` : `execution ${executionId}`

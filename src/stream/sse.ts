import { Readable } from 'node:stream'
import type { Feed } from '../engine/feed.ts'
import type { StreamMessage, Subscription } from '../engine/stream-message.ts'
import { encode } from './protocol.ts'

/** What may wait in the stream's own buffer before the feed holds back. */
const HIGH_WATER = 64 * 1024
/** How long a client waits before it connects again. */
const RETRY_MS = 1_000

/**
 * An execution as server-sent events (WHATWG HTML, section 9.2): the messages of the WebSocket, named by their type. Those
 * with a seq carry it as `id`, so a client that connects again (Last-Event-ID) goes on where it was; a snapshot has none, since
 * events before it may be still to come. Ends when the engine stops: the client connects again.
 */
export class EventStream extends Readable {
  readonly #subscription: Subscription
  readonly #heartbeat: NodeJS.Timeout
  #isReady = true
  #isEnded = false

  constructor(
    feed: Pick<Feed, 'subscribe'>,
    executionId: string,
    { after, heartbeatMs }: { readonly after: number | undefined; readonly heartbeatMs: number },
  ) {
    super({ highWaterMark: HIGH_WATER })
    this.#write(`retry: ${RETRY_MS}\n\n`)
    const options = { ...(after !== undefined && { after }), ready: () => this.#isReady }
    this.#subscription = feed.subscribe(executionId, options, (message) => {
      if (message.type === 'error') this.end()
      else this.#write(blockOf(message))
    })
    // Proxies cut connections that say nothing; a client that has gone away is found out by writing to it.
    this.#heartbeat = setInterval(() => this.#isReady && this.#write(': still here\n\n'), heartbeatMs)
    this.#heartbeat.unref()
  }

  /** Says goodbye by ending the answer. */
  end(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.push(null)
  }

  /** The client has taken what there was. */
  override _read(): void {
    this.#isReady = true
    this.#subscription.resume()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#isEnded = true
    clearInterval(this.#heartbeat)
    this.#subscription()
    done(error)
  }

  #write(text: Buffer | string): void {
    if (!this.#isEnded) this.#isReady = this.push(text)
  }
}

function blockOf(message: StreamMessage): Buffer {
  const id = idOf(message)
  const head = `${id === null ? '' : `id: ${id}\n`}event: ${message.type}\ndata: `
  return Buffer.concat([Buffer.from(head), encode(message), Buffer.from('\n\n')])
}

function idOf(message: StreamMessage): number | null {
  if (message.type === 'event') return message.seq
  return message.type === 'lagged' && 'toSeq' in message ? message.toSeq : null
}

import type { WebSocket } from 'ws'

/** RFC 6455 and its registry: the service restarts (try again), something unexpected happened (likewise). */
export const SERVICE_RESTART = 1012
export const INTERNAL_ERROR = 1011

/** How long a client may take to answer a close before the connection is cut. */
const CLOSE_GRACE_MS = 1_000

/** All open sockets of a server: finds out which of them are dead, and closes them when the server stops. */
export class LiveSockets {
  /** Whether it has answered since it was last asked. */
  readonly #answered = new Map<WebSocket, boolean>()
  readonly #timer: NodeJS.Timeout
  #isClosing = false

  /** A peer that answers no ping for `keepAliveMs` is dead. */
  constructor(keepAliveMs: number) {
    this.#timer = setInterval(() => this.#ask(), keepAliveMs)
    this.#timer.unref()
  }

  get size(): number {
    return this.#answered.size
  }

  add(socket: WebSocket): void {
    this.#answered.set(socket, true)
    socket.on('pong', () => this.#answered.set(socket, true))
    socket.on('close', () => this.#answered.delete(socket))
    if (this.#isClosing) socket.close(SERVICE_RESTART, 'the service stops')
  }

  /** Closes all with 1012 and resolves when they are gone; those that do not answer are cut off. Idempotent. */
  async close(): Promise<void> {
    this.#isClosing = true
    clearInterval(this.#timer)
    const sockets = [...this.#answered.keys()]
    const gone = sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve)))
    for (const socket of sockets) socket.close(SERVICE_RESTART, 'the service stops')
    const cut = setTimeout(() => {
      for (const socket of sockets) socket.terminate()
    }, CLOSE_GRACE_MS)
    await Promise.all(gone)
    clearTimeout(cut)
  }

  #ask(): void {
    for (const [socket, answered] of this.#answered) {
      if (!answered) {
        socket.terminate()
        continue
      }
      this.#answered.set(socket, false)
      socket.ping()
    }
  }
}

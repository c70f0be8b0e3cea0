import { randomUUID } from 'node:crypto'
import type { Socket } from 'node:net'
import pg from 'pg'

/*
 * A connection that LISTENs, and finds its way back whenever it breaks. It is of use only while notifications really come
 * through, and a pooler in transaction mode takes LISTEN without an error: so it first sends one to itself, by the way that
 * all others go.
 *
 *   (made) ──start──▶ connecting ──▶ proving ──heard──▶ listening
 *                      ▲    │ failed    │ unheard: deaf     │ broken
 *                      └────┴───────────┴─────waiting───────┘          any ──close──▶ closed
 */
export interface ListenerEvents {
  /** A notification has come. */
  readonly onPayload: (payload: string) => void
  /** From now on none is missed, but others were. */
  readonly onListening: () => void
  /** It could not connect, or the connection broke: it tries again by itself. */
  readonly onLost: (error: Error) => void
  /** Connected, but notifications do not come through. It looks again once in a while. */
  readonly onDeaf: () => void
}

interface ListenerOptions extends ListenerEvents {
  readonly connect: () => pg.Client
  readonly channels: readonly [string, ...string[]]
  readonly notify: (channel: string, payload: string) => Promise<void>
  /** How long its own notification may take, once it is committed. */
  readonly heardWithinMs?: number
}

const HEARD_WITHIN_MS = 5_000
const DEAF_PAUSE_MS = 60_000
const SHORTEST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 5_000
/** How often a silent connection is asked whether it is still there. */
const LOOK_MS = 30_000
/** How long the server may take to close a connection. */
const PATIENCE_MS = 500

export class Listener {
  readonly #options: ListenerOptions
  #client: pg.Client | null = null
  #running: Promise<void> | null = null
  #isClosed = false
  #failures = 0
  #wake: () => void = () => {}

  constructor(options: ListenerOptions) {
    this.#options = options
  }

  /** Connects in the background; it keeps no process alive. */
  start(): void {
    this.#running ??= this.#run()
  }

  /** Gives up a connection that seems to be of no use, for a new one. */
  reconnect(): void {
    void this.#end()
  }

  /** Safe at any time, idempotent; resolves when the connection is gone. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#wake()
    await this.#end()
    await this.#running
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      const isDeaf = await this.#session()
      if (isDeaf) this.#options.onDeaf()
      if (!this.#isClosed) await this.#pause(isDeaf ? DEAF_PAUSE_MS : this.#backoffMs())
    }
  }

  /** One connection from its beginning to its end; true when nothing is heard over it. */
  async #session(): Promise<boolean> {
    const client = this.#options.connect()
    this.#client = client
    const broken = brokenness(client)
    const unlessBroken = <T>(step: Promise<T>): Promise<T> => Promise.race([step, broken])
    try {
      await unlessBroken(client.connect())
      ;(client.connection.stream as Socket).unref()
      const [own, ...others] = this.#options.channels
      if (!(await unlessBroken(this.#provesItself(client, own)))) {
        await unlessBroken(client.query('UNLISTEN *'))
        return true
      }
      for (const channel of others) await unlessBroken(client.query(`LISTEN ${pg.escapeIdentifier(channel)}`))
      this.#failures = 0
      this.#options.onListening()
      for (;;) {
        await unlessBroken(this.#pause(LOOK_MS))
        await unlessBroken(stillThere(client))
      }
    } catch (error) {
      this.#failures += 1
      if (!this.#isClosed) this.#options.onLost(error as Error)
      return false
    } finally {
      await this.#end()
    }
  }

  async #provesItself(client: pg.Client, channel: string): Promise<boolean> {
    const token = randomUUID()
    const heard = Promise.withResolvers<boolean>()
    client.on('notification', ({ payload = '' }) => {
      if (payload === token) heard.resolve(true)
      else this.#options.onPayload(payload)
    })
    await client.query(`LISTEN ${pg.escapeIdentifier(channel)}`)
    // By another connection: over this one a pooler might pass on what its session hears of itself.
    await this.#options.notify(channel, token)
    const timeout = setTimeout(() => heard.resolve(false), this.#options.heardWithinMs ?? HEARD_WITHIN_MS).unref()
    return heard.promise.finally(() => clearTimeout(timeout))
  }

  async #end(): Promise<void> {
    const client = this.#client
    this.#client = null
    if (client === null) return
    // A peer that is gone without a word, or has not answered yet, would be waited for.
    const impatience = setTimeout(() => client.connection.stream.destroy(), PATIENCE_MS).unref()
    await client.end().catch(() => {})
    clearTimeout(impatience)
  }

  #backoffMs(): number {
    return Math.min(LONGEST_PAUSE_MS, SHORTEST_PAUSE_MS * 2 ** this.#failures) * (0.8 + 0.4 * Math.random())
  }

  #pause(ms: number): Promise<void> {
    if (this.#isClosed) return Promise.resolve()
    return new Promise((resolve) => {
      const timeout = setTimeout(resolve, ms).unref()
      this.#wake = () => {
        clearTimeout(timeout)
        resolve()
      }
    })
  }
}

/** Rejects when the connection breaks or ends. */
function brokenness(client: pg.Client): Promise<never> {
  const broken = new Promise<never>((_, reject) => {
    client.on('error', reject)
    client.once('end', () => reject(new Error('the connection has ended')))
  })
  broken.catch(() => {})
  return broken
}

/** A peer that is gone without a word does not answer; a primary that has become a replica hears nothing any more. */
async function stillThere(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ replica: boolean }>('SELECT pg_is_in_recovery() AS replica')
  if (rows[0]?.replica === true) throw new Error('the server has become a replica')
}

import { connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'

/**
 * What happens to a statement on its way:
 * - `lost`: the server never gets it; the client's connection is cut.
 * - `unanswered`: the server performs it, and its answer is swallowed; then the connection is cut.
 * - `late`: the client's connection is cut; the server gets it when the test says so.
 * - `stalled`: from it on nothing is delivered, as after `stall`.
 */
export type Fault = 'lost' | 'unanswered' | 'late' | 'stalled'

/** A network of the test's own between engines and a server: it cuts, swallows, delays, stalls, and leads elsewhere. */
export interface Passage {
  /** The database that `url` led to, through the proxy. */
  readonly url: string
  /** New connections go to the server of this URL; those that exist stay where they are. */
  leadTo(url: string): void
  /** Cuts every connection. */
  cut(): void
  /** New connections are refused (reset at once) until `accept`. */
  refuse(): void
  accept(): void
  /** From now on nothing is delivered and nothing refused: packets vanish, on old connections and new ones. */
  stall(): void
  /** What was held is delivered, to whoever is still there. */
  flow(): void
  /** The next `times` statements whose text has `marker` meet the fault. Resolves with what `late` ones are delivered by. */
  fault(marker: string, fault: Fault, times?: number): Promise<() => Promise<void>>
  /** Every statement with this text is `late`, until all are delivered. */
  holdBack(marker: string): HeldBack
}

export interface HeldBack {
  /** Resolves when there is one. */
  readonly first: Promise<void>
  /** Has the server perform them, in their order, and holds no more back. Answers how many there were. */
  deliver(): Promise<number>
}

interface Trap {
  readonly marker: string
  readonly fault: Fault
  left: number
  readonly late: (() => Promise<void>)[]
  readonly sprung: () => void
}

/**
 * Listens on a port of its own before the server that `url` leads to by its unix socket. It reads no protocol, but for two
 * things: statements are known by a piece of their text (so named ones must be off), which must fit into one packet; and like
 * a pooler it makes process ids up, so that no client can reach a backend beside its connection.
 */
export async function startProxy(t: Test, url: string): Promise<Passage> {
  let target = socketOf(url)
  let isStalled = false
  let isRefusing = false
  const traps = new Set<Trap>()
  const links = new Set<Link>()
  const server = createServer({ pauseOnConnect: true }, (client) => {
    if (isRefusing) return void client.resetAndDestroy()
    const link = new Link(client, target, (text) =>
      [...traps].find((trap) => trap.left > 0 && text.includes(trap.marker)),
    )
    links.add(link)
    link.closed.then(() => links.delete(link))
    if (!isStalled) link.flow()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const proxy: Passage = {
    url: `postgres://postgres@127.0.0.1:${(server.address() as { port: number }).port}${new URL(url).pathname}`,
    leadTo(other) {
      target = socketOf(other)
    },
    cut() {
      for (const link of links) link.cut()
    },
    refuse() {
      isRefusing = true
    },
    accept() {
      isRefusing = false
    },
    stall() {
      isStalled = true
      for (const link of links) link.stall()
    },
    flow() {
      isStalled = false
      for (const link of links) link.flow()
    },
    fault(marker, fault, times = 1) {
      return new Promise((resolve) => {
        const late: (() => Promise<void>)[] = []
        const deliver = async (): Promise<void> => {
          for (const each of late) await each()
        }
        const sprung = (): void => {
          if (fault === 'stalled') proxy.stall()
          resolve(deliver)
        }
        const trap: Trap = { marker, fault, left: times, late, sprung }
        traps.add(trap)
      })
    },
    holdBack(marker) {
      const { promise: first, resolve } = Promise.withResolvers<void>()
      const trap: Trap = { marker, fault: 'late', left: Number.POSITIVE_INFINITY, late: [], sprung: resolve }
      traps.add(trap)
      return {
        first,
        async deliver() {
          traps.delete(trap)
          for (const each of trap.late) await each()
          return trap.late.length
        },
      }
    },
  }
  t.teardown(async () => {
    proxy.flow()
    proxy.cut()
    await new Promise((resolve) => server.close(resolve))
  })
  return proxy
}

/** One client's connection and the server's. */
class Link {
  readonly closed: Promise<void>
  readonly #client: Socket
  readonly #target: string
  readonly #trapFor: (text: string) => Trap | undefined
  #server: Socket | null = null
  #isAuthenticated = false
  /** The answer that is to be swallowed. */
  #swallowing: Trap | null = null

  constructor(client: Socket, target: string, trapFor: (text: string) => Trap | undefined) {
    this.#client = client
    this.#target = target
    this.#trapFor = trapFor
    client.setNoDelay()
    client.on('error', () => {})
    client.on('data', (chunk) => this.#ask(chunk))
    client.on('end', () => this.#server?.end())
    this.closed = new Promise((resolve) => client.once('close', () => resolve()))
    client.once('close', () => this.#server?.end())
  }

  flow(): void {
    this.#server ??= this.#connect()
    this.#client.resume()
    this.#server.resume()
  }

  stall(): void {
    this.#client.pause()
    this.#server?.pause()
  }

  cut(): void {
    this.#client.resetAndDestroy()
    this.#server?.destroy()
  }

  #connect(): Socket {
    const server = connect(this.#target)
    server.on('error', () => this.#client.resetAndDestroy())
    server.on('data', (chunk) => this.#answer(chunk))
    server.on('close', () => this.#client.end())
    return server
  }

  #ask(chunk: Buffer): void {
    const trap = this.#trapFor(chunk.toString('latin1'))
    if (trap === undefined) return void this.#server!.write(chunk)
    trap.left -= 1
    if (trap.fault === 'stalled') {
      this.#client.pause()
      this.#client.unshift(chunk)
      return trap.sprung()
    }
    if (trap.fault === 'unanswered') {
      this.#swallowing = trap
      this.#server!.write(chunk)
      return
    }
    if (trap.fault === 'late') this.#hold(trap, chunk)
    else this.#server!.destroy()
    this.#client.resetAndDestroy()
    if (trap.left === 0 || trap.left === Number.POSITIVE_INFINITY) trap.sprung()
  }

  /** The server's side stays open, with nobody behind it, until the chunk is delivered and answered. */
  #hold(trap: Trap, chunk: Buffer): void {
    const server = this.#server!
    this.#server = null
    trap.late.push(
      () =>
        new Promise((resolve) => {
          server.once('close', () => resolve())
          if (server.destroyed) return resolve()
          server.removeAllListeners('data')
          server.on('data', (answer) => {
            if (hasReadyForQuery(answer)) server.end()
          })
          server.write(chunk)
        }),
    )
  }

  #answer(chunk: Buffer): void {
    const trap = this.#swallowing
    if (trap === null) return void this.#client.write(this.#isAuthenticated ? chunk : this.#withoutProcessId(chunk))
    if (!hasReadyForQuery(chunk)) return
    this.#swallowing = null
    this.cut()
    if (trap.left === 0) trap.sprung()
  }

  /** BackendKeyData: 'K', length 12, process id, key. */
  #withoutProcessId(chunk: Buffer): Buffer {
    const at = chunk.indexOf(Buffer.from([0x4b, 0, 0, 0, 12]))
    if (at < 0) return chunk
    this.#isAuthenticated = true
    chunk.writeUInt32BE(1, at + 5)
    return chunk
  }
}

/** An answer's last message: 'Z', length 5, status. */
const hasReadyForQuery = (chunk: Buffer): boolean => chunk.length >= 6 && chunk.readUInt32BE(chunk.length - 5) === 5

function socketOf(url: string): string {
  const { searchParams } = new URL(url)
  return `${searchParams.get('host')}/.s.PGSQL.${searchParams.get('port') ?? 5432}`
}

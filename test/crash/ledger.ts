import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

/** One effect on the world. */
export interface Entry {
  readonly path: string
  readonly key: string
  readonly attempt: number
}

/** The execution that made it: keys begin with its id. */
export const executionOf = ({ key }: Entry): string => key.slice(0, key.indexOf('/'))

/** The world outside: it hears of every attempt, outlives the processes that make them, and forgets nothing. */
export interface Ledger {
  readonly url: string
  readonly entries: readonly Entry[]
  /** Resolves with the first entry of this path, whether it is there or is to come. */
  heardOf(path: string): Promise<Entry>
  close(): Promise<void>
}

/** Opens a ledger on a port of its own. It answers how often the key was seen; `delayMs` is how long it takes. */
export async function openLedger({ delayMs = 0 } = {}): Promise<Ledger> {
  const entries: Entry[] = []
  const times = new Map<string, number>()
  const waiters = new Map<string, PromiseWithResolvers<Entry>>()
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const entry = JSON.parse(Buffer.concat(chunks).toString()) as Entry
    entries.push(entry)
    waiters.get(entry.path)?.resolve(entry)
    const performed = (times.get(entry.key) ?? 0) + 1
    times.set(entry.key, performed)
    response.setHeader('connection', 'close')
    const answer = () => response.end(JSON.stringify({ performed }))
    if (delayMs > 0) setTimeout(answer, delayMs)
    else answer()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    entries,
    heardOf(path) {
      const entry = entries.find((item) => item.path === path)
      if (entry !== undefined) return Promise.resolve(entry)
      const waiter = waiters.get(path) ?? Promise.withResolvers<Entry>()
      waiters.set(path, waiter)
      return waiter.promise
    },
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

/** A ledger for as long as the test lasts. */
export async function startLedger(t: Test): Promise<Ledger> {
  const ledger = await openLedger()
  t.teardown(ledger.close)
  return ledger
}

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

/** One effect on the world. */
export interface Entry {
  readonly path: string
  readonly key: string
  readonly attempt: number
}

/** The world outside: it hears of every attempt, outlives the processes that make them, and forgets nothing. */
export async function startLedger(t: Test): Promise<{ url: string; entries: Entry[] }> {
  const entries: Entry[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const entry = JSON.parse(Buffer.concat(chunks).toString()) as Entry
    entries.push(entry)
    const performed = entries.filter(({ path }) => path === entry.path).length
    response.setHeader('connection', 'close')
    response.end(JSON.stringify({ performed }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => new Promise((resolve) => server.close(resolve)))
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, entries }
}

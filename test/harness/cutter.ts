import { connect, createServer, type Socket } from 'node:net'
import path from 'node:path'
import type { Test } from 'tap'

/**
 * A stretch of network between clients and the test server. It can be cut on the client's side alone: the server, whose
 * backend is busy with a statement, does not notice and goes on. So statements commit whose answer nobody hears.
 */
export interface Cutter {
  /** The database, by way of it. */
  readonly url: string
  /** Cuts off every client whose latest message holds `text` and is not answered yet. Answers how many. */
  cut(text: string): number
  /** Resolves when a message that holds `text` and is sent from now on is answered. */
  answered(text: string): Promise<void>
}

interface Line {
  readonly client: Socket
  readonly server: Socket
  /** What was sent and is not answered. */
  asked: string
}

/** A cutter before the database that `databaseUrl` leads to by a unix socket; gone at the test's end. */
export async function startCutter(t: Test, databaseUrl: string): Promise<Cutter> {
  const { pathname, searchParams } = new URL(databaseUrl)
  const socketPath = path.join(searchParams.get('host')!, `.s.PGSQL.${searchParams.get('port')}`)
  const lines = new Set<Line>()
  let waiting: { readonly text: string; readonly resolve: () => void }[] = []

  const listener = createServer((client) => {
    const line: Line = { client, server: connect(socketPath), asked: '' }
    lines.add(line)
    client.on('error', () => {})
    line.server.on('error', () => {})
    client.on('data', (chunk) => {
      line.asked += chunk.toString('latin1')
      line.server.write(chunk)
    })
    line.server.on('data', (chunk) => {
      if (!client.destroyed) client.write(chunk)
      const told = waiting.filter(({ text }) => line.asked.includes(text))
      waiting = waiting.filter((waiter) => !told.includes(waiter))
      line.asked = ''
      for (const { resolve } of told) resolve()
    })
    // A client that takes its leave ends its session; one that is cut off does not.
    client.on('end', () => line.server.end())
    line.server.on('close', () => {
      lines.delete(line)
      client.destroy()
    })
  })
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const { client, server } of lines) {
      client.destroy()
      server.destroy()
    }
    listener.close()
  })
  const { port } = listener.address() as { port: number }
  return {
    url: `postgres://${searchParams.get('user')}@127.0.0.1:${port}${pathname}`,
    cut(text) {
      const found = [...lines].filter(({ asked }) => asked.includes(text))
      for (const { client } of found) client.destroy()
      return found.length
    },
    answered: (text) => new Promise((resolve) => waiting.push({ text, resolve })),
  }
}

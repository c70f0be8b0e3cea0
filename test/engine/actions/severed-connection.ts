import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'

/** What a network that fails does to a COMMIT: it never arrives, or its answer never comes back. */
export type Cut = 'before' | 'after' | null

/** A way to the test server over TCP that can be cut right at a COMMIT; `cut` is for the next one and is then null again. */
export async function openSeverable(t: Test, url: string): Promise<{ url: string; cut: Cut }> {
  const { pathname, searchParams } = new URL(url)
  const socketPath = `${searchParams.get('host')}/.s.PGSQL.${searchParams.get('port')}`
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = createConnection(socketPath)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.once('close', () => sockets.delete(socket))
    }
    const sever = () => {
      client.destroy()
      upstream.destroy()
    }
    let isDeaf = false
    client.on('data', (bytes) => {
      if (way.cut !== null && bytes.includes('COMMIT')) {
        const { cut } = way
        way.cut = null
        if (cut === 'before') return sever()
        isDeaf = true
      }
      upstream.write(bytes)
    })
    // The server answers when it has committed.
    upstream.on('data', (bytes) => (isDeaf ? sever() : client.write(bytes)))
    client.once('close', sever)
    upstream.once('close', sever)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    return new Promise((resolve) => server.close(resolve))
  })
  const { port } = server.address() as AddressInfo
  const way = { url: `postgres://postgres@127.0.0.1:${port}${pathname}`, cut: null as Cut }
  return way
}

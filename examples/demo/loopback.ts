import { once } from 'node:events'
import { createServer, type RequestListener, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A server on 127.0.0.1. */
export interface Loopback extends AsyncDisposable {
  /** As http.allowedHosts names it. */
  readonly host: string
}

/** Listens on the port, or on any free one when it is taken and `anyPort` says so. */
export async function listen(handler: RequestListener, port: number, anyPort: boolean): Promise<Loopback> {
  const server = createServer(handler)
  try {
    await once(server.listen(port, '127.0.0.1'), 'listening')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    if (!anyPort) throw new Error(`Port ${port}, which the demo needs, is taken`, { cause: error })
    await once(server.listen(0, '127.0.0.1'), 'listening')
  }
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

export function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

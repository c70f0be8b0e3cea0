import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

export interface Received {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface Loopback {
  /** http://127.0.0.1:port, without a slash at the end. */
  readonly url: string
  readonly host: string
  readonly port: number
  /** Every request that came, bodies read to their end. */
  readonly received: Received[]
}

/** A real HTTP server for one test, on loopback; it is closed with the test. It keeps idle connections for `keepAliveMs`. */
export async function listen(
  t: Test,
  answer: (request: Received, response: ServerResponse, raw: IncomingMessage) => void,
  { keepAliveMs = 5_000 } = {},
): Promise<Loopback> {
  const received: Received[] = []
  const listener: RequestListener = async (request, response) => {
    let body = ''
    for await (const chunk of request.setEncoding('utf8')) body += chunk
    const { method = '', url = '', headers } = request
    const seen = { method, url, headers, body }
    received.push(seen)
    answer(seen, response, request)
  }
  const server = createServer({ keepAliveTimeout: keepAliveMs }, listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, host: `127.0.0.1:${port}`, port, received }
}

/** Answers with JSON. */
export function sendJson(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
}

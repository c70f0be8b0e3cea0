import { createServer } from 'node:net'

/** Below the ports that systems give to whoever asks for any: Linux from 32,768 on, macOS and Windows from 49,152 on. */
const FIRST = 20_000
const LAST = 32_000

/**
 * A port on which nobody listens, for a program that is told where to listen, or for one that is to find nobody there. No socket
 * that asks for any port, as those of all other tests do, gets it meanwhile.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST))
    if (await isFree(port)) return port
  }
}

function isFree(port: number): Promise<boolean> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

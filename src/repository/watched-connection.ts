import type { Socket } from 'node:net'
import type pg from 'pg'

/** What pg keeps to itself of a connection. */
interface Internals {
  /** False while a statement is under way. */
  readonly readyForQuery: boolean
  readonly connection: {
    readonly stream: Socket
    on(event: 'errorMessage', hear: (message: { code?: string }) => void): void
  }
}

const internals = (client: pg.ClientBase): Internals => client as unknown as Internals

/**
 * Cuts a connection on which a statement has had no word from the server for `silenceMs`, and one that leads to a server
 * that takes no writes any more. Without it a server that vanished (packets neither arrive nor are refused) would hold a
 * statement until TCP gives up, a quarter of an hour to two hours later; and a primary that became a replica would stay in
 * a pool for ever. What was under way fails like a statement whose connection broke (ETIMEDOUT): its outcome is not known.
 */
export function watch(client: pg.ClientBase, silenceMs: number): void {
  const { connection } = internals(client)
  const { stream } = connection
  stream.setTimeout(silenceMs)
  // Each time: a connection that was idle for as long before is watched all the same.
  stream.on('timeout', () => {
    if (internals(client).readyForQuery) return
    const message = `PostgreSQL has not answered a statement for ${silenceMs} ms`
    stream.destroy(Object.assign(new Error(message), { code: 'ETIMEDOUT' }))
  })
  connection.on('errorMessage', ({ code }) => {
    if (code === '25006') stream.destroy()
  })
}

/** Cuts a connection at once, whatever is under way. */
export const cut = (client: pg.ClientBase): void => void internals(client).connection.stream.destroy()

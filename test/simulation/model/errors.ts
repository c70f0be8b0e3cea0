import pg from 'pg'

/** What PostgreSQL answers, with its SQLSTATE. */
export function databaseError(code: string, message: string, constraint?: string): Error {
  return Object.assign(new pg.DatabaseError(message, message.length, 'error'), { code, constraint })
}

/** What `pg` throws when a connection breaks under a statement: nobody knows whether it was performed. */
export const connectionLost = (): Error => new Error('Connection terminated unexpectedly')

/** Nobody listens: nothing was performed. */
export const connectionRefused = (): Error =>
  Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED', syscall: 'connect' })

/** The client gave up waiting; the statement goes on. */
export const readTimeout = (): Error => new Error('Query read timeout')

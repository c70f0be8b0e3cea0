import { randomUUID } from 'node:crypto'
import type { ExecutionError } from './core/event.ts'

/** A failure that the engine itself finds; its id stands in the log line as well. */
export function errorFact(type: string, message: string, stepPath?: string, attempt?: number): ExecutionError {
  return {
    type,
    message,
    errorId: randomUUID(),
    ...(stepPath !== undefined && { stepPath }),
    ...(attempt !== undefined && { attempt }),
    retryable: false,
  }
}

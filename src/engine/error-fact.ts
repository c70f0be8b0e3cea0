import { randomUUID } from 'node:crypto'
import type { ExecutionError, Fact } from './core/event.ts'

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

/** A failure that the core has found gets the id that it could not make. */
export const identified = (fact: Extract<Fact, { type: 'step.failed' }>): Fact => ({
  ...fact,
  data: { ...fact.data, error: { ...fact.data.error, errorId: fact.data.error.errorId ?? randomUUID() } },
})

import { trace } from '@opentelemetry/api'
import pino, { type Logger, type LoggerOptions } from 'pino'
import type { Json, JsonObject } from '../definition/json.ts'
import { openLogOutput } from './log-output.ts'

export interface LogOptions {
  readonly level: string
  /** Cuts secrets out of JSON values; undefined when there are none, so that lines are not walked for nothing. */
  readonly redact?: ((value: Json) => Json) | undefined
  /** Puts the active span's ids into each line. */
  readonly traces?: boolean
}

/** The process's log: JSON lines on stdout, ISO times, levels as words, secrets cut out. */
export const createLogger = (options: LogOptions): Logger => pino(logOptions(options), openLogOutput())

/** pino's options for it; an error becomes its type, message, code, stack and causes, and nothing else that it may carry. */
export function logOptions({ level, redact, traces = false }: LogOptions): LoggerOptions {
  return {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    serializers: { err: (error) => describeError(error) },
    formatters: { level: (label) => ({ level: label }) },
    // The whole line, so that nothing slips through: bindings of children, messages, what a library logs.
    ...(redact && { hooks: { streamWrite: (line) => `${JSON.stringify(redact(JSON.parse(line)))}\n` } }),
    ...(traces && { mixin: activeSpan }),
  }
}

const MAX_CAUSES = 4

/**
 * An error for the log. Its own properties stay out, but for `code` (SQLSTATE, ECONNREFUSED …): a driver's error may carry
 * the query's values or the connection string.
 */
export function describeError(error: unknown, depth = 0): JsonObject {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error) }
  const { code } = error as { code?: unknown }
  return {
    type: error.name,
    message: error.message,
    ...((typeof code === 'string' || typeof code === 'number') && { code }),
    ...(error.stack !== undefined && { stack: error.stack }),
    ...(error.cause !== undefined && depth < MAX_CAUSES && { cause: describeError(error.cause, depth + 1) }),
  }
}

function activeSpan(): object {
  const span = trace.getActiveSpan()?.spanContext()
  return span === undefined ? {} : { traceId: span.traceId, spanId: span.spanId }
}

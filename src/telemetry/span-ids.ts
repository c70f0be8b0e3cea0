import { createHash, randomBytes } from 'node:crypto'

/**
 * Ids of traces and spans: random like the SDK's own, unless the next span's are set. Spans of executions and steps have ids
 * that any node can compute, so that an execution that moves from node to node stays one trace, and its span is sent once,
 * by the node that ends it.
 */
export class SpanIds {
  #traceId: string | undefined
  #spanId: string | undefined

  /** Decides the ids of the span that `make` starts. The trace id counts only when that span has no parent. */
  next<T>(traceId: string, spanId: string, make: () => T): T {
    this.#traceId = traceId
    this.#spanId = spanId
    try {
      return make()
    } finally {
      this.#traceId = this.#spanId = undefined
    }
  }

  generateTraceId(): string {
    return this.#traceId ?? randomHex(16)
  }

  generateSpanId(): string {
    return this.#spanId ?? randomHex(8)
  }
}

/** 16 hex digits that stand for a text; zeros alone, which would be invalid, are 1 in 2^64. */
export const spanIdOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 16)

/** The id of an execution is a UUID, and so are its digits a valid trace id. */
export const traceIdOf = (executionId: string): string => executionId.replaceAll('-', '')

const randomHex = (bytes: number): string => randomBytes(bytes).toString('hex')

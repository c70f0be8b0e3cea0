/** An expression that cannot be compiled or that failed; the message names the place and the remedy. */
export class ExpressionError extends Error {
  override readonly name = 'ExpressionError'
  /** Whether the message already says where in the source it happened. */
  readonly located: boolean

  constructor(message: string, options: { located?: boolean; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.located = options.located ?? false
  }
}

/** A stretch of an expression's source, kept by a node to tell where it failed. */
export interface Place {
  readonly source: string
  readonly start: number
  readonly end: number
}

const SHOWN = 80

/** The place's own text, cut to what fits into a message. */
export function excerpt(place: Place): string {
  const text = place.source.slice(place.start, place.end).trim()
  return text.length > SHOWN ? `${text.slice(0, SHOWN - 1)}…` : text
}

/** The error with its place in the message; what native code threw (a RangeError of toFixed, say) becomes an ExpressionError. */
export function located(error: unknown, place: Place): ExpressionError {
  if (error instanceof ExpressionError && error.located) return error
  const message = error instanceof Error ? error.message : String(error)
  const cause = error instanceof ExpressionError ? error.cause : error
  return new ExpressionError(`${message} (in: ${excerpt(place)})`, { located: true, cause })
}

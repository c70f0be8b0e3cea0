/** What the engine writes its facts to; pino's logger is one. */
export interface Log {
  debug(facts: object, message: string): void
  info(facts: object, message: string): void
  warn(facts: object, message: string): void
  error(facts: object, message: string): void
  child(bindings: object): Log
  /** Spares building facts that nobody reads; a logger without it is taken to read them all. */
  isLevelEnabled?(level: 'debug'): boolean
}

/** Says nothing: for an embedding program that gives no logger. */
export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLog,
  isLevelEnabled: () => false,
}

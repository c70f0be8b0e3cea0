import pg from 'pg'

/**
 * What a failed flush means for its appends.
 * - `retry`: the outcome is unknown or the server could not take it just now: send the identical appends again.
 * - `data`: these very rows cannot be written: halve until the bad append stands alone, and quarantine it.
 * - `alarm`: somebody else wrote into the history of an execution that is ours. On a first send only: a resend has
 *   ON CONFLICT and cannot meet it.
 *
 * What is neither the data's fault nor known (a missing privilege, a full disk, a password that was changed) is `retry`: to
 * quarantine everything because an operator made a mistake would be the greater harm.
 */
export function classify(error: unknown): 'retry' | 'data' | 'alarm' {
  // A parameter longer than a JavaScript string may be, or one that cannot be written as JSON.
  if (error instanceof RangeError || error instanceof TypeError) return 'data'
  // Only what PostgreSQL itself says: by its looks Node's EPIPE could be an SQLSTATE.
  if (!(error instanceof pg.DatabaseError)) return 'retry'
  const { code = '', constraint } = error
  if (code === '23505' && constraint === 'execution_events_pkey') return 'alarm'
  return code.startsWith('22') || code.startsWith('23') || code.startsWith('54') ? 'data' : 'retry'
}

/** What keeps PostgreSQL from taking a statement, by name, for whoever watches the node. */
export function troubleOf(error: unknown): string {
  const { code, message } = error as { code?: unknown; message: string }
  if (typeof code !== 'string') return `PostgreSQL does not answer (${message})`
  const known = troubles.find(([pattern]) => pattern.test(code))
  return `${known?.[1] ?? `PostgreSQL refuses: ${message}`} (${code})`
}

const troubles = [
  [/^25006$/, 'PostgreSQL is read-only'],
  [/^53100$/, 'the disk of PostgreSQL is full'],
  [/^53200$/, 'PostgreSQL has no memory left'],
  [/^53300$/, 'PostgreSQL has no connection left'],
  [/^57P0/, 'PostgreSQL starts or stops'],
  [/^28/, 'PostgreSQL does not let this node in'],
  [/^ETIMEDOUT$/, 'PostgreSQL does not answer'],
  [/^(E(AI_)?[A-Z]+|08...)$/, 'PostgreSQL cannot be reached'],
] as const satisfies readonly (readonly [RegExp, string])[]

/** Node's names for what keeps a socket from reaching anybody; EAI_AGAIN: no name server answers. */
const unreached = /^E(AI_)?[A-Z]+$/

/**
 * True when PostgreSQL cannot be reached or takes nothing just now: refused or broken connections, a server that starts,
 * stops or is full, a replica. Waiting may mend it; a bug or a missing table it will not.
 */
export function isUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const { code } = error as { code?: unknown }
  if (typeof code !== 'string')
    return /^(Connection terminated|timeout (exceeded|expired)|Client has encountered|Query read timeout)/.test(
      error.message,
    )
  // As in `classify`: EPIPE is Node's, and looks like an SQLSTATE.
  return error instanceof pg.DatabaseError ? /^(08|53|57P|25006|25P03)/.test(code) : unreached.test(code)
}

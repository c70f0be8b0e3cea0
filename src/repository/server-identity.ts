import type pg from 'pg'

/** One backend of a server, for ending it later: a process id alone may be somebody else's by then. */
export interface Backend {
  readonly pid: number
  readonly startedAt: string
}

export interface ServerIdentity {
  /** null behind a pooler: the backend is not ours alone. */
  readonly backend: Backend | null
  /** Raised by each promotion of a replica and each restore; null on a replica, or where the server does not tell. */
  readonly timeline: string | null
}

type Connection = Pick<pg.ClientBase, 'query'>

const backendQuery = `SELECT pid, backend_start::text AS "startedAt" FROM pg_stat_activity WHERE pid = pg_backend_pid()`
const timelineQuery =
  'SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END AS timeline'

/** Which server, and which backend of it, this connection leads to. Errors are those of a broken connection. */
export async function identify(client: pg.ClientBase): Promise<ServerIdentity> {
  const { rows } = await client.query<Backend>(backendQuery)
  // A pooler makes process ids up.
  const isDirect = rows[0]?.pid === (client as unknown as { processID: number }).processID
  return { backend: isDirect ? rows[0]! : null, timeline: await timelineOf(client) }
}

/** The timeline of the server; null on a replica, or where nobody may ask. */
export async function timelineOf(connection: Connection): Promise<string | null> {
  try {
    const { rows } = await connection.query<{ timeline: string | null }>(timelineQuery)
    return rows[0]!.timeline
  } catch (error) {
    // 42501, 42883, 0A000: services that look like PostgreSQL and keep this to themselves.
    if (/^(42|0A)/.test((error as { code?: string }).code ?? '')) return null
    throw error
  }
}

/**
 * Ends a backend that we have left: it may hold locks on our rows, a connection slot, or wait for a replica without end. What
 * it was doing is committed or not, as when a connection breaks.
 */
export async function endBackend(client: Connection, { pid, startedAt }: Backend): Promise<void> {
  await client.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE pid = $1 AND backend_start = $2::timestamptz AND pid <> pg_backend_pid()`,
    [pid, startedAt],
  )
}

/** Hears of timelines as connections meet them, and tells when the server is another one than before. */
export class Timeline {
  #known: string | null = null
  readonly #onSwitched: (() => void)[] = []

  onSwitched(hear: () => void): void {
    this.#onSwitched.push(hear)
  }

  note(timeline: string | null): void {
    if (timeline === null || timeline === this.#known) return
    const isFirst = this.#known === null
    this.#known = timeline
    if (!isFirst) for (const hear of this.#onSwitched) hear()
  }
}

import type { Database } from './connection.ts'

/*
 * A circuit, one a target for all nodes. Its times are the database's own; every change is one statement, so of several nodes
 * that want the same one does it:
 *
 *   closed ──openCircuit──▶ open ──open_until──▶ half-open ──claimProbe──▶ probed ──endProbe──▶ closed, or open for longer
 *      ▲                                            ▲   └── the probe's lease ran out, or it told nothing: another may
 *      └──────────── setCircuitMode('auto')
 *
 * `mode` goes before all of that: an operator holds it open or closed until he says `auto`.
 */

export const circuitModes = ['auto', 'open', 'closed'] as const
export type CircuitMode = (typeof circuitModes)[number]

/** Times are ms since 1970. */
export interface Circuit {
  readonly key: string
  readonly mode: CircuitMode
  /** The operator's, for people. */
  readonly reason: string | null
  /** Null: closed, as far as statistics go. */
  readonly openedAt: number | null
  /** From when on a probe may find out whether the target is back. */
  readonly openUntil: number | null
  /** What its policy says of how long it stays open at first. */
  readonly openMs: number | null
  /** How often in a row it opened: the first time and with each probe that failed. */
  readonly trips: number
  /** What the call failed with that opened it last. */
  readonly error: CircuitError | null
  /** A probe is under way, unless its node dies before then. */
  readonly probeUntil: number | null
  readonly updatedAt: number
}

export interface CircuitError {
  readonly type: string
  readonly message: string
}

export type ProbeOutcome =
  | { readonly type: 'answered' }
  | { readonly type: 'unknown' }
  | { readonly type: 'failed'; readonly error: CircuitError }

interface Row {
  key: string
  mode: CircuitMode
  reason: string | null
  opened_at: number | null
  open_until: number | null
  open_ms: number | null
  trips: number
  error: CircuitError | null
  probe_until: number | null
  updated_at: number
}

const toCircuit = (row: Row): Circuit => ({
  key: row.key,
  mode: row.mode,
  reason: row.reason,
  openedAt: row.opened_at,
  openUntil: row.open_until,
  openMs: row.open_ms,
  trips: row.trips,
  error: row.error,
  probeUntil: row.probe_until,
  updatedAt: row.updated_at,
})

const columns = 'key, mode, reason, opened_at, open_until, open_ms, trips, error, probe_until, updated_at'
const now = '(extract(epoch FROM clock_timestamp()) * 1000)::bigint'
const closed = `opened_at = NULL, open_until = NULL, open_ms = NULL, trips = 0, error = NULL, probe_id = NULL, probe_until = NULL`

/** However often a probe fails, the next one comes within this time (ms), or within the policy's own when that is longer. */
const LONGEST_OPEN_MS = 300_000

/** All circuits that are not plainly closed: the whole truth of a moment, so that nothing can be missed between two polls. */
async function guarded({ pool }: Database): Promise<Circuit[]> {
  const { rows } = await pool.query<Row>(
    `SELECT ${columns} FROM circuit_breakers WHERE mode <> 'auto' OR opened_at IS NOT NULL`,
  )
  return rows.map(toCircuit)
}

/** Opens a closed circuit. Null: it is open already, or an operator holds it. */
async function open({ pool }: Database, key: string, openMs: number, error: CircuitError): Promise<Circuit | null> {
  const { rows } = await pool.query<Row>(
    `INSERT INTO circuit_breakers AS c (key, opened_at, open_until, open_ms, trips, error, seen_at, updated_at)
     SELECT $1::text, t.now, t.now + $2::bigint, $2::bigint, 1, $3::json, t.now, t.now FROM (SELECT ${now} AS now) AS t
     ON CONFLICT (key) DO UPDATE SET (opened_at, open_until, open_ms, trips, error, updated_at)
       = (excluded.opened_at, excluded.open_until, excluded.open_ms, 1, excluded.error, excluded.updated_at)
       WHERE c.mode = 'auto' AND c.opened_at IS NULL
     RETURNING ${columns}`,
    [key, openMs, JSON.stringify(error)],
  )
  return rows[0] === undefined ? null : toCircuit(rows[0])
}

/** True: this caller alone may try the target, for `leaseMs` unless it renews that. */
async function claimProbe({ pool }: Database, key: string, probeId: string, leaseMs: number): Promise<boolean> {
  const { rowCount } = await pool.query(
    `UPDATE circuit_breakers SET probe_id = $2::uuid, probe_until = ${now} + $3::bigint
     WHERE key = $1::text AND mode = 'auto' AND open_until <= ${now} AND (probe_until IS NULL OR probe_until <= ${now})`,
    [key, probeId, leaseMs],
  )
  return rowCount === 1
}

async function renewProbes({ pool }: Database, probeIds: readonly string[], leaseMs: number): Promise<void> {
  await pool.query(`UPDATE circuit_breakers SET probe_until = ${now} + $2::bigint WHERE probe_id = ANY ($1::uuid[])`, [
    probeIds,
    leaseMs,
  ])
}

/** Nothing when the probe's lease ran out and another took it, or an operator has decided meanwhile. */
async function endProbe({ pool }: Database, key: string, probeId: string, outcome: ProbeOutcome): Promise<void> {
  const isOurs = `WHERE key = $1::text AND probe_id = $2::uuid`
  if (outcome.type === 'answered')
    await pool.query(`UPDATE circuit_breakers SET ${closed}, updated_at = ${now} ${isOurs}`, [key, probeId])
  else if (outcome.type === 'unknown')
    await pool.query(`UPDATE circuit_breakers SET probe_id = NULL, probe_until = NULL ${isOurs}`, [key, probeId])
  else
    await pool.query(
      `UPDATE circuit_breakers SET probe_id = NULL, probe_until = NULL, trips = trips + 1, error = $3::json,
         open_until = ${now} + least(open_ms * 2 ^ least(trips, 20), greatest(open_ms, ${LONGEST_OPEN_MS}))::bigint,
         updated_at = ${now} ${isOurs}`,
      [key, probeId, JSON.stringify(outcome.error)],
    )
}

/** Targets that a node has come to know: they are listed, and known to be in use. */
async function noteTargets({ pool }: Database, keys: readonly string[]): Promise<void> {
  await pool.query(
    `INSERT INTO circuit_breakers AS c (key, seen_at, updated_at)
     SELECT key, t.now, t.now FROM unnest($1::text[]) AS given(key), (SELECT ${now} AS now) AS t ORDER BY key
     ON CONFLICT (key) DO UPDATE SET seen_at = excluded.seen_at`,
    [keys],
  )
}

async function find({ pool }: Database, key: string): Promise<Circuit | null> {
  const { rows } = await pool.query<Row>(`SELECT ${columns} FROM circuit_breakers WHERE key = $1::text`, [key])
  return rows[0] === undefined ? null : toCircuit(rows[0])
}

/** By key, at most `limit` of those after `after`. */
async function list({ pool }: Database, limit: number, after: string | null): Promise<Circuit[]> {
  const { rows } = await pool.query<Row>(
    `SELECT ${columns} FROM circuit_breakers WHERE $2::text IS NULL OR key COLLATE "C" > $2::text
     ORDER BY key COLLATE "C" LIMIT $1`,
    [limit, after],
  )
  return rows.map(toCircuit)
}

/** An operator's word, for targets too that no node has called yet. `auto` closes it: statistics begin anew. */
async function setMode({ pool }: Database, key: string, mode: CircuitMode, reason: string | null): Promise<Circuit> {
  const { rows } = await pool.query<Row>(
    `INSERT INTO circuit_breakers AS c (key, mode, reason, seen_at, updated_at)
     SELECT $1::text, $2::text, $3::text, t.now, t.now FROM (SELECT ${now} AS now) AS t
     ON CONFLICT (key) DO UPDATE SET ${closed}, mode = excluded.mode, reason = excluded.reason,
       updated_at = excluded.updated_at
     RETURNING ${columns}`,
    [key, mode, reason],
  )
  return toCircuit(rows[0]!)
}

/** Forgets closed circuits of targets that nobody has called for `idleMs`. */
async function forget({ pool }: Database, idleMs: number): Promise<void> {
  await pool.query(
    `DELETE FROM circuit_breakers WHERE mode = 'auto' AND opened_at IS NULL AND seen_at < ${now} - $1::bigint`,
    [idleMs],
  )
}

/** What the nodes' breakers share, bound to one database. */
export const createCircuits = (database: Database) => ({
  guarded: () => guarded(database),
  open: (key: string, openMs: number, error: CircuitError) => open(database, key, openMs, error),
  claimProbe: (key: string, probeId: string, leaseMs: number) => claimProbe(database, key, probeId, leaseMs),
  renewProbes: (probeIds: readonly string[], leaseMs: number) => renewProbes(database, probeIds, leaseMs),
  endProbe: (key: string, probeId: string, outcome: ProbeOutcome) => endProbe(database, key, probeId, outcome),
  noteTargets: (keys: readonly string[]) => noteTargets(database, keys),
  find: (key: string) => find(database, key),
  list: (limit: number, after: string | null) => list(database, limit, after),
  setMode: (key: string, mode: CircuitMode, reason: string | null) => setMode(database, key, mode, reason),
  forget: (idleMs: number) => forget(database, idleMs),
})

export type Circuits = ReturnType<typeof createCircuits>

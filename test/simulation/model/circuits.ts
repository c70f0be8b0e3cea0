import type { Circuit, CircuitMode, Circuits, ProbeOutcome } from '../../../src/repository/circuit-breakers.ts'
import { put, remove, type Statement } from './server.ts'
import type { CircuitRow, Tables } from './tables.ts'
import type { Wire } from './wire.ts'

// src/repository/circuit-breakers.ts: every change is one statement, by the database's clock.

const LONGEST_OPEN_MS = 300_000

const closed = {
  ...{ openedAt: null, openUntil: null, openMs: null, trips: 0, error: null, probeId: null, probeUntil: null },
}

const rowOf = (key: string, now: number): CircuitRow => ({
  ...{ key, mode: 'auto', reason: null, ...closed, seenAt: now, updatedAt: now },
})

const toCircuit = ({ probeId: _, seenAt: __, ...circuit }: CircuitRow): Circuit => circuit

const isGuarded = ({ mode, openedAt }: CircuitRow): boolean => mode !== 'auto' || openedAt !== null

const write = (row: CircuitRow) => put((tables: Tables) => tables.circuits, row.key, row)

/** INSERT … ON CONFLICT (key) DO UPDATE: `change` gets the row that is there, or a new one; null leaves it as it is. */
const upsert = (key: string, change: (row: CircuitRow, now: number) => CircuitRow | null, name: string) => {
  const statement: Statement<Circuit | null> = function* (transaction, { circuits }) {
    yield { row: `circuit ${key}`, mode: 'exclusive' }
    const changed = change(circuits.get(key) ?? rowOf(key, transaction.now), transaction.now)
    if (changed === null) return null
    transaction.change(write(changed))
    return toCircuit(changed)
  }
  return Object.defineProperty(statement, 'name', { value: name })
}

/** UPDATE … WHERE `fits`: true when a row did. */
const update = (key: string, change: (row: CircuitRow, now: number) => CircuitRow | null, name: string) => {
  const statement: Statement<boolean> = function* (transaction, { circuits }) {
    yield { row: `circuit ${key}`, mode: 'update' }
    const row = circuits.get(key)
    const changed = row === undefined ? null : change(row, transaction.now)
    if (changed === null) return false
    transaction.change(write(changed))
    return true
  }
  return Object.defineProperty(statement, 'name', { value: name })
}

function ended(row: CircuitRow, outcome: ProbeOutcome, now: number): CircuitRow {
  if (outcome.type === 'answered') return { ...row, ...closed, updatedAt: now }
  const free = { ...row, probeId: null, probeUntil: null }
  if (outcome.type === 'unknown') return free
  const openMs = row.openMs!
  const openFor = Math.min(openMs * 2 ** Math.min(row.trips, 20), Math.max(openMs, LONGEST_OPEN_MS))
  return { ...free, trips: row.trips + 1, error: outcome.error, openUntil: now + openFor, updatedAt: now }
}

/** What the breakers of all nodes of a world share. */
export function modelCircuits(wire: Wire): Circuits {
  const ask = <T>(of: (tables: Tables) => T): Promise<T> =>
    // biome-ignore lint/correctness/useYield: a read waits for nobody
    wire.send(function* reading(_, tables) {
      return of(tables)
    })
  return {
    guarded: () => ask(({ circuits }) => [...circuits.values()].filter(isGuarded).map(toCircuit)),
    open: (key, openMs, error) => {
      const opened = (row: CircuitRow, now: number): CircuitRow | null =>
        isGuarded(row)
          ? null
          : { ...row, openedAt: now, openUntil: now + openMs, openMs, trips: 1, error, updatedAt: now }
      return wire.send(upsert(key, opened, 'openCircuit'))
    },
    claimProbe: (key, probeId, leaseMs) => {
      const claimed = (row: CircuitRow, now: number): CircuitRow | null => {
        const isDue = row.mode === 'auto' && row.openUntil !== null && row.openUntil <= now
        const isFree = row.probeUntil === null || row.probeUntil <= now
        return isDue && isFree ? { ...row, probeId, probeUntil: now + leaseMs } : null
      }
      return wire.send(update(key, claimed, 'claimProbe'))
    },
    renewProbes: (probeIds, leaseMs) =>
      wire.send(function* renewProbes(transaction, { circuits }) {
        for (const { key, probeId } of [...circuits.values()]) {
          if (probeId === null || !probeIds.includes(probeId)) continue
          yield { row: `circuit ${key}`, mode: 'update' }
          const row = circuits.get(key)
          if (row?.probeId === probeId) transaction.change(write({ ...row, probeUntil: transaction.now + leaseMs }))
        }
      }),
    endProbe: async (key, probeId, outcome) => {
      const end = (row: CircuitRow, now: number) => (row.probeId === probeId ? ended(row, outcome, now) : null)
      await wire.send(update(key, end, 'endProbe'))
    },
    noteTargets: (keys) =>
      wire.send(function* noteTargets(transaction, { circuits }) {
        for (const key of [...keys].sort()) {
          yield { row: `circuit ${key}`, mode: 'exclusive' }
          transaction.change(write({ ...(circuits.get(key) ?? rowOf(key, transaction.now)), seenAt: transaction.now }))
        }
      }),
    find: (key) =>
      ask(({ circuits }) => {
        const row = circuits.get(key)
        return row === undefined ? null : toCircuit(row)
      }),
    list: (limit, after) =>
      ask(({ circuits }) =>
        [...circuits.values()]
          .filter(({ key }) => after === null || key > after)
          .sort((a, b) => (a.key < b.key ? -1 : 1))
          .slice(0, limit)
          .map(toCircuit),
      ),
    setMode: async (key, mode: CircuitMode, reason) => {
      const set = (row: CircuitRow, now: number) => ({ ...row, ...closed, mode, reason, updatedAt: now })
      return (await wire.send(upsert(key, set, 'setCircuitMode')))!
    },
    forget: (idleMs) =>
      wire.send(function* forget(transaction, { circuits }) {
        for (const row of [...circuits.values()]) {
          if (isGuarded(row) || row.seenAt >= transaction.now - idleMs) continue
          yield { row: `circuit ${row.key}`, mode: 'exclusive' }
          transaction.change(remove((tables) => tables.circuits, row.key))
        }
      }),
  }
}

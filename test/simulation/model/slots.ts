import { CairnError } from '../../../src/errors.ts'
import type { SlotAsk, SlotKey, SlotRelease, SlotsSettled } from '../../../src/repository/concurrency-slots.ts'
import type { NewInboxItem } from '../../../src/repository/inbox.ts'
import { duplicate, insertInbox } from './flush.ts'
import { put, remove, type Statement, type Transaction } from './server.ts'
import type { SlotRow, Tables } from './tables.ts'

// src/repository/concurrency-slots.ts: who holds and who waits.

const nameOf = (slot: { executionId: string; path: string; ticket: number | null }): string =>
  `${slot.executionId}/${slot.ticket}/${slot.path}`

const lock = (row: SlotRow) => `slot ${nameOf(row)}`

const keyOf = ({ namespace, scope, key }: SlotKey): string => `${namespace}\n${scope}\n${key}`

/** The part of a flush that asks; the identity is taken at once, by statements that fail too. */
export function* askSlots(transaction: Transaction, tables: Tables, asks: readonly SlotAsk[]) {
  for (const ask of asks) {
    const name = nameOf(ask)
    yield { row: `slot ${name}`, mode: 'exclusive' } as const
    if (tables.slots.has(name)) throw duplicate('concurrency_slots_pkey')
    const { at: changedAt, ...rest } = ask
    const row: SlotRow = { ...rest, state: 'asked', isLeaving: false, place: tables.nextPlace++, changedAt }
    transaction.change(put((all) => all.slots, name, row))
  }
}

/** The part of a flush that gives back: it waits for who is just changing the row. */
export function* releaseSlots(transaction: Transaction, tables: Tables, releases: readonly SlotRelease[]) {
  for (const { executionId, ticket, path, at } of releases) {
    const meant = [...tables.slots.values()].filter(
      (row) => row.executionId === executionId && (ticket === null || (row.ticket === ticket && row.path === path)),
    )
    for (const row of meant) {
      yield { row: lock(row), mode: 'update' } as const
      const present = tables.slots.get(nameOf(row))
      if (present === undefined || present.state === 'released') continue
      transaction.change(put((all) => all.slots, nameOf(row), { ...present, state: 'released', changedAt: at }))
    }
  }
}

/** One key after another; what the statements of the message have changed so far is in `line`. */
export const settleStatement = (keys: readonly SlotKey[]): Statement<SlotsSettled> =>
  function* settle(transaction, tables) {
    const names = [...new Set(keys.map(keyOf))].sort()
    for (const name of names) yield { row: `line ${name}`, mode: 'exclusive' }
    const settled = { granted: [] as string[], refused: [] as string[], cancelled: [] as string[] }
    for (const name of names) settleLine(transaction, tables, name, settled)
    return settled
  }

function settleLine(
  transaction: Transaction,
  tables: Tables,
  name: string,
  settled: { granted: string[]; refused: string[]; cancelled: string[] },
): void {
  const all = [...tables.slots.values()].filter((row) => keyOf(row) === name)
  // FOR UPDATE SKIP LOCKED.
  const isFree = (row: SlotRow): boolean => transaction.tryLock(lock(row), 'exclusive')
  const line: SlotRow[] = []
  for (const row of all) {
    if (row.state === 'released' && isFree(row)) transaction.change(remove((t) => t.slots, nameOf(row)))
    else if (row.state === 'asked' && isFree(row)) line.push({ ...row, state: 'waiting' })
    else line.push(row)
  }
  const change = (row: SlotRow, to: Partial<SlotRow>): void => void line.splice(line.indexOf(row), 1, { ...row, ...to })
  const held = (): SlotRow[] => line.filter(({ state }) => state === 'held')
  const newest = line.toSorted((a, b) => b.place - a.place)[0]
  const byTurn = (a: SlotRow, b: SlotRow): number => a.turn - b.turn || a.place - b.place
  for (const row of line.filter(({ state }) => state === 'waiting').sort(byTurn)) {
    if (held().length >= newest!.limit) break
    if (!isFree(row)) continue
    change(row, { state: 'held', changedAt: transaction.now })
    tell(transaction, tables, row, { path: row.path, ticket: row.ticket })
    settled.granted.push(row.executionId)
  }
  const impatient = line.filter(({ state, onLimit }) => state === 'waiting' && onLimit !== 'queue')
  const refused = impatient.filter((row) => row.onLimit !== 'cancel_running' && isFree(row))
  for (const row of refused) {
    const holders = held().sort(byTurn).slice(0, 10)
    const outcome = row.onLimit === 'reject' ? 'fail' : 'cancel'
    const ids = holders.map(({ executionId }) => executionId)
    tell(transaction, tables, row, { path: row.path, ticket: row.ticket, outcome, limit: newest!.limit, holders: ids })
    settled.refused.push(row.executionId)
    line.splice(line.indexOf(row), 1)
    transaction.change(remove((t) => t.slots, nameOf(row)))
  }
  const taker = impatient.filter((row) => row.onLimit === 'cancel_running').sort((a, b) => b.place - a.place)[0]
  if (taker !== undefined) settled.cancelled.push(...makeRoom(transaction, tables, line, taker, isFree, change))
  for (const row of line.filter(({ state, onLimit }) => state === 'waiting' && onLimit === 'cancel_running')) {
    if (isFree(row)) change(row, { onLimit: 'queue' })
  }
  for (const row of line) {
    if (tables.slots.get(nameOf(row)) !== row) transaction.change(put((t) => t.slots, nameOf(row), row))
  }
}

/** src/repository/slot-at-start.ts: under the lock of the key, at once or not at all. */
export function* takeSlotAtStart(transaction: Transaction, tables: Tables, ask: SlotAsk) {
  yield { row: `line ${keyOf(ask)}`, mode: 'exclusive' } as const
  const line = lineOf(tables, ask)
  if (line.length >= ask.limit) throw refusalOf(line, ask)
  const { at: changedAt, ...rest } = ask
  const row: SlotRow = { ...rest, state: 'held', isLeaving: false, place: tables.nextPlace++, changedAt }
  transaction.change(put((all) => all.slots, nameOf(row), row))
}

/** The same of a start that would have `leaving` cancelled first. */
export function checkSlotWithout(tables: Tables, ask: SlotAsk, leaving: string): void {
  const line = lineOf(tables, ask)
  if (line.filter(({ executionId }) => executionId !== leaving).length >= ask.limit) throw refusalOf(line, ask)
}

const lineOf = ({ slots }: Tables, ask: SlotAsk): SlotRow[] =>
  [...slots.values()].filter((row) => keyOf(row) === keyOf(ask) && row.state !== 'released')

function refusalOf(line: readonly SlotRow[], { scope, key, limit }: SlotAsk): CairnError {
  const rank = (row: SlotRow): number => (row.state === 'held' ? 0 : 1)
  const inOrder = line.toSorted((a, b) => rank(a) - rank(b) || a.turn - b.turn || a.place - b.place)
  const holders = inOrder.slice(0, 10).map(({ executionId }) => executionId)
  const details = { scope, key, limit, holders }
  return new CairnError('CONCURRENCY_LIMIT', [key, limit, holders.join(', ')], { details })
}

function makeRoom(
  transaction: Transaction,
  tables: Tables,
  line: readonly SlotRow[],
  taker: SlotRow,
  isFree: (row: SlotRow) => boolean,
  change: (row: SlotRow, to: Partial<SlotRow>) => void,
): string[] {
  const ahead = line.filter(
    ({ state, place, executionId, isLeaving }) =>
      (state === 'waiting' || state === 'held') &&
      place < taker.place &&
      executionId !== taker.executionId &&
      !isLeaving,
  )
  const tooMany = Math.max(0, ahead.length - (taker.limit - 1))
  const chosen = ahead.toSorted((a, b) => a.place - b.place).slice(0, tooMany)
  const leaving = chosen.filter((row) => isFree(row))
  for (const row of leaving) change(row, { isLeaving: true })
  const ids = [...new Set(leaving.map(({ executionId }) => executionId))]
  const reason = `execution ${taker.executionId} takes its slot`
  for (const executionId of ids) insert(transaction, tables, { executionId, kind: 'cancel', payload: { reason } })
  return ids
}

function tell(
  transaction: Transaction,
  tables: Tables,
  { executionId }: SlotRow,
  payload: NewInboxItem['payload'],
): void {
  insert(transaction, tables, { executionId, kind: 'slot', payload })
}

function insert(
  transaction: Transaction,
  tables: Tables,
  item: Pick<NewInboxItem, 'executionId' | 'kind' | 'payload'>,
): void {
  // gen_random_uuid(), as repeatable as everything here.
  const requestId = `00000000-0000-4000-8000-${tables.nextInboxId.toString(16).padStart(12, '0')}`
  insertInbox(transaction, tables, { ...item, name: null, requestId, at: transaction.now })
}

export function unsettledKeys(tables: Tables, before: number, limit: number): SlotKey[] {
  const open = [...tables.slots.values()].filter(
    ({ state, changedAt }) => (state === 'asked' || state === 'released') && changedAt < before,
  )
  const oldest = open.toSorted((a, b) => a.changedAt - b.changedAt).slice(0, limit)
  const keys = oldest.map(({ namespace, scope, key }) => ({ namespace, scope, key }))
  return [...new Map(keys.map((key) => [keyOf(key), key])).values()]
}

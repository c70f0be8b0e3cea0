import type { Plan } from '../../src/definition/plan.ts'
import { holderAt, slotsOf } from '../../src/engine/core/slots.ts'
import { isFinished, parentPath } from '../../src/engine/core/state.ts'
import { planOf } from '../../src/engine/core/turn.ts'
import type { SlotKey } from '../../src/repository/concurrency-slots.ts'
import type { Audit } from './audit.ts'
import type { Effect } from './effects.ts'
import type { Mirror } from './mirror.ts'
import type { Server } from './model/server.ts'
import type { EventRow, SlotRow } from './model/tables.ts'

/** Where nothing goes wrong, a free slot is given away within this time, ms. */
const GIVEN_WITHIN_MS = 5_000

/** Watches the lines of keys: never more hold one than may, nobody acts without what he must hold, nothing is left held. */
export class Lines {
  readonly #audit: Audit
  readonly #server: Server
  readonly #isCalm: boolean
  /** The highest limit that anybody has asked for, by line. */
  readonly #limits = new Map<string, number>()
  /** Since when somebody waits for a line with room in it, ms since 1970. */
  readonly #idleSince = new Map<string, number>()

  constructor(audit: Audit, server: Server, isCalm: boolean) {
    this.#audit = audit
    this.#server = server
    this.#isCalm = isCalm
  }

  committed(): void {
    const { slots } = this.#server.tables
    const rows = [...slots.values()].filter(({ state }) => state !== 'released')
    for (const row of rows) this.#limits.set(lineOf(row), Math.max(row.limit, this.#limits.get(lineOf(row)) ?? 0))
    const inTable = rows.filter(({ state }) => state === 'held').map(lineOf)
    this.#expectRoom(inTable, 'as the table has it')
    for (const row of rows) this.#expectWanted(row)
    const inJournal: string[] = []
    for (const mirror of this.#audit.mirrors.values()) {
      if (hasSlots(mirror.plan) && isReadable(mirror)) inJournal.push(...this.#heldBy(mirror))
    }
    this.#expectRoom(inJournal, 'as the journals have it')
    if (this.#isCalm) this.#expectGiven(rows)
  }

  /** Whoever acts holds what stands around it; what takes back what was done under a slot does without. */
  acting({ executionId, path }: Effect, { plan, state }: Mirror): void {
    if (!hasSlots(plan) || path.includes('[compensate]')) return
    for (let at: string | null = path; at !== null; at = at === '' ? null : parentPath(at)) {
      const step = state.steps.get(at)
      const needed = at === '' ? plan.slot : step && planOf(plan, step).slot
      if (needed == null || holderAt(state, at)?.slot?.isHeld === true) continue
      this.#audit.fault('who acts holds what it must', `${executionId.slice(-4)} ${path} without that of "${at}"`)
    }
  }

  /** Executions that a line has cancelled, by the policy of who stands in it. */
  cancelled(): ReadonlySet<string> {
    const ids = new Set<string>()
    for (const [id, events] of this.#audit.archive.events) {
      for (const row of events.values()) if (this.#isCancel(row)) ids.add(id)
    }
    return ids
  }

  settled(): void {
    for (const row of this.#server.tables.slots.values()) {
      if (row.state !== 'released') this.#audit.fault('nothing is left in a line', `${nameOf(row)}: ${row.state}`)
    }
    for (const events of this.#audit.archive.events.values()) {
      for (const { executionId, type, text } of events.values()) {
        const { holders, timeoutMs } = type === 'slot.refused' ? JSON.parse(text) : {}
        // Who has waited too long is told by nobody.
        if (holders?.length === 0 && timeoutMs === undefined)
          this.#audit.fault('who is refused a slot hears who holds it', `${executionId}: ${text}`)
      }
    }
  }

  #isCancel({ executionId, type, text }: EventRow): boolean {
    if (type === 'slot.refused') return JSON.parse(text).outcome === 'cancel'
    const taker = type === 'execution.cancelled' ? /execution (\S+) takes its slot/.exec(text)?.[1] : undefined
    if (taker === undefined) return false
    const asks = this.#audit.archive.eventsOf(taker).some((row) => row.text.includes('"cancel_running"'))
    if (!asks && !this.#audit.hasLostCommits)
      this.#audit.fault('only who asks for it makes others go', `${taker}: ${executionId}`)
    return true
  }

  /** The lines of what a journal says that it holds; the table says so too. */
  #heldBy({ state, row: { id, namespace } }: Mirror): string[] {
    const lines: string[] = []
    for (const slot of slotsOf(state)) {
      if (!holderAt(state, slot.path)!.slot!.isHeld) continue
      const row = this.#server.tables.slots.get(`${id}/${slot.ticket}/${slot.path}`)
      if (row?.state !== 'held')
        this.#fault('who holds a slot is known to hold it', `${id.slice(-4)} ${slot.path}: ${row?.state}`)
      lines.push(lineOf({ namespace, ...slot }))
    }
    return lines
  }

  #expectRoom(held: readonly string[], where: string): void {
    const counts = new Map<string, number>()
    for (const line of held) counts.set(line, (counts.get(line) ?? 0) + 1)
    for (const [line, count] of counts) {
      const limit = this.#limits.get(line) ?? 0
      if (count > limit)
        this.#fault('no more hold a key than may', `${count} of ${limit}: ${line.replaceAll('\n', ' ')}, ${where}`)
    }
  }

  /** Nobody stands in a line for nothing: what ends gives back in the same commit. */
  #expectWanted(row: SlotRow): void {
    const mirror = this.#audit.mirrors.get(row.executionId)
    if (mirror === undefined || !isReadable(mirror)) return
    if (isFinished(mirror.state.status) || holderAt(mirror.state, row.path)?.slot?.ticket !== row.ticket)
      this.#fault('what has ended holds nothing', `${nameOf(row)} is ${row.state}`)
  }

  #expectGiven(rows: readonly SlotRow[]): void {
    const lines = new Map<string, SlotRow[]>()
    for (const row of rows) lines.set(lineOf(row), [...(lines.get(lineOf(row)) ?? []), row])
    for (const line of this.#idleSince.keys()) if (!lines.has(line)) this.#idleSince.delete(line)
    for (const [line, own] of lines) {
      const limit = own.toSorted((a, b) => b.place - a.place)[0]!.limit
      const isIdle = own.some(({ state }) => state === 'waiting') && own.filter(isHeld).length < limit
      if (!isIdle) this.#idleSince.delete(line)
      const since = isIdle ? (this.#idleSince.get(line) ?? this.#server.now) : this.#server.now
      if (isIdle) this.#idleSince.set(line, since)
      if (this.#server.now - since > GIVEN_WITHIN_MS)
        this.#fault('a free slot is given to who waits', `${line.replaceAll('\n', ' ')} since ${since}`)
    }
  }

  #fault(rule: string, what: string): void {
    this.#audit.fault(rule, what)
  }
}

const isHeld = ({ state }: SlotRow): boolean => state === 'held'

const lineOf = ({ namespace, scope, key }: SlotKey): string => `${namespace}\n${scope}\n${key}`

const nameOf = ({ executionId, path, ticket, scope, key }: SlotRow): string =>
  `${executionId.slice(-4)} "${path}" #${ticket} of ${scope} ${key}`

/** Of a quarantined one nobody knows what it holds; it gives all of it back. */
const isReadable = ({ quarantine }: Mirror): boolean => quarantine === null

const known = new WeakMap<Plan, boolean>()

function hasSlots(plan: Plan): boolean {
  let has = known.get(plan)
  if (has === undefined) {
    has = plan.slot !== null || [...plan.steps.values()].some(({ slot }) => slot !== null)
    known.set(plan, has)
  }
  return has
}

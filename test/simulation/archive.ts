import { isFinished } from '../../src/engine/core/state.ts'
import type { Server } from './model/server.ts'
import type { EventRow, StoredRow } from './model/tables.ts'

type Fault = (rule: string, what: string) => void

/** All that was ever committed, whatever retention and compaction have removed since: what the audit goes by. */
export class Archive {
  /** By execution, then by seq, from 1 on without a hole. */
  readonly events = new Map<string, Map<number, EventRow>>()
  /** Each row as it was last. */
  readonly rows = new Map<string, StoredRow>()
  /** Whose rows retention has removed. */
  readonly retired = new Set<string>()
  /** By how many commits each execution was there. */
  readonly #there = new Map<string, number>()
  readonly #server: Server
  readonly #fault: Fault

  constructor(server: Server, fault: Fault) {
    this.#server = server
    this.#fault = fault
  }

  eventsOf(executionId: string): EventRow[] {
    return [...(this.events.get(executionId)?.values() ?? [])]
  }

  /** Takes in what a commit has changed. */
  committed(): void {
    const { tables } = this.#server
    for (const [id, events] of tables.events) {
      const own = this.events.get(id) ?? new Map<number, EventRow>()
      for (let next = events.get(own.size + 1); next !== undefined; next = events.get(own.size + 1)) {
        own.set(next.seq, next)
        this.events.set(id, own)
        if (next.seq === 1) this.#there.set(id, this.#server.commits)
      }
    }
    for (const [id, row] of this.rows) {
      if (!tables.executions.has(id) && !this.retired.has(id)) this.#retire(row)
    }
    for (const [id, row] of tables.executions) this.rows.set(id, row)
  }

  /** The newest commits are lost: so is what they brought, and what they removed is there again. */
  turnedBack(): void {
    const { tables, commits } = this.#server
    // Of these the start is lost, and with it whatever retention had made of them.
    for (const [id, there] of this.#there) if (there > commits) this.#forget(id)
    for (const [id, own] of this.events) {
      const there = tables.events.get(id)
      if (there === undefined || there.size === 0) {
        if (!tables.retired.has(id) && !this.retired.has(id)) this.#forget(id)
        continue
      }
      const last = Math.max(...there.keys())
      for (const seq of [...own.keys()]) {
        const row = there.get(seq)
        if (seq > last) own.delete(seq)
        else if (row !== undefined) own.set(seq, row)
      }
    }
    for (const id of [...this.rows.keys()]) {
      if (tables.executions.has(id)) this.retired.delete(id)
      else if (!this.retired.has(id)) this.rows.delete(id)
    }
    this.committed()
  }

  /** A journal is one piece, from wherever it begins to its end. */
  settled(): void {
    for (const [id, events] of this.#server.tables.events) {
      const seqs = [...events.keys()]
      if (seqs.length === 0) continue
      const [first, last] = [Math.min(...seqs), Math.max(...seqs)]
      if (last - first + 1 !== seqs.length || this.events.get(id)?.size !== last)
        this.#fault('seq has no hole', `${id}: ${seqs.length} events from ${first} to ${last}`)
    }
  }

  #forget(id: string): void {
    this.events.delete(id)
    this.rows.delete(id)
    this.retired.delete(id)
    this.#there.delete(id)
  }

  #retire({ id, status, owner, parentExecutionId }: StoredRow): void {
    this.retired.add(id)
    const { executions, inbox } = this.#server.tables
    const parent = executions.get(parentExecutionId ?? '')
    const isAsked = [...inbox.values()].some(({ executionId }) => executionId === id)
    const isAwaited = parent !== undefined && !isFinished(parent.status)
    if (isFinished(status) && owner === null && !isAsked && !isAwaited) return
    this.#fault('what lives is never removed', `${id}: ${status}, ${owner}, asked ${isAsked}, awaited ${isAwaited}`)
  }
}

import type { EmitPlan } from '../../src/definition/plan.ts'
import { isFinished, stepIdOf } from '../../src/engine/core/state.ts'
import type { Audit } from './audit.ts'
import type { Server, Transaction } from './model/server.ts'
import type { StoredRow } from './model/tables.ts'

interface Sent {
  readonly executionId: string
  readonly requestId: string
  /** Otherwise its receiver had ended. */
  isLeft: boolean
}

/** Watches emitted signals: each reaches all that it is for, once. */
export class Mail {
  readonly #audit: Audit
  readonly #server: Server
  /** How many commits there were when an execution's events became known, by seq. */
  readonly #knownAt = new Map<string, number[]>()
  #commits = 0
  /** What the transaction that is being committed sends. */
  #sending: Sent[] = []
  readonly #sent: Sent[] = []

  constructor(audit: Audit, server: Server) {
    this.#audit = audit
    this.#server = server
  }

  /** What says that a signal was sent is committed with what sends it, to everybody who was there when it was looked who is. */
  committing({ flush }: Transaction): void {
    for (const { executionId, events, sends = [] } of flush?.appends ?? []) {
      const mirror = this.#audit.mirrors.get(executionId)
      const told = sends.filter(({ kind }) => kind === 'signal')
      let delivered = 0
      for (const { type, path, text } of events) {
        const plan = type === 'step.completed' ? mirror?.plan.steps.get(stepIdOf(path!)) : undefined
        if (plan?.type !== 'emit') continue
        const count: number = JSON.parse(text).output.delivered
        delivered += count
        this.#expectAll(executionId, path!, plan, new Set(told.map((item) => item.executionId)), count)
      }
      if (delivered !== told.length)
        this.#fault('what is emitted is sent', `${executionId}: ${told.length} signals, and ${delivered} delivered`)
      this.#sending.push(
        ...told.map(({ executionId, requestId }) => ({ executionId, requestId: requestId!, isLeft: false })),
      )
    }
  }

  committed(): void {
    this.#commits += 1
    for (const [id, events] of this.#audit.archive.events) {
      const known = this.#knownAt.get(id) ?? []
      if (known.length === 0) this.#knownAt.set(id, known)
      while (known.length < events.size) known.push(this.#commits)
      // Lost commits.
      known.length = events.size
    }
    const { executions, inbox } = this.#server.tables
    for (const sent of this.#sending.splice(0)) {
      this.#sent.push(sent)
      sent.isLeft = [...inbox.values()].some(({ requestId }) => requestId === sent.requestId)
      if (!sent.isLeft && !isFinished(executions.get(sent.executionId)?.status ?? 'failed'))
        this.#fault('who lives gets the signal that is for him', JSON.stringify(sent))
    }
  }

  settled(): void {
    if (this.#audit.hasLostCommits) return
    for (const { executionId, requestId, isLeft } of this.#sent) {
      const received = this.#audit.archive
        .eventsOf(executionId)
        .filter(({ type, text }) => type === 'signal.received' && text.includes(requestId)).length
      if (received !== (isLeft ? 1 : 0) && this.#audit.mirrors.get(executionId)?.hasBeenQuarantined !== true)
        this.#fault('an emitted signal is received once', `${executionId}: ${received} times ${requestId}`)
    }
  }

  #expectAll(from: string, path: string, plan: EmitPlan, told: ReadonlySet<string>, count: number): void {
    const what = `${from.slice(-4)} ${path}`
    if (plan.addressedBy.includes('executionId')) {
      if (count !== 1 || !told.has(from)) this.#fault('a signal reaches who is named', `${what}: ${count}`)
      return
    }
    const { executions } = this.#server.tables
    const self = executions.get(from)!
    const before = this.#lookedAfter(from, path)
    for (const row of executions.values()) {
      if (row.id === from || isFinished(row.status) || !isMeant(plan, self, row) || told.has(row.id)) continue
      const { retries, state } = this.#audit.mirrors.get(row.id)!
      // It may have ended and come back meanwhile.
      if (retries > 0 || state.generation > 0) continue
      if ((this.#knownAt.get(row.id)?.[0] ?? Number.POSITIVE_INFINITY) <= before)
        this.#fault('a signal reaches everybody who is there', `${what}: not ${row.id.slice(-4)}`)
    }
  }

  /** How many commits there had been, at least, when it was looked who is there. */
  #lookedAfter(executionId: string, path: string): number {
    const { startedAt } = this.#audit.mirrors.get(executionId)!.state.steps.get(path)!
    const events = this.#audit.archive.eventsOf(executionId)
    const begun = events.findIndex(({ at }) => at >= startedAt!)
    return this.#knownAt.get(executionId)![begun]!
  }

  #fault(rule: string, what: string): void {
    if (!this.#audit.hasLostCommits) this.#audit.fault(rule, what)
  }
}

/** The addresses that definitions.ts knows. */
const isMeant = ({ addressedBy }: EmitPlan, self: StoredRow, row: StoredRow): boolean =>
  addressedBy.includes('executionKey') ? row.executionKey === 'order 1' : row.correlationId === self.correlationId

import type { ApprovalPlan } from '../../src/definition/plan.ts'
import type { DecisionAnswer } from '../../src/engine/approvals.ts'
import { openApprovals } from '../../src/engine/core/approvals.ts'
import { isFinished, stepIdOf } from '../../src/engine/core/state.ts'
import type { CairnError } from '../../src/errors.ts'
import type { Audit } from './audit.ts'
import type { Server } from './model/server.ts'
import type { StoredApproval } from './model/tables.ts'

/** Watches approvals: each is decided once, whoever hears so can rely on it, and the list says what the journal does. */
export class Decisions {
  readonly #audit: Audit
  readonly #server: Server
  /** Answered with 202: they are to be taken, or turned down, later. */
  readonly #promised: { readonly executionId: string; readonly approvalId: string; readonly by: string }[] = []

  constructor(audit: Audit, server: Server) {
    this.#audit = audit
    this.#server = server
  }

  hasForm({ executionId, path }: Pick<StoredApproval, 'executionId' | 'path'>): boolean {
    const plan = this.#audit.mirrors.get(executionId)?.plan.steps.get(stepIdOf(path)) as ApprovalPlan | undefined
    return plan !== undefined && plan.form !== null
  }

  /** Somebody hears that his decision was taken, or will be unless another one came before it. */
  answered(approvalId: string, by: string, { approval, effective }: DecisionAnswer): void {
    if (this.#audit.hasLostCommits) return
    const { executionId } = approval
    if (!effective) return void this.#promised.push({ executionId, approvalId, by })
    const decided = this.#decided(executionId, approvalId)
    if (decided.length === 1 && decided[0]!.by === by && decided[0]!.decision === approval.status) return
    const what = `${by} hears ${approval.status} of ${approvalId.slice(-4)}: ${JSON.stringify(decided)}`
    this.#audit.fault('an answer means that it is durable', what)
  }

  /** Somebody hears that he comes too late. */
  refused(approvalId: string, by: string, { details }: CairnError): void {
    if (this.#audit.hasLostCommits) return
    const row = this.#server.tables.approvals.get(approvalId)
    const execution = this.#server.tables.executions.get(row?.executionId ?? '')
    const isOpen = row?.status === 'open' && !isFinished(execution?.status ?? 'failed')
    const { decidedBy } = details as { readonly decidedBy: string | null }
    if (isOpen || decidedBy === by)
      this.#audit.fault('who is refused came too late', `${by} at ${approvalId.slice(-4)}: ${JSON.stringify(details)}`)
  }

  committed(): void {
    const { approvals } = this.#server.tables
    for (const { id, path, status, executionId } of approvals.values()) {
      const mirror = this.#audit.mirrors.get(executionId)
      if (mirror === undefined || mirror.quarantine !== null) continue
      const isOpen = openApprovals(mirror.state)[id] === path
      if (isOpen !== (status === 'open'))
        this.#fault(`${id.slice(-4)} at ${path} is ${isOpen ? 'open' : 'closed'}, and listed as ${status}`)
    }
    for (const { state, row } of this.#audit.mirrors.values()) {
      if (this.#audit.archive.retired.has(row.id)) continue
      for (const id of Object.keys(openApprovals(state))) if (!approvals.has(id)) this.#fault(`${id} is not listed`)
    }
  }

  settled(): void {
    for (const executionId of this.#audit.archive.events.keys()) {
      const seen = new Set<string>()
      for (const { approvalId } of this.#decided(executionId)) {
        if (seen.has(approvalId)) this.#audit.fault('an approval is decided once', `${executionId}: ${approvalId}`)
        seen.add(approvalId)
      }
    }
    for (const { executionId, approvalId, by } of this.#audit.hasLostCommits ? [] : this.#promised) {
      const isTaken = this.#decided(executionId, approvalId).some((decision) => decision.by === by)
      const isRefused = this.#audit.archive
        .eventsOf(executionId)
        .some(({ type, text }) => type === 'control.refused' && text.includes(approvalId))
      const isGone = this.#audit.mirrors.get(executionId)?.hasBeenQuarantined === true
      if (!isTaken && !isRefused && !isGone)
        this.#audit.fault('an answer means that it is durable', `what ${by} said of ${approvalId.slice(-4)} is gone`)
    }
  }

  #decided(executionId: string, approvalId?: string): { approvalId: string; by: string | null; decision: string }[] {
    return this.#audit.archive
      .eventsOf(executionId)
      .filter(({ type }) => type === 'approval.decided')
      .map(({ text }) => JSON.parse(text))
      .filter((decision) => approvalId === undefined || decision.approvalId === approvalId)
  }

  #fault(what: string): void {
    this.#audit.fault('the list of approvals says what the journal does', what)
  }
}

import type { Json } from '../definition/json.ts'
import type { ApprovalPlan } from '../definition/plan.ts'
import { CairnError } from '../errors.ts'
import type { ApprovalView } from '../repository/approvals.ts'
import type { Keyed } from '../repository/idempotency.ts'
import type { ApprovalDecision } from './core/event.ts'
import { stepIdOf } from './core/state.ts'
import type { NodeParts } from './node-life.ts'
import { ANSWER_WITHIN_MS, answers, type Requests } from './requests.ts'

export interface DecisionRequest {
  readonly decision: 'approve' | 'reject'
  /** What was filled in; it must fit the form. */
  readonly data?: Json | undefined
  /** Who decides, as the caller says. */
  readonly by?: string | undefined
  readonly comment?: string | undefined
  readonly idempotencyKey?: string | undefined
}

/** With the form that the data of a decision must fit; null: anything does. */
export type Approval = ApprovalView & { readonly form: Json }

export interface DecisionAnswer {
  readonly approval: Approval
  /** False: it is durable and will be taken, unless another one comes before it, but has not within the time that was waited. */
  readonly effective: boolean
  readonly replayed: boolean
}

/** What a decision takes beside what was said, in the output of its step, in bytes. */
const AROUND_BYTES = 200

/**
 * The way of a decision: into the inbox of the execution that asks. Whoever owns that takes the first one, so two that decide on two
 * nodes hear the same; the list says what the journal does.
 */
export class Approvals {
  readonly #parts: NodeParts
  readonly #requests: Requests

  constructor(parts: NodeParts, requests: Requests) {
    this.#parts = parts
    this.#requests = requests
  }

  /** APPROVAL_NOT_FOUND. */
  async find(approvalId: string): Promise<Approval> {
    const approval = await this.#find(approvalId)
    return { ...approval, form: (await this.#planOf(approval)).form }
  }

  /**
   * Approves or rejects, and waits up to 5 s until the execution has taken it. APPROVAL_NOT_FOUND, APPROVAL_CLOSED with what was
   * decided before, APPROVAL_DATA_INVALID, PAYLOAD_TOO_LARGE.
   */
  async decide(
    approvalId: string,
    { idempotencyKey: key, decision, ...given }: DecisionRequest,
  ): Promise<DecisionAnswer> {
    const { store, feed } = this.#parts
    const { data = null, by = null, comment = null } = given
    const said = { decision: decision === 'approve' ? 'approved' : 'rejected', data, by, comment } as const
    const post = { kind: 'approval', name: approvalId, payload: said, route: `approval ${approvalId}`, key } as const
    const { executionId } = await this.#find(approvalId)
    // Read before the approval: what closes an open one comes after this seq.
    const lastSeq = (await store.findExecutionView(executionId))?.lastSeq ?? 0
    const approval = await this.#find(approvalId)
    if (approval.status !== 'open') return this.#outcome(approval, await this.#requests.repeated(post))
    await this.#check(approval, said)
    const posted = await this.#requests.post(executionId, post)
    await feed.waitFor(executionId, lastSeq, (event) => answers(event, posted.requestId), ANSWER_WITHIN_MS)
    return this.#outcome(await this.#find(approvalId), posted)
  }

  /** What a request came to, by what is listed: a closed approval names the request that closed it. */
  async #outcome(
    approval: ApprovalView,
    posted: Pick<Keyed, 'requestId' | 'replayed'> | null,
  ): Promise<DecisionAnswer> {
    const effective = approval.status !== 'open'
    if (posted === null || (effective && approval.requestId !== posted.requestId)) throw closedError(approval)
    return {
      approval: { ...approval, form: (await this.#planOf(approval)).form },
      effective,
      replayed: posted.replayed,
    }
  }

  async #find(approvalId: string): Promise<ApprovalView> {
    const approval = await this.#parts.store.findApproval(approvalId)
    if (approval === null) throw new CairnError('APPROVAL_NOT_FOUND', [approvalId])
    return approval
  }

  async #planOf({ workflowId, workflowVersion, path }: ApprovalView): Promise<ApprovalPlan> {
    const { steps } = await this.#parts.plans.get(workflowId, workflowVersion)
    return steps.get(stepIdOf(path)) as ApprovalPlan
  }

  /** Before anything is stored. Who rejects need not fill in the form. */
  async #check(approval: ApprovalView, said: Pick<ApprovalDecision, 'decision' | 'data'>): Promise<void> {
    const { maxPayloadBytes } = this.#parts.settings
    const bytes = Buffer.byteLength(JSON.stringify(said)) + AROUND_BYTES
    if (bytes > maxPayloadBytes) throw new CairnError('PAYLOAD_TOO_LARGE', ['decision', bytes, maxPayloadBytes])
    const plan = await this.#planOf(approval)
    if (plan.formFaults === null || (said.decision === 'rejected' && said.data === null)) return
    const faults = plan.formFaults(said.data).map(({ pointer, message }) => ({ pointer: `/data${pointer}`, message }))
    if (faults.length > 0) throw new CairnError('APPROVAL_DATA_INVALID', [approval.id], { faults })
  }
}

/** It says what was decided before, and by whom. */
function closedError({ id, status, by, comment, closedAt }: ApprovalView): CairnError {
  const at = closedAt === null ? null : new Date(closedAt).toISOString()
  const details = { approvalStatus: status, decidedBy: by, comment, closedAt: at }
  return new CairnError('APPROVAL_CLOSED', [id, status, by === null ? '' : ` by ${by}`], { details })
}

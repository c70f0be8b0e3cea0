import type { Json, JsonObject } from '../../../definition/json.ts'
import type { ApprovalPlan, StepPlan } from '../../../definition/plan.ts'
import { LONGEST } from '../../../definition/steps/approval.ts'
import { isStorable } from '../../../definition/stored-text.ts'
import { forgetCompletions } from '../aftermath.ts'
import { closeApproval, openApproval } from '../approvals.ts'
import { addProgress } from '../counting.ts'
import type { ApprovalDecision, ApprovalRequest, Fact } from '../event.ts'
import { bodyPath, type Frame, type StepState } from '../state.ts'
import type { Turn } from '../turn.ts'
import type { Deciding } from './behaviour.ts'
import { momentOf, shown } from './duration.ts'
import { askToDecide, cancelInside, complete, fail, failure, forgetInside, reach, skip } from './step.ts'

/*
 * running (who is asked?) ──approval.requested──▶ waiting ──approval.decided──▶ completed | failed
 *                                                  │  ▲                             ▲
 *                        its deadline is over ─────┘  └── outcome wait              │ outcome approve, reject, fail
 *                                  ▼                              │                 │
 *                            running, with the steps of onDeadline ┴─────────────────┘
 *
 * It is open, and can be decided, from the request on until a decision or its end.
 */
type Asked = Extract<Frame, { type: 'approval' }>

export function begin(turn: Turn, _plan: ApprovalPlan, step: StepState): void {
  step.entered = true
  delete step.approval
  delete step.decision
  askToDecide(turn, step)
}

export const isUndecided = (step: StepState): boolean => step.deciding === true

/** Whom to ask for what; later what has come of it. */
export function decide(place: Deciding): Fact {
  const { step } = place
  const plan = place.stepPlan as ApprovalPlan
  if (step.approval === undefined) return requestOf(plan, place)
  if (step.decision !== undefined) return endOf(plan, step)
  const { path, approval: approvalId } = step
  if (plan.afterDeadline === 'fail') return failure(path, 'TimeoutError', 'nobody has decided in time', { approvalId })
  const decision = plan.afterDeadline === 'approve' ? 'approved' : 'rejected'
  const data = { approvalId, decision, data: null, by: null, comment: null, isByDeadline: true } as const
  return { type: 'approval.decided', path, data }
}

const MOST_PEOPLE = 100
const isText = (value: Json | undefined, longest: number): value is string =>
  typeof value === 'string' && value !== '' && value.length <= longest && isStorable(value)

function requestOf({ request, deadline }: ApprovalPlan, { step: { path }, scope, state, ids }: Deciding): Fact {
  const { title, description, assignees, groups } = request.render(scope) as JsonObject
  const wrong = (what: string, wanted: string, given: Json | undefined): Fact =>
    failure(path, 'ValidationError', `${what} must be ${wanted}, and is ${shown(given)}`)
  if (!isText(title, LONGEST.title)) return wrong('title', 'a text of up to 1,000 characters', title)
  if (description !== undefined && !isText(description, LONGEST.description))
    return wrong('description', 'a text of up to 10,000 characters', description)
  if (!isPeople(assignees)) return wrong('assignees', peopleText, assignees)
  if (!isPeople(groups)) return wrong('groups', peopleText, groups)
  const dueAt = deadline === null ? null : momentOf(deadline, scope, state.at)
  if (typeof dueAt === 'string') return failure(path, 'ValidationError', `of the deadline ${dueAt}`)
  const asked = { title, ...(description !== undefined && { description }), assignees, groups, dueAt }
  return { type: 'approval.requested', path, data: { approvalId: ids.newId(), ...asked } }
}

const isPeople = (value: Json | undefined): value is string[] =>
  Array.isArray(value) && value.length <= MOST_PEOPLE && value.every((one) => isText(one, LONGEST.person))
const peopleText = `a list of up to ${MOST_PEOPLE} texts of up to 200 characters`

/** Somebody has decided. */
function endOf({ onReject }: ApprovalPlan, { path, decision }: StepState): Fact {
  const { approvalId, decidedAt, isByDeadline, ...said } = decision!
  const meta = { approvalId, ...(isByDeadline && { isByDeadline }) }
  if (said.decision === 'rejected' && onReject === 'fail') {
    const { by, comment } = said
    const message = isByDeadline ? 'nobody has decided in time' : `rejected${comment === null ? '' : `: ${comment}`}`
    return failure(path, 'ApprovalRejected', message, { approvalId, data: said.data, by, comment })
  }
  const output = { ...said, decidedAt: new Date(decidedAt).toISOString() }
  return { type: 'step.completed', path, data: { output, meta } }
}

/** Folds `approval.requested`. */
export function requested(turn: Turn, step: StepState, request: ApprovalRequest): void {
  delete step.deciding
  step.approval = request.approvalId
  step.meta = { approvalId: request.approvalId }
  step.status = 'waiting'
  openApproval(turn, step, request)
  step.dueAt = request.dueAt
  if (step.dueAt !== null) turn.commands.push({ type: 'set_timer', timer: 'wait', path: step.path, dueAt: step.dueAt })
}

export const due = (_plan: ApprovalPlan, { path }: StepState): Fact => ({ type: 'approval.overdue', path, data: {} })

/** Folds `approval.overdue`. */
export function overdue(turn: Turn, plan: ApprovalPlan, step: StepState): void {
  step.dueAt = null
  step.status = 'running'
  step.frame = { type: 'approval', phase: 'escalating' }
  if (plan.escalation === null) settle(turn, plan, step)
  else reach(turn, plan.escalation, bodyPath(step.path, 'onDeadline'), step.data)
}

export function childEnded(turn: Turn, plan: ApprovalPlan, step: StepState, _: StepPlan, child: StepState): void {
  if (child.status !== 'failed') return settle(turn, plan, step)
  closeApproval(turn, step, 'cancelled')
  fail(turn, plan, step, child.error!)
}

/** The steps of `onDeadline` have ended. */
function settle(turn: Turn, { afterDeadline }: ApprovalPlan, step: StepState): void {
  const frame = step.frame as Asked
  frame.phase = 'over'
  if (afterDeadline === 'wait') step.status = 'waiting'
  else askToDecide(turn, step)
}

/** Folds `approval.decided`. What it brings about is a fact of its own, as for every step. */
export function decidedBy(turn: Turn, plan: ApprovalPlan, step: StepState, decision: ApprovalDecision): void {
  const { requestId: _, ...said } = decision
  closeApproval(turn, step, said.decision, decision)
  cancelInside(turn, plan, step)
  step.decision = { ...said, decidedAt: turn.at }
  step.status = 'running'
  askToDecide(turn, step)
}

/** Its own share counts now: what its deadline would have brought about has none. */
export function completed(turn: Turn, plan: ApprovalPlan, step: StepState): void {
  delete step.decision
  if (plan.escalation !== null) {
    addProgress(turn.state, plan.weight)
    const path = bodyPath(step.path, 'onDeadline')
    if (!turn.state.steps.has(path)) skip(turn, plan.escalation, path, step.data)
  }
  complete(turn, plan, step)
}

/** Nobody has decided in time; a rejection has closed it before. */
export function failed(turn: Turn, step: StepState): void {
  closeApproval(turn, step, 'expired')
  delete step.decision
}

export function cancelled(turn: Turn, _plan: ApprovalPlan, step: StepState): void {
  closeApproval(turn, step, 'cancelled')
}

/** After a failure people are asked anew. */
export function restart(turn: Turn, plan: ApprovalPlan, step: StepState): void {
  askAnew(turn, plan, step)
  step.startedAt = turn.at
  begin(turn, plan, step)
}

/** Forgets what has come of it so far. */
export function askAnew(turn: Turn, plan: ApprovalPlan, step: StepState): void {
  forgetInside(turn, plan, step.path)
  forgetCompletions(turn, bodyPath(step.path, 'onDeadline'))
  delete step.frame
  delete step.approval
  delete step.decision
  delete step.meta
  step.dueAt = null
}

export const local = (_plan: ApprovalPlan, { approval }: StepState): Json | undefined =>
  approval === undefined ? undefined : { id: approval }

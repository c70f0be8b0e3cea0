import type { Json } from '../../definition/json.ts'
import type { Plan, SequentialPlan, StepPlan } from '../../definition/plan.ts'
import { mayComplete } from './children.ts'
import type { Command } from './command.ts'
import { dataOf, outputOf, resolve } from './data.ts'
import type { Compensating, ExecutionError, StepResult } from './event.ts'
import { bodyPath, type ExecutionState, type StepState, stepIdOf } from './state.ts'
import { cancel, forget, reach } from './steps/step.ts'
import { giveUpDeadline } from './timeouts.ts'
import type { Turn } from './turn.ts'

/*
 * What an execution still does when its flow has failed, before it is failed itself, or is undone by a rollback:
 *
 *   the root failed ──▶ compensating (what was completed, the newest first) ──▶ on_failure ──▶ over: `fail`
 *   a rollback ───────▶ compensating (what was completed after the checkpoint) ──────────────▶ over: `roll_back`, or `fail`
 *                                                                                   when a compensation failed
 * What fails here is noted, and the next goes on. Everything is steps like any others: recorded, retried, paused, shown.
 */
export interface Aftermath {
  phase: 'compensating' | 'on_failure' | 'over'
  /** What failed for good meanwhile. */
  readonly failures: { readonly what: string; readonly error: ExecutionError }[]
  /** What asked for it, unless the flow has failed. */
  readonly rollback?: Compensating
}

/** A completed step that would be compensated. */
export interface Completion {
  readonly path: string
  readonly seq: number
  /** What its compensation sees, of a step in a loop: the iteration leaves the state before. */
  readonly kept?: { readonly data: Json } & StepResult
  /** Of a composite: seq at which it began, and what within it would be compensated had it not been completed. */
  readonly since?: number
  readonly inside?: readonly Completion[]
}

/** A leaf with a compensation is completed; to be called before its parent hears of it. */
export function noteCompletion(turn: Turn, plan: StepPlan, step: StepState, result: StepResult): void {
  const { state } = turn
  state.completions ??= []
  state.completions.push({ path: step.path, seq: state.seq, ...keptOf(turn, plan, step, result) })
}

function keptOf({ plan, state }: Turn, { isRepeated }: StepPlan, step: StepState, { output, meta }: StepResult) {
  if (!isRepeated) return {}
  return { kept: { data: dataOf(plan, state, step), output, ...(meta !== undefined && { meta }) } }
}

/** A composite with a compensation is completed: it is compensated as one, and what stands within it no more by itself. */
export function noteComposite(turn: Turn, plan: StepPlan, step: StepState): void {
  const { state } = turn
  const { path, since = state.seq } = step
  const isInside = (other: Completion): boolean =>
    other.path.startsWith(`${path}.`) || other.path.startsWith(`${path}[`)
  const all = state.completions ?? []
  const inside = all.filter(isInside)
  const kept = keptOf(turn, plan, step, { output: outputOf(turn.plan, state, step) ?? null })
  state.completions = inside.length === 0 ? all : all.filter((other) => !isInside(other))
  state.completions.push({ path, seq: state.seq, since, ...kept, ...(inside.length > 0 && { inside }) })
}

/** What stands within this body is begun anew by a rollback: as all that one leaves behind it, it is not compensated any more. */
export function forgetCompletions({ state }: Turn, body: string): void {
  if (state.completions === undefined) return
  state.completions = state.completions.filter(({ path }) => !path.startsWith(`${body}.`))
}

/** Whether anything is left to do once the flow has failed. */
export const hasAftermath = ({ onFailure }: Plan, { completions = [] }: ExecutionState): boolean =>
  onFailure !== null || completions.length > 0

/** Steps that a rollback to an event would compensate, in the order in which they were completed. */
export const undoneBy = ({ completions = [] }: ExecutionState, toSeq: number): readonly Completion[] =>
  unfolded(completions, toSeq).filter(({ seq }) => seq > toSeq)

/** A composite that had begun before the checkpoint is not undone as one: what within it came after the checkpoint is. */
function unfolded(completions: readonly Completion[], toSeq: number): Completion[] {
  const isWhole = ({ since, seq }: Completion): boolean => since === undefined || since >= toSeq || seq <= toSeq
  if (completions.every(isWhole)) return [...completions]
  const parts = completions.flatMap((one) => (isWhole(one) ? one : unfolded(one.inside ?? [], toSeq)))
  return parts.sort((a, b) => a.seq - b.seq)
}

/** Ends the flow and undoes what was completed after the checkpoint; then it is rolled back. */
export function undo(turn: Turn, rollback: Compensating): void {
  cancel(turn, turn.plan.root, '')
  cancelAftermath(turn)
  giveUpDeadline(turn)
  turn.state.aftermath = { phase: 'compensating', failures: [], rollback }
  turn.state.completions = unfolded(turn.state.completions ?? [], rollback.toSeq)
  goOn(turn)
}

/** The root has failed. */
export function begin(turn: Turn): void {
  if (hasAftermath(turn.plan, turn.state)) {
    giveUpDeadline(turn)
    turn.state.aftermath = { phase: 'compensating', failures: [] }
  }
  goOn(turn)
}

function goOn(turn: Turn): void {
  const { plan, state } = turn
  const next = nextBody(plan, state)
  if (next === null) {
    if (state.aftermath !== undefined) state.aftermath.phase = 'over'
    turn.commands.push(ending(state)!)
  } else {
    reach(turn, next.body, next.path, next.data)
  }
}

function nextBody(plan: Plan, state: ExecutionState): { body: SequentialPlan; path: string; data: string } | null {
  const { aftermath } = state
  const last = state.completions?.at(-1)
  if (aftermath?.phase === 'compensating' && last !== undefined && last.seq > (aftermath.rollback?.toSeq ?? 0)) {
    const step = stepOf(plan, state, last)
    state.compensatedFrom = Math.min(last.seq, state.compensatedFrom ?? last.seq)
    const { compensation } = plan.steps.get(step.id)!
    return { body: compensation!, path: bodyPath(last.path, 'compensate'), data: last.path }
  }
  if (aftermath?.phase !== 'compensating' || aftermath.rollback !== undefined || plan.onFailure === null) return null
  aftermath.phase = 'on_failure'
  const root = state.steps.get('')!
  const data = root.frame?.type === 'sequence' ? root.frame.data : ''
  return { body: plan.onFailure, path: ON_FAILURE, data }
}

const ON_FAILURE = bodyPath('', 'onFailure')

/** The completed step, put back when its iteration has left the state. */
function stepOf(plan: Plan, state: ExecutionState, { path, kept }: Completion): StepState {
  const present = state.steps.get(path)
  if (present !== undefined || kept === undefined) return present!
  const id = stepIdOf(path)
  if (!plan.steps.has(id)) throw new Error(`no step stands at "${path}"`)
  const times = { startedAt: null, firstStartedAt: null, completedAt: state.at, dueAt: null }
  const step: StepState = {
    id,
    path,
    status: 'completed',
    attempt: 1,
    data: '',
    entered: true,
    ...times,
    output: kept.output,
  }
  if (kept.meta !== undefined) step.meta = kept.meta
  state.steps.set(path, step)
  return step
}

/** A compensation, or onFailure, has ended. */
export function bodyEnded(turn: Turn, child: StepState): void {
  const { state } = turn
  const { phase, failures } = state.aftermath!
  const compensated = phase === 'compensating' ? state.completions!.pop()! : null
  if (child.status === 'failed') {
    const what = compensated === null ? 'onFailure' : `the compensation of ${compensated.path}`
    failures.push({ what, error: child.error! })
  }
  goOn(turn)
}

/** How an execution ends whose flow has; null while anything of it is under way. */
export function ending(state: ExecutionState): Command | null {
  const { aftermath, steps } = state
  const root = steps.get('')
  if (aftermath === undefined && root?.status === 'completed') return mayComplete(state) ? { type: 'complete' } : null
  if (aftermath === undefined) return root?.status === 'failed' ? { type: 'fail', error: root.error! } : null
  if (aftermath.phase !== 'over') return null
  const { failures, rollback } = aftermath
  if (rollback === undefined) return { type: 'fail', error: withFailures(root!.error!, failures) }
  if (failures.length === 0) return { type: 'roll_back', rollback }
  const message = `the rollback to checkpoint ${rollback.checkpointIndex} was given up`
  const error = { type: 'CompensationFailed', message, retryable: false }
  const { requestId } = rollback
  return { type: 'fail', error: withFailures(error, failures), ...(requestId !== undefined && { requestId }) }
}

/** The first error stays what it is; what failed after it is named too. */
function withFailures(error: ExecutionError, failures: Aftermath['failures']): ExecutionError {
  if (failures.length === 0) return error
  const then = failures.map(({ what, error: { message } }) => `${what} failed: ${message}`).join('; ')
  const aftermathFailures = failures.map(({ what, error: { type, message, stepPath = '' } }) => ({
    what,
    type,
    message,
    stepPath,
  }))
  return { ...error, message: `${error.message}; then ${then}`, details: { ...error.details, aftermathFailures } }
}

/** The execution is ended from outside. */
export function cancelAftermath(turn: Turn): void {
  const { plan, state } = turn
  if (state.aftermath === undefined) return
  if (plan.onFailure !== null) cancel(turn, plan.onFailure, ON_FAILURE)
  const last = state.completions?.at(-1)
  if (last === undefined) return
  const path = bodyPath(last.path, 'compensate')
  const body = state.steps.get(path)
  if (body !== undefined) cancel(turn, plan.steps.get(body.id)!, path)
}

/** The flow goes on after all (`retry`): should it fail again, onFailure runs again. */
export function forgetAftermath(turn: Turn): void {
  const { plan, state } = turn
  delete state.aftermath
  if (plan.onFailure !== null) forget(turn, plan.onFailure, ON_FAILURE)
}

/** What the steps of a compensation or of onFailure see beside the roots. `owner` is the step that stands around the body. */
export function localOf(plan: Plan, state: ExecutionState, owner: StepState, name: string): Json | undefined {
  if (name === 'error') {
    const isRollback = state.aftermath?.rollback !== undefined
    return isRollback ? null : (state.steps.get('')!.error as unknown as Json)
  }
  if (name !== 'completed') return undefined
  const kept = state.completions?.findLast(({ path }) => path === owner.path)?.kept
  const { meta } = owner
  const output = outputOf(plan, state, owner) ?? null
  const data = kept === undefined ? resolve(plan, state, owner.data) : kept.data
  return { data, output, ...(meta !== undefined && { meta }) }
}

/** The compensations and onFailure, as far as they have begun, in the order in which they have. */
export function* aftermathBodies(plan: Plan, state: ExecutionState): Generator<{ plan: StepPlan; path: string }> {
  if (state.aftermath === undefined) return
  for (const { id, path } of state.steps.values()) {
    const body = plan.steps.get(id)
    if (body?.type === 'sequential' && body.body?.isAftermath) yield { plan: body, path }
  }
}

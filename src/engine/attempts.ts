import { randomUUID } from 'node:crypto'
import { ExpressionError } from '../definition/expression.ts'
import type { Json } from '../definition/json.ts'
import type { ActionPlan, Plan, RetryPolicy } from '../definition/plan.ts'
import type { ExecutionRow } from '../repository/execution-row.ts'
import { failureOf } from './actions/action.ts'
import { Attempt, type AttemptOutcome, type AttemptSubject } from './attempt.ts'
import { dataOf } from './core/data.ts'
import type { ExecutionError, Fact, StepResult } from './core/event.ts'
import { nextRetryAt } from './core/retry.ts'
import { StepScope } from './core/scope.ts'
import { type ExecutionState, idempotencyKeyOf, isFinished, type StepState } from './core/state.ts'
import { planOf } from './core/turn.ts'
import type { Effect } from './draft.ts'
import { infoOf } from './facts.ts'
import { type Deferral, putOffBefore } from './put-off.ts'
import { rateOf } from './rate.ts'
import { checkResult } from './result.ts'
import type { Services } from './services.ts'
import type { StateRoom } from './state-room.ts'

/** The attempts of one execution that are under way, and how their outcomes become facts. */
export class Attempts {
  readonly #row: ExecutionRow
  readonly #plan: Plan
  readonly #services: Services
  readonly #record: (fact: Fact) => void
  readonly #running = new Map<string, Attempt>()
  /** Attempts that are on record as under way but were not made, since the lease was too old; by path. */
  readonly #undone = new Map<string, StepState>()
  readonly #room: StateRoom

  constructor(row: ExecutionRow, plan: Plan, services: Services, room: StateRoom, record: (fact: Fact) => void) {
    this.#row = row
    this.#plan = plan
    this.#services = services
    this.#room = room
    this.#record = record
  }

  /** Nothing runs that must end here. */
  get areOver(): boolean {
    const isOnce = ({ id }: StepState) => (this.#plan.steps.get(id) as ActionPlan).delivery === 'at_most_once'
    return this.#running.size === 0 && ![...this.#undone.values()].some(isOnce)
  }

  /**
   * Performs the attempt that the step is at. Past two thirds of the lease nothing begins: the node is about to learn why.
   * A draining node leaves it to the next one, except for what is on record as started and must not be repeated.
   */
  perform(state: ExecutionState, step: StepState, isDraining: boolean): void {
    const plan = planOf(this.#plan, step) as ActionPlan
    if (this.#running.has(step.path)) return
    if (!this.#services.mayPerform()) {
      this.#undone.set(step.path, { ...step })
      return
    }
    this.#undone.delete(step.path)
    if (isDraining && plan.delivery === 'at_least_once') return
    const subject = this.#subjectOf(plan, state, step)
    const { secrets, feed, clock } = this.#services
    const { rateLimit } = plan
    if (feed.isWatched(subject.executionId)) {
      const { path, attempt } = subject
      feed.hint(subject.executionId, { type: 'step.started', path, attempt, at: clock.now() })
    }
    const inputs = {
      config: () =>
        plan.config.render(new StepScope(this.#plan, state, step, infoOf(this.#row), (name) => secrets.get(name))),
      data: () => dataOf(this.#plan, state, step),
      rate: rateLimit === null ? null : () => rateOf(plan, rateLimit, this.#row, this.#scopeOf(state, step)),
    }
    const firstStartedAt = step.firstStartedAt ?? clock.now()
    const attempt = new Attempt(subject, this.#services, inputs, (outcome) => {
      this.#running.delete(step.path)
      if (outcome !== null) return this.#record(this.#factOf(outcome, subject, firstStartedAt, state))
      this.#undone.set(step.path, { ...step })
      // The lease may have been renewed before the action said that it was too old.
      if (this.#services.mayPerform()) clock.soon(() => this.performUndone(state, isDraining))
    })
    if (!attempt.isOver) this.#running.set(step.path, attempt)
  }

  /** Performs what was commanded. What has moved on meanwhile is not performed. */
  performAll(state: ExecutionState, effects: readonly Effect[], isDraining: boolean): void {
    if (isFinished(state.status)) return
    for (const { path, attempt } of effects) {
      const step = state.steps.get(path)
      if (step?.status === 'running' && step.attempt === attempt) this.perform(state, step, isDraining)
    }
  }

  /** Makes the attempts that were not made while the lease was too old, as far as they still count. */
  performUndone(state: ExecutionState, isDraining: boolean): void {
    for (const [path, { attempt }] of [...this.#undone]) {
      const step = state.steps.get(path)
      if (step?.status === 'running' && step.attempt === attempt) this.perform(state, step, isDraining)
      else this.#undone.delete(path)
    }
  }

  abort(path: string): void {
    this.#undone.delete(path)
    this.#running.get(path)?.abort('it was cancelled')
    this.#running.delete(path)
  }

  abortAll(reason: string): void {
    for (const attempt of this.#running.values()) attempt.abort(reason)
    this.#running.clear()
    this.#undone.clear()
  }

  /** Aborts the attempts that may be performed again. Answers the longest timeout (ms) of those that go on. */
  abortRepeatable(reason: string): number {
    let longest = 0
    for (const [path, attempt] of this.#running) {
      if (attempt.delivery === 'at_most_once') {
        longest = Math.max(longest, attempt.timeoutMs ?? 0)
        continue
      }
      attempt.abort(reason)
      this.#running.delete(path)
    }
    return longest
  }

  #subjectOf(plan: ActionPlan, state: ExecutionState, step: StepState): AttemptSubject {
    return {
      executionId: this.#row.id,
      workflowId: this.#row.workflowId,
      correlationId: this.#row.correlationId,
      plan,
      path: step.path,
      attempt: step.attempt,
      idempotencyKey: idempotencyKeyOf(state, step.path),
      traceparent: this.#row.traceparent ?? undefined,
      timeoutMs: this.#timeoutOf(plan, step),
      before: putOffBefore(step),
    }
  }

  #scopeOf(state: ExecutionState, step: StepState): StepScope {
    return new StepScope(this.#plan, state, step, infoOf(this.#row))
  }

  /** The step's own timeout, or what is left of its budget when that is less. */
  #timeoutOf({ timeoutMs, retry }: ActionPlan, step: StepState): number | null {
    if (retry.maxElapsedMs === null) return timeoutMs
    const left = Math.max(0, (step.firstStartedAt ?? 0) + retry.maxElapsedMs - this.#services.clock.now())
    return timeoutMs === null ? left : Math.min(timeoutMs, left)
  }

  #factOf(
    outcome: AttemptOutcome | Deferral,
    subject: AttemptSubject,
    firstStartedAt: number,
    state: ExecutionState,
  ): Fact {
    const { path, attempt } = subject
    if (outcome.type === 'deferred') return this.#deferred(outcome, subject, firstStartedAt)
    const { durationMs } = outcome
    const failed = (error: ExecutionError) => this.#failed(error, durationMs, subject, firstStartedAt, state)
    if (outcome.type === 'failed') return failed(outcome.error)
    const { secrets } = this.#services
    try {
      const checked = checkResult(outcome.result, this.#room.bounds(state))
      const data: StepResult = {
        output: secrets.redact(checked.output),
        ...(checked.meta !== undefined && { meta: secrets.redact(checked.meta) }),
        durationMs: outcome.durationMs,
      }
      return { type: 'step.completed', path, attempt, data }
    } catch (thrown) {
      return failed(failureOf(thrown))
    }
  }

  /** No attempt is used up. What would be due only when the step's budget is over fails now. */
  #deferred(
    { error: refusal, until }: Deferral,
    { executionId, path, attempt, plan }: AttemptSubject,
    firstStartedAt: number,
  ): Fact {
    const { maxElapsedMs } = plan.retry
    const isWorthIt = maxElapsedMs === null || until < firstStartedAt + maxElapsedMs
    const error: ExecutionError = { ...refusal, errorId: randomUUID(), stepPath: path, attempt }
    this.#services.log.info({ executionId, path, error, until }, 'step put off: its target must not be called now')
    if (!isWorthIt) return { type: 'step.failed', path, attempt, data: { error, retryAt: null } }
    return { type: 'step.failed', path, attempt, data: { error, retryAt: until, deferred: true } }
  }

  /** What failed, on which attempt, and what happens next: the policy decides now, so that replay need not. */
  #failed(
    failure: ExecutionError,
    durationMs: number,
    subject: AttemptSubject,
    firstStartedAt: number,
    state: ExecutionState,
  ): Fact {
    const { path, attempt, plan, idempotencyKey: seed } = subject
    const { clock, log, secrets } = this.#services
    const told = secrets.redact({
      ...failure,
      errorId: randomUUID(),
      stepPath: path,
      attempt,
    } as unknown as Json) as unknown as ExecutionError
    const scope = this.#scopeOf(state, state.steps.get(path)!)
    const judged = { error: told, attempt, firstStartedAt, at: clock.now(), seed }
    const { error, retryAt } = judge(plan.retry, judged, scope)
    const { executionId, correlationId } = subject
    log.warn(
      { executionId, correlationId, path, attempt, error, retryAt },
      retryAt === null ? 'step failed' : 'attempt failed',
    )
    return { type: 'step.failed', path, attempt, data: { error, retryAt, durationMs } }
  }
}

/** When the next attempt is due; a `when` that cannot be evaluated repeats nothing, and says so in the error. */
function judge(policy: RetryPolicy, failure: Parameters<typeof nextRetryAt>[1], scope: StepScope) {
  const { error } = failure
  try {
    return { error, retryAt: nextRetryAt(policy, failure, scope) }
  } catch (thrown) {
    if (!(thrown instanceof ExpressionError)) throw thrown
    return { error: { ...error, details: { ...error.details, retryWhen: thrown.message } }, retryAt: null }
  }
}

import { randomUUID } from 'node:crypto'
import { ExpressionError } from '../definition/expression.ts'
import type { Json } from '../definition/json.ts'
import type { ActionPlan, Plan, RetryPolicy } from '../definition/plan.ts'
import type { ExecutionRow } from '../repository/execution-row.ts'
import { failureOf } from './actions/action.ts'
import { Attempt, type AttemptOutcome, type AttemptOwner } from './attempt.ts'
import type { ExecutionError, Fact, StepResult } from './core/event.ts'
import { nextRetryAt } from './core/retry.ts'
import type { StepScope } from './core/scope.ts'
import { type ExecutionState, isFinished, type StepState } from './core/state.ts'
import { planOf } from './core/turn.ts'
import type { Effect } from './draft.ts'
import type { Deferral } from './put-off.ts'
import { checkResult } from './result.ts'
import type { Services } from './services.ts'
import type { StateRoom } from './state-room.ts'
import { StepAttempt } from './step-attempt.ts'

/** The attempts of one execution that are under way, and how their outcomes become facts. */
export class Attempts implements AttemptOwner {
  readonly #row: ExecutionRow
  readonly #plan: Plan
  readonly #services: Services
  readonly #record: (fact: Fact) => void
  readonly #running = new Map<string, Attempt>()
  /** Attempts that are on record as under way but were not made, since the lease was too old; by path. */
  readonly #undone = new Map<string, StepState>()
  readonly #room: StateRoom
  /** Whether the node drained when an attempt was last begun. */
  #isDraining = false

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
    const { feed, clock } = this.#services
    const subject = new StepAttempt(plan, step, state, this.#plan, this.#row, clock)
    this.#isDraining = isDraining
    const attempt = new Attempt(subject, this.#services, this)
    if (attempt.isOver) return
    this.#running.set(step.path, attempt)
    // What is over at once has its event, if anything came of it.
    if (!feed.isWatched(subject.executionId)) return
    feed.hint({
      type: 'step.started',
      executionId: subject.executionId,
      path: subject.path,
      attempt: subject.attempt,
      at: clock.now(),
    })
  }

  ended(subject: StepAttempt, outcome: AttemptOutcome | Deferral | null): void {
    const { path, state, step } = subject
    this.#running.delete(path)
    if (outcome !== null) return this.#record(this.#factOf(outcome, subject))
    this.#undone.set(path, { ...step })
    const { mayPerform, clock } = this.#services
    // The lease may have been renewed before the action said that it was too old.
    if (mayPerform()) clock.soon(() => this.performUndone(state, this.#isDraining))
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

  #factOf(outcome: AttemptOutcome | Deferral, subject: StepAttempt): Fact {
    if (outcome.type === 'deferred') return this.#deferred(outcome, subject)
    const { durationMs } = outcome
    if (outcome.type === 'failed') return this.#failed(outcome.error, durationMs, subject)
    const { path, attempt, state } = subject
    const { secrets } = this.#services
    try {
      const { output, meta } = checkResult(outcome.result, this.#room.bounds(state))
      const kept = secrets.redact(output)
      const data: StepResult =
        meta === undefined ? { output: kept, durationMs } : { output: kept, meta: secrets.redact(meta), durationMs }
      return { type: 'step.completed', path, attempt, data }
    } catch (thrown) {
      return this.#failed(failureOf(thrown), durationMs, subject)
    }
  }

  /** No attempt is used up. What would be due only when the step's budget is over fails now. */
  #deferred({ error: refusal, until }: Deferral, subject: StepAttempt): Fact {
    const { executionId, path, attempt, plan, firstStartedAt } = subject
    const { maxElapsedMs } = plan.retry
    const isWorthIt = maxElapsedMs === null || until < firstStartedAt + maxElapsedMs
    const error: ExecutionError = { ...refusal, errorId: randomUUID(), stepPath: path, attempt }
    this.#services.log.info({ executionId, path, error, until }, 'step put off: its target must not be called now')
    if (!isWorthIt) return { type: 'step.failed', path, attempt, data: { error, retryAt: null } }
    return { type: 'step.failed', path, attempt, data: { error, retryAt: until, deferred: true } }
  }

  /** What failed, on which attempt, and what happens next: the policy decides now, so that replay need not. */
  #failed(failure: ExecutionError, durationMs: number, subject: StepAttempt): Fact {
    const { path, attempt, plan, firstStartedAt, idempotencyKey: seed } = subject
    const { clock, log, secrets } = this.#services
    const told = secrets.redact({
      ...failure,
      errorId: randomUUID(),
      stepPath: path,
      attempt,
    } as unknown as Json) as unknown as ExecutionError
    const judged = { error: told, attempt, firstStartedAt, at: clock.now(), seed }
    const { error, retryAt } = judge(plan.retry, judged, subject.scope())
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

import type { Json } from '../definition/json.ts'
import type { ActionPlan, Plan } from '../definition/plan.ts'
import type { ExecutionRow } from '../repository/execution-row.ts'
import type { Clock } from './clock.ts'
import { dataOf } from './core/data.ts'
import { type SecretValues, StepScope } from './core/scope.ts'
import { type ExecutionState, idempotencyKeyOf, type StepState } from './core/state.ts'
import { type PutOffBefore, putOffBefore } from './put-off.ts'
import { rateOf } from './rate.ts'
import type { Rate } from './rate-limits.ts'

/** What an attempt is about. */
export interface AttemptSubject {
  readonly executionId: string
  readonly workflowId: string
  readonly correlationId: string | null
  readonly plan: ActionPlan
  readonly path: string
  readonly attempt: number
  readonly idempotencyKey: string
  readonly traceparent: string | undefined
  /** How long it may take, by its own timeout and by what is left of the retry budget; null is unbounded. */
  readonly timeoutMs: number | null
  /** How often it was put off already. */
  readonly before: PutOffBefore
}

/**
 * The attempt that a step is at, with what the action is handed of the state. What few actions ask for is made when they do: one
 * is made for each step that is performed.
 */
export class StepAttempt implements AttemptSubject {
  readonly plan: ActionPlan
  readonly attempt: number
  readonly timeoutMs: number | null
  readonly before: PutOffBefore
  readonly firstStartedAt: number
  readonly step: StepState
  readonly state: ExecutionState
  readonly generation: number
  readonly #execution: Plan
  readonly #row: ExecutionRow

  constructor(
    plan: ActionPlan,
    step: StepState,
    state: ExecutionState,
    execution: Plan,
    row: ExecutionRow,
    clock: Clock,
  ) {
    this.plan = plan
    this.attempt = step.attempt
    this.timeoutMs = timeoutOf(plan, step, clock)
    this.before = putOffBefore(step)
    this.firstStartedAt = step.firstStartedAt ?? clock.now()
    this.step = step
    this.state = state
    this.generation = state.generation
    this.#execution = execution
    this.#row = row
  }

  get executionId(): string {
    return this.#row.id
  }
  get workflowId(): string {
    return this.#row.workflowId
  }
  get correlationId(): string | null {
    return this.#row.correlationId
  }
  get traceparent(): string | undefined {
    return this.#row.traceparent ?? undefined
  }
  get path(): string {
    return this.step.path
  }
  get idempotencyKey(): string {
    return idempotencyKeyOf(this, this.path)
  }

  /** What is rendered when the action is called; this and the next two may throw. */
  config(secrets: SecretValues): Json | undefined {
    return this.plan.config.render(this.scope(secrets))
  }

  data(): Json {
    return dataOf(this.#execution, this.state, this.step)
  }

  /** null: it has no rate limit. */
  rate(): Rate | null {
    const { rateLimit } = this.plan
    return rateLimit === null ? null : rateOf(this.plan, rateLimit, this.#row, this.scope())
  }

  /** The names that its expressions see. */
  scope(secrets?: SecretValues): StepScope {
    return new StepScope(this.#execution, this.state, this.step, this.#row, secrets)
  }
}

/** The step's own timeout, or what is left of its budget when that is less. */
function timeoutOf({ timeoutMs, retry }: ActionPlan, step: StepState, clock: Clock): number | null {
  if (retry.maxElapsedMs === null) return timeoutMs
  const left = Math.max(0, (step.firstStartedAt ?? 0) + retry.maxElapsedMs - clock.now())
  return timeoutMs === null ? left : Math.min(timeoutMs, left)
}

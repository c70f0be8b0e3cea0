import type { Json } from '../definition/json.ts'
import type { ActionPlan } from '../definition/plan.ts'
import { type Action, type ActionContext, ActionError, type ActionResult, failureOf } from './actions/action.ts'
import type { ActionRegistry } from './actions/registry.ts'
import type { AttemptSlots } from './attempt-slots.ts'
import type { Admission, Admitted, Breakers } from './breakers.ts'
import { outcomeOf } from './call-outcome.ts'
import type { Clock, Timer } from './clock.ts'
import type { ExecutionError } from './core/event.ts'
import type { SecretValues } from './core/scope.ts'
import type { Log } from './log.ts'
import type { AttemptTrace, Observer } from './observer.ts'
import { circuitOpen, type Deferral, PutOff } from './put-off.ts'
import type { Caller, RateLimits } from './rate-limits.ts'
import type { StepAttempt } from './step-attempt.ts'

/** How an attempt ended. */
export type AttemptOutcome =
  | { readonly type: 'completed'; readonly result: ActionResult; readonly durationMs: number }
  | { readonly type: 'failed'; readonly error: ExecutionError; readonly durationMs: number }

/** What it needs of the node. */
export interface AttemptServices {
  readonly actions: ActionRegistry
  readonly slots: AttemptSlots
  readonly clock: Clock
  readonly log: Log
  readonly mayPerform: () => boolean
  readonly observer: Observer
  /** null: every target is called, whatever is known of it. */
  readonly breakers: Breakers | null
  readonly rateLimits: RateLimits
  readonly secrets: SecretValues
}

/** Who began it. */
export interface AttemptOwner {
  /** It is over: see the ways below. */
  ended(subject: StepAttempt, outcome: AttemptOutcome | Deferral | null): void
}

/*
 * One attempt of an action and its ways:
 *
 *   queued (no free slot) ──▶ running ──▶ ended (its owner hears it; null when the lease was too old: nothing
 *        │       ▲                │              was done, and it is performed again when the lease is renewed; with
 *        │       └── its turn ────┤              `deferred` when its target must not be called now)
 *        │           comes soon   │
 *        └────────────────────────┴─────▶ aborted (its owner hears nothing; what the action still does is ignored)
 */
export class Attempt implements ActionContext, Caller {
  readonly #subject: StepAttempt
  readonly #services: AttemptServices
  readonly #owner: AttemptOwner
  #leaveLine: (() => void) | null = null
  #controller: AbortController | null = null
  #abortReason: Error | null = null
  #timeout: Timer | null = null
  #trace: AttemptTrace | null = null
  #startedAt = 0
  #hasLapsed = false
  #admitted: Admitted | null = null
  #phase: 'queued' | 'running' | 'over' = 'queued'

  /** Begins at once when a slot is free. */
  constructor(subject: StepAttempt, services: AttemptServices, owner: AttemptOwner) {
    this.#subject = subject
    this.#services = services
    this.#owner = owner
    if (services.slots.take()) this.#begin()
    else this.#leaveLine = services.slots.wait(() => this.#begin())
  }

  get executionId(): string {
    return this.#subject.executionId
  }
  get workflowId(): string {
    return this.#subject.workflowId
  }
  get path(): string {
    return this.#subject.path
  }
  get stepId(): string {
    return this.#subject.plan.id
  }
  get attempt(): number {
    return this.#subject.attempt
  }
  get idempotencyKey(): string {
    return this.#subject.idempotencyKey
  }
  get correlationId(): string | null {
    return this.#subject.correlationId
  }
  get traceparent(): string | undefined {
    return this.#trace?.traceparent ?? this.#subject.traceparent
  }
  get data(): Json {
    return this.#subject.data()
  }
  get log(): Log {
    return this.#services.log.child({ executionId: this.executionId, path: this.path, attempt: this.attempt })
  }
  get delivery(): ActionPlan['delivery'] {
    return this.#subject.plan.delivery
  }
  get timeoutMs(): number | null {
    return this.#subject.timeoutMs
  }
  get isOver(): boolean {
    return this.#phase === 'over'
  }
  get turns(): number {
    return this.#subject.before.turns
  }

  /** Made when first asked for: most attempts of quick actions never ask. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#abortReason !== null) this.#controller.abort(this.#abortReason)
    return this.#controller.signal
  }

  readonly mayPerform = (): void => {
    if (this.#phase !== 'running') throw this.signal.reason ?? new ActionError('Cancelled', 'the attempt is over')
    if (this.#services.mayPerform()) return
    this.#hasLapsed = true
    throw new ActionError('StepInterrupted', 'the lease of this node is too old to perform anything')
  }

  /** Ends it without an outcome. */
  abort(reason: string): void {
    if (this.#phase === 'over') return
    const wasRunning = this.#phase === 'running'
    this.#leaveLine?.()
    this.#close()
    this.#tellAction(new ActionError('Cancelled', reason))
    this.#trace?.end(null)
    this.#admitted?.end('unknown', null)
    if (wasRunning) this.#services.slots.release()
  }

  #begin(): void {
    this.#phase = 'running'
    this.#startedAt = this.#services.clock.monotonic()
    if (!this.#services.mayPerform()) {
      this.#hasLapsed = true
      return this.#fail(failureOf(new ActionError('StepInterrupted', 'the lease of this node is too old')))
    }
    this.#trace = this.#services.observer.attemptStarted(this.#subject)
    let outcome: ActionResult | Promise<ActionResult>
    try {
      outcome = this.#trace === null ? this.#perform() : this.#trace.run(() => this.#perform())
    } catch (thrown) {
      return this.#fail(failureOf(thrown))
    }
    if (!(outcome instanceof Promise)) return this.#succeed(outcome)
    outcome.then(
      (result) => this.#succeed(result),
      (thrown) => (thrown instanceof PutOff ? this.#defer(thrown) : this.#fail(failureOf(thrown))),
    )
  }

  #perform(): ActionResult | Promise<ActionResult> {
    const { action: type, breaker } = this.#subject.plan
    const { actions, breakers, secrets } = this.#services
    const config = actions.validate(type, this.#subject.config(secrets) ?? {})
    const action = actions.get(type)!
    const target = breakers === null ? null : (breaker.key ?? action.target?.(config) ?? null)
    if (target === null) return this.#callInTurn(action, config)
    const admission = breakers!.admit(target, breaker, this.#subject.before.deferrals)
    if (admission instanceof Promise) return admission.then((one) => this.#callIf(one, target, action, config))
    return this.#callIf(admission, target, action, config)
  }

  #callIf(admission: Admission, target: string, action: Action, config: unknown): ActionResult | Promise<ActionResult> {
    if (admission.type === 'refused') {
      const { onOpen } = this.#subject.plan.breaker
      const refusal = circuitOpen(target, admission.until, this.#subject.before)
      // A plain throw would be this attempt's failure; what is put off is none.
      return onOpen === 'fail' ? Promise.reject(refusal.failure) : Promise.reject(refusal)
    }
    this.#admitted = admission
    // It was aborted while it waited to be admitted, or the lease has grown old meanwhile.
    if (this.#phase === 'over') admission.end('unknown', null)
    this.mayPerform()
    return this.#callInTurn(action, config)
  }

  #callInTurn(action: Action, config: unknown): ActionResult | Promise<ActionResult> {
    const rate = this.#subject.rate()
    if (rate === null) return this.#call(action, config)
    return this.#services.rateLimits.turn(rate, this).then(() => {
      this.mayPerform()
      this.#startedAt = this.#services.clock.monotonic()
      return this.#call(action, config)
    })
  }

  /** It waits for its turn without its slot, so that what has other limits goes on. */
  pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.#phase !== 'running') return
      const { slots, clock } = this.#services
      this.#phase = 'queued'
      this.#timeout = clock.after(ms, () => {
        const goOn = () => {
          this.#phase = 'running'
          resolve()
        }
        if (slots.take()) goOn()
        else this.#leaveLine = slots.wait(goOn)
      })
      slots.release()
    })
  }

  #call(action: Action, config: unknown): ActionResult | Promise<ActionResult> {
    const outcome: unknown = action.perform(config, this)
    if (typeof (outcome as Promise<ActionResult> | null)?.then !== 'function') return outcome as ActionResult
    const { timeoutMs } = this.#subject
    if (timeoutMs !== null) this.#timeout = this.#services.clock.after(timeoutMs, () => this.#timeOut(timeoutMs))
    return Promise.resolve(outcome as Promise<ActionResult>)
  }

  /** The action is told by its signal and not waited for: it has had its time. */
  #timeOut(timeoutMs: number): void {
    const error = new ActionError('TimeoutError', `the attempt took longer than ${timeoutMs} ms`)
    this.#tellAction(error)
    this.#fail(failureOf(error))
  }

  #tellAction(reason: Error): void {
    this.#abortReason = reason
    this.#controller?.abort(reason)
  }

  #succeed(result: ActionResult): void {
    if (this.#phase === 'over') return
    this.#end({ type: 'completed', result, durationMs: this.#elapsedMs() })
  }

  #fail(error: ExecutionError): void {
    if (this.#phase === 'over') return
    this.#end({ type: 'failed', error, durationMs: this.#elapsedMs() })
  }

  #defer({ deferral }: PutOff): void {
    if (this.#phase === 'over') return
    this.#close()
    this.#trace?.end(null)
    this.#admitted?.end('unknown', null)
    this.#services.slots.release()
    this.#owner.ended(this.#subject, deferral)
  }

  #end(outcome: AttemptOutcome): void {
    const told = this.#hasLapsed ? null : outcome
    this.#tellBreaker(outcome)
    this.#close()
    this.#trace?.end(told)
    if (told !== null) this.#services.observer.attemptEnded(this.#subject, told)
    this.#services.slots.release()
    this.#owner.ended(this.#subject, told)
  }

  #tellBreaker(outcome: AttemptOutcome): void {
    if (outcome.type === 'completed') this.#admitted?.end('answered', null)
    else this.#admitted?.end(this.#hasLapsed ? 'unknown' : outcomeOf(outcome.error), outcome.error)
  }

  #close(): void {
    this.#phase = 'over'
    this.#timeout?.cancel()
  }

  #elapsedMs(): number {
    return Math.round(this.#services.clock.monotonic() - this.#startedAt)
  }
}

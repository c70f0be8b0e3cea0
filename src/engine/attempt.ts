import type { Json } from '../definition/json.ts'
import type { ActionPlan } from '../definition/plan.ts'
import { type Action, type ActionContext, ActionError, type ActionResult, failureOf } from './actions/action.ts'
import type { ActionRegistry } from './actions/registry.ts'
import type { AttemptSlots } from './attempt-slots.ts'
import type { Admission, Admitted, Breakers } from './breakers.ts'
import { outcomeOf } from './call-outcome.ts'
import type { Clock, Timer } from './clock.ts'
import type { ExecutionError } from './core/event.ts'
import type { Log } from './log.ts'
import type { AttemptTrace, Observer } from './observer.ts'

/** How an attempt ended. */
export type AttemptOutcome =
  | { readonly type: 'completed'; readonly result: ActionResult; readonly durationMs: number }
  | { readonly type: 'failed'; readonly error: ExecutionError; readonly durationMs: number }

/** Nothing was done: the circuit of its target is open. It is worth another try `until` then (ms since 1970). */
export interface Deferral {
  readonly type: 'deferred'
  readonly error: ExecutionError
  readonly until: number
}

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
  /** How often in a row it was put off because a circuit was open. */
  readonly deferrals: number
}

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
}

/*
 * One attempt of an action and its ways:
 *
 *   queued (no free slot) ──▶ running ──▶ ended (onEnd is called once; with null when the lease was too old: nothing
 *        │                        │              was done, and it is performed again when the lease is renewed; with
 *        │                        │              `deferred` when its target must not be called now)
 *        └────────────────────────┴─────▶ aborted (onEnd is never called; what the action still does is ignored)
 */
export class Attempt implements ActionContext {
  readonly #subject: AttemptSubject
  readonly #services: AttemptServices
  readonly #onEnd: (outcome: AttemptOutcome | Deferral | null) => void
  readonly #leaveLine: () => void
  readonly #config: () => Json | undefined
  readonly #data: () => Json
  #controller: AbortController | null = null
  #abortReason: Error | null = null
  #timeout: Timer | null = null
  #trace: AttemptTrace | null = null
  #startedAt = 0
  #hasLapsed = false
  #admitted: Admitted | null = null
  #phase: 'queued' | 'running' | 'over' = 'queued'

  /** Begins at once when a slot is free. `config` renders the templates, when the attempt begins; both may throw. */
  constructor(
    subject: AttemptSubject,
    services: AttemptServices,
    inputs: { readonly config: () => Json | undefined; readonly data: () => Json },
    onEnd: (outcome: AttemptOutcome | Deferral | null) => void,
  ) {
    this.#subject = subject
    this.#services = services
    this.#config = inputs.config
    this.#data = inputs.data
    this.#onEnd = onEnd
    this.#leaveLine = services.slots.take(() => this.#begin())
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
    return this.#data()
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
      (thrown) => (thrown instanceof CircuitOpen ? this.#defer(thrown) : this.#fail(failureOf(thrown))),
    )
  }

  #perform(): ActionResult | Promise<ActionResult> {
    const { action: type, breaker } = this.#subject.plan
    const { actions, breakers } = this.#services
    const config = actions.validate(type, this.#config() ?? {})
    const action = actions.get(type)!
    const target = breakers === null ? null : (breaker.key ?? action.target?.(config) ?? null)
    if (target === null) return this.#call(action, config)
    const admission = breakers!.admit(target, breaker, this.#subject.deferrals)
    if (admission instanceof Promise) return admission.then((one) => this.#callIf(one, target, action, config))
    return this.#callIf(admission, target, action, config)
  }

  #callIf(admission: Admission, target: string, action: Action, config: unknown): ActionResult | Promise<ActionResult> {
    if (admission.type === 'refused') {
      const { onOpen } = this.#subject.plan.breaker
      const refusal = new CircuitOpen(target, admission.until, this.#subject.deferrals + 1)
      // A plain throw would be this attempt's failure; what is put off is none.
      return onOpen === 'fail' ? Promise.reject(refusal.failure) : Promise.reject(refusal)
    }
    this.#admitted = admission
    // It was aborted while it waited to be admitted, or the lease has grown old meanwhile.
    if (this.#phase === 'over') admission.end('unknown', null)
    this.mayPerform()
    return this.#call(action, config)
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

  #defer({ failure, until }: CircuitOpen): void {
    if (this.#phase === 'over') return
    this.#close()
    this.#trace?.end(null)
    this.#services.slots.release()
    this.#onEnd({ type: 'deferred', error: failureOf(failure), until })
  }

  #end(outcome: AttemptOutcome): void {
    const told = this.#hasLapsed ? null : outcome
    this.#tellBreaker(outcome)
    this.#close()
    this.#trace?.end(told)
    if (told !== null) this.#services.observer.attemptEnded(this.#subject, told)
    this.#services.slots.release()
    this.#onEnd(told)
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

/** The circuit of the target is open: nothing was asked of it. */
class CircuitOpen extends Error {
  readonly until: number
  readonly failure: ActionError

  constructor(circuit: string, until: number, deferrals: number) {
    super('circuit open')
    const message = `Calls of ${circuit} are stopped: its circuit is open`
    this.until = until
    this.failure = new ActionError('CircuitOpenError', message, { details: { circuit, until, deferrals } })
  }
}

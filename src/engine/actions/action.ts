import type { Static, TSchema } from 'typebox'
import { ExpressionError } from '../../definition/expression.ts'
import type { Json, JsonObject } from '../../definition/json.ts'
import type { ActionShape } from '../../definition/plan.ts'
import type { ExecutionError } from '../core/event.ts'
import { retryableByDefault } from './step-errors.ts'

/** What an attempt knows of itself and may use. */
export interface ActionContext {
  readonly executionId: string
  readonly workflowId: string
  readonly path: string
  readonly stepId: string
  /** 1 for the first attempt. */
  readonly attempt: number
  /** The same for every attempt, recovery and retry of the step; another after a rollback. */
  readonly idempotencyKey: string
  readonly correlationId: string | null
  /** W3C trace context to send on, when the execution is traced. */
  readonly traceparent: string | undefined
  /** What flows into the step: the output of the nearest completed step before it. */
  readonly data: Json
  /** Aborted on timeout, cancel, rollback and drain; its reason is an Error, which the action rejects with. */
  readonly signal: AbortSignal
  readonly log: {
    debug(facts: object, message: string): void
    info(facts: object, message: string): void
    warn(facts: object, message: string): void
  }
  /** To be called right before bytes go out; throws when this node may perform nothing any more. */
  readonly mayPerform: () => void
}

/** `output` is what the next step wants; `meta` is the rest: status, headers, usage. */
export interface ActionResult {
  readonly output: Json
  readonly meta?: JsonObject
}

/** What a step of type `action` does to the world. Made by `defineAction`. */
export interface Action<Config = unknown> {
  /** The name that a definition's `config.type` gives. */
  readonly type: string
  /** TypeBox schema of `config` without `type`. Unknown keys are refused when it says `additionalProperties: false`. */
  readonly configSchema: TSchema
  /** Pointers into config below which `secrets.NAME` may stand, e.g. `/headers`. */
  readonly secretFields?: readonly string[]
  /** Pointers into config whose strings are taken literally and hold no template, e.g. `/query`. */
  readonly literalFields?: readonly string[]
  /**
   * Faults of a definition that the schema cannot tell: fields that exclude each other or the step's delivery, texts that mean
   * nothing. Gets `config` as it was written, templates and wrong types included; pointers lead into it. Asked when a definition
   * is stored, not when one that was stored is loaded.
   */
  readonly conflicts?: ActionShape['conflicts']
  /**
   * Names what it calls, for the circuit breaker that all calls of it share (`database:main`); null: nothing that could be down.
   * Gets the config that `perform` will get.
   */
  target?(config: Config): string | null
  /**
   * Makes one attempt. A plain return instead of a promise spares a step its turn of the event loop. Throws ActionError
   * for failures that it knows, `context.signal.reason` when it was aborted; anything else becomes InternalError.
   */
  perform(config: Config, context: ActionContext): Promise<ActionResult> | ActionResult
}

const typeName = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/

/** Declares an action; `perform` gets its config typed by `configSchema`, rendered and checked. */
export function defineAction<Schema extends TSchema>(
  action: Action<Static<Schema>> & { readonly configSchema: Schema },
): Action {
  if (!typeName.test(action.type)) {
    throw new TypeError(`"${action.type}" cannot name an action: use letters, digits, _ . and -, a letter first`)
  }
  return action
}

/** A failure that an action knows. `type` is a row of `stepErrors` or a name of the action's own. */
export class ActionError extends Error {
  readonly type: string
  /** Whether another attempt is worth it, for policies that name no types. Default: as the type's row says. */
  readonly retryable: boolean
  readonly details: JsonObject | undefined

  constructor(
    type: string,
    message: string,
    options: { readonly retryable?: boolean; readonly details?: JsonObject; readonly cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause })
    this.name = 'ActionError'
    this.type = type
    this.retryable = options.retryable ?? retryableByDefault(type)
    this.details = options.details
  }
}

/**
 * Whatever was thrown, as the journal records it. What is no ActionError is a bug of the action, InternalError; it is
 * retried when a policy asks for it, since an action that throws a plain Error has said nothing about it.
 */
export function failureOf(thrown: unknown): ExecutionError {
  const cause = causeOf(thrown)
  if (thrown instanceof ActionError) {
    const { type, message, retryable, details } = thrown
    return { type, message, retryable, ...(details && { details }), ...(cause && { cause }) }
  }
  if (thrown instanceof ExpressionError) return { type: 'ExpressionError', message: thrown.message, retryable: false }
  const { message } = thrown instanceof Error ? thrown : { message: `thrown: ${String(thrown)}` }
  return { type: 'InternalError', message, retryable: true, ...(cause && { cause }) }
}

/** The system code (ECONNREFUSED, 28P01 …) says more than the class name `Error`. */
function causeOf(thrown: unknown): ExecutionError['cause'] {
  const cause = thrown instanceof Error ? thrown.cause : undefined
  if (!(cause instanceof Error)) return undefined
  const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : cause.name
  return { type: code, message: cause.message }
}

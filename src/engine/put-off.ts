import { ActionError, failureOf } from './actions/action.ts'
import type { ExecutionError } from './core/event.ts'
import type { StepState } from './core/state.ts'

/** Nothing was done: it must not be done now. It is worth another try `until` then (ms since 1970). */
export interface Deferral {
  readonly type: 'deferred'
  readonly error: ExecutionError
  readonly until: number
}

/** Why and until when an attempt is put off: no failure, although what waits for it is rejected. */
export class PutOff extends Error {
  readonly until: number
  readonly failure: ActionError

  constructor(until: number, failure: ActionError) {
    super(failure.message)
    this.until = until
    this.failure = failure
  }

  get deferral(): Deferral {
    return { type: 'deferred', error: failureOf(this.failure), until: this.until }
  }
}

/** What a step has waited for so far: it stays with the error of the last time, through the wait and the next attempt. */
export interface PutOffBefore {
  /** How often in a row its circuit was open. */
  readonly deferrals: number
  /** How often its place in the line of its rate limit has come. */
  readonly turns: number
}

const never: PutOffBefore = { deferrals: 0, turns: 0 }

export function putOffBefore({ error }: StepState): PutOffBefore {
  if (error?.type !== 'CircuitOpenError' && error?.type !== 'RateLimited') return never
  const count = (value: unknown): number => (typeof value === 'number' ? value : 0)
  return { deferrals: count(error.details?.deferrals), turns: count(error.details?.turns) }
}

/** The circuit of the target is open: nothing was asked of it. A place in a line that has come is remembered. */
export function circuitOpen(circuit: string, until: number, { deferrals, turns }: PutOffBefore): PutOff {
  const message = `Calls of ${circuit} are stopped: its circuit is open`
  const details = { circuit, until, deferrals: deferrals + 1, ...(turns > 0 && { turns }) }
  return new PutOff(until, new ActionError('CircuitOpenError', message, { details }))
}

/** Too many calls of the key have begun, or are to begin before: its place in the line comes then. */
export function rateLimited({ scope, key }: { scope: string; key: string }, until: number, turns: number): PutOff {
  const message = `The rate limit${key === '' ? '' : ` of "${key}"`} lets it begin later`
  return new PutOff(until, new ActionError('RateLimited', message, { details: { scope, key, until, turns } }))
}

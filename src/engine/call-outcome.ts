import type { ExecutionError } from './core/event.ts'

/** What an attempt tells of its target: it answered, it is down, or nothing. */
export type CallOutcome = 'answered' | 'failed' | 'unknown'

/** Statuses of whoever stands before a server that is away, or of one that says so itself; 529 is how agents say it. */
const awayStatuses: ReadonlySet<unknown> = new Set([502, 503, 504, 529])

/** Connection exceptions, lack of resources, shutdown: the server as a whole, not this query. */
const awayStates = /^(08|53|57P)/

/** Nothing was asked of the target, or nobody knows what it said. */
const silent: ReadonlySet<string> = new Set([
  ...['ValidationError', 'ExpressionError', 'InternalError', 'Cancelled', 'StepInterrupted', 'CircuitOpenError'],
])

/**
 * A target is down when it cannot be reached, stays silent or says that it is away. A 500 or a refused query is an answer: that
 * one request is wrong, and parking all others would not help.
 */
export function outcomeOf({ type, details = {}, retryable = false }: ExecutionError): CallOutcome {
  if (silent.has(type)) return 'unknown'
  if (type === 'TimeoutError') return 'failed'
  if (type === 'ConnectionError') return details.reason === undefined ? 'failed' : 'unknown'
  if (type === 'Http5xx') return awayStatuses.has(details.status) ? 'failed' : 'answered'
  if (type === 'DatabaseError') return awayStates.test(String(details.sqlstate ?? '')) ? 'failed' : 'answered'
  if (type === 'AgentError') return isAgentAway(details, retryable) ? 'failed' : 'answered'
  return 'answered'
}

/** Without a status and without faults it never answered. */
const isAgentAway = (details: NonNullable<ExecutionError['details']>, retryable: boolean): boolean =>
  details.status === undefined ? retryable && details.faults === undefined : awayStatuses.has(details.status)

import { format } from 'node:util'

/** One row an error: code: [message for people, HTTP status]. docs/errors.md and openapi/ are kept in step by a test. */
export const errors = {
  HTTP_INVALID: ['The request is not valid HTTP: %s', 400],
  HEADERS_TOO_LARGE: ['The address and the headers have more than %s bytes', 431],
  EXPECTATION_FAILED: ['Expect: %s is not known here; leave it out', 417],
  REQUEST_TIMEOUT: ['The request has not arrived within %s s', 408],
  REQUEST_INVALID: ['The request does not fit its schema; see errors', 422],
  BODY_NOT_JSON: ['The body is not valid JSON: %s', 400],
  BODY_TOO_LARGE: ['The body is larger than %s bytes', 413],
  MEDIA_TYPE_UNSUPPORTED: ['Send the body as application/json, not %s', 415],
  ROUTE_NOT_FOUND: ['There is no %s %s; /docs lists the routes', 404],
  METHOD_NOT_ALLOWED: ['%s takes %s, not %s', 405],
  WORKFLOW_NOT_FOUND: ['Workflow %s does not exist', 404],
  WORKFLOW_NAME_TAKEN: [
    'A workflow named "%s" exists already: %s. PUT a new version of it, or choose another name',
    409,
  ],
  WORKFLOW_ARCHIVED: ['Workflow %s is archived and takes no new executions or versions', 409],
  VERSION_NOT_FOUND: ['Workflow %s has no version %s', 404],
  VERSION_CONFLICT: ['If-Match names version %s, but the active version is %s', 412],
  VERSION_DEPRECATED: [
    'Version %s of workflow %s is deprecated and takes no new executions; start another version',
    409,
  ],
  VERSION_ACTIVE: ['Version %s of workflow %s is the active one: activate another before deprecating it', 409],
  DEFINITION_INVALID: ['The definition has %s fault(s); see errors', 422],
  INPUT_INVALID: ["The input does not fit the workflow's inputSchema; see errors", 422],
  PAYLOAD_TOO_LARGE: ['The %s is %s bytes; at most %s are taken', 413],
  EXECUTION_NOT_FOUND: ['Execution %s does not exist', 404],
  EXECUTION_STATUS_CONFLICT: ['Execution %s is %s: %s is not possible', 409],
  CHILD_RESULT_TAKEN: ['Execution %s is a sub-workflow whose end its parent %s has taken: %s the parent instead', 409],
  EXECUTION_KEY_LIVE: [
    'Execution %s has the executionKey "%s" and is %s: wait for its end, or start with conflictPolicy use_existing or cancel_existing',
    409,
  ],
  EXECUTION_KEY_USED: [
    'executionKey "%s" was used by execution %s, which is %s, and reusePolicy is %s: take another key, or a reusePolicy that allows it',
    409,
  ],
  CONCURRENCY_LIMIT: [
    'No slot of "%s" is free: at most %s at once, and held by %s. Try again when one of them has ended',
    409,
  ],
  EXECUTION_COMPENSATED: [
    'Execution %s is compensated from seq %s on; roll back to a checkpoint before that, or start a new one',
    409,
  ],
  APPROVAL_NOT_FOUND: ['Approval %s does not exist', 404],
  APPROVAL_CLOSED: ['Approval %s is %s%s: it cannot be decided any more', 409],
  SIGNAL_INVALID: ['The payload of the signal "%s" fits no step of execution %s that waits for it; see errors', 422],
  APPROVAL_DATA_INVALID: ['The data does not fit the form of approval %s; see errors', 422],
  CHECKPOINT_NOT_FOUND: ['Execution %s has no checkpoint %s', 404],
  CHECKPOINT_GONE: ['Checkpoint %s of execution %s is no longer kept; the oldest kept is %s', 410],
  EVENTS_GONE: ['The events of execution %s before %s were compacted away', 410],
  SEQ_CONFLICT: ['Execution %s has moved on to seq %s; the request was made for %s', 409],
  IDEMPOTENCY_KEY_REUSED: ['Idempotency-Key "%s" was used with another body', 409],
  CURSOR_INVALID: ['The cursor is not one that this list gave out', 422],
  SIGNALS_FULL: ['Execution %s holds %s signals that no step has taken; try again when it has taken some', 429],
  ENGINE_OVERLOADED: ['The journal takes no more just now; try again shortly', 503],
  ENGINE_STOPPING: ['This node is stopping; send the request to another, or again when it is back', 503],
  DATABASE_UNAVAILABLE: [
    'PostgreSQL does not answer. Try again shortly; a write may have been done, and is safe to repeat with its Idempotency-Key',
    503,
  ],
  CIRCUIT_NOT_FOUND: [
    'No circuit is known for "%s": GET /api/circuit-breakers lists those of targets called in the last week; PATCH sets any',
    404,
  ],
  SUBSCRIPTIONS_FULL: ['This socket holds %s subscriptions already, the most it may; open another one', 429],
  UPGRADE_REQUIRED: ['This address is a WebSocket: connect with an upgrade', 426],
  FORMAT_UNKNOWN: [
    'Execution %s was started by a newer release (format %s), which this node cannot read: ask a node of that release, or again when all run it',
    503,
  ],
  HISTORY_INVALID: ['The history of execution %s cannot be read: %s', 500],
  INTERNAL: ['Something went wrong inside Cairn; the log has error id %s', 500],
} as const satisfies Record<string, readonly [message: string, status: number]>

export type ErrorCode = keyof typeof errors

/** A place in what the caller sent (RFC 6901 JSON pointer) and what is wrong there. */
export interface Fault {
  readonly pointer: string
  readonly message: string
}

type Detail = string | number | null | readonly string[]

/** An expected failure with its row of `errors`; routes answer with it as RFC 9457 problem+json. */
export class CairnError extends Error {
  readonly code: ErrorCode
  readonly status: number
  readonly faults: readonly Fault[]
  /** Further members of the problem, e.g. the execution's present status. */
  readonly details: Readonly<Record<string, Detail>>

  constructor(
    code: ErrorCode,
    parameters: readonly unknown[] = [],
    options: { faults?: readonly Fault[]; details?: Record<string, Detail>; cause?: unknown } = {},
  ) {
    const [message, status] = errors[code]
    super(format(message, ...parameters), { cause: options.cause })
    this.name = 'CairnError'
    this.code = code
    this.status = status
    this.faults = options.faults ?? []
    this.details = options.details ?? {}
  }
}

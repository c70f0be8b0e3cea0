/**
 * One row a type of step error: [what it means, whether it is worth another attempt unless the error itself says
 * otherwise]. The names are public: `retryOn` and `nonRetryable` of a retry policy go by them. docs/errors.md is kept in
 * step by a test.
 */
export const stepErrors = {
  ValidationError: ['The rendered config does not fit the action; `details.faults` says where', false],
  ExpressionError: ['An expression or a template could not be evaluated', false],
  TimeoutError: [
    "The attempt took longer than the step's `timeoutMs`, or its peer stayed silent, or nobody decided in time",
    true,
  ],
  ConnectionError: [
    'The other side could not be reached, or the connection broke; `cause.type` is the system code',
    true,
  ],
  Http4xx: ['The server answered 400 to 499; retried for 408, 425 and 429 only', false],
  Http5xx: ['The server answered 500 to 599', true],
  HttpError: ['The server answered with something else that was not expected, or that cannot be read', false],
  DatabaseError: ['PostgreSQL refused the query; retried for SQLSTATE classes 08, 40, 53 and 57P, and 25P03', false],
  AgentError: ['The agent refused, or its answer does not fit; retried for 408, 429, 5xx and unfit answers', false],
  CircuitOpenError: ['The circuit of the target is open: nothing was asked of it', false],
  RateLimited: ['Too many calls of the key of its `rateLimit` come before it: nothing was called', false],
  ConcurrencyLimit: ['The key of its `concurrency` is taken, and `onLimit` says not to wait', false],
  ConcurrencyTimeout: [
    'It has waited for a slot of its `concurrency`, or for a mutex, for longer than `waitTimeoutMs`',
    false,
  ],
  ConcurrencyDeadlock: ['It would wait for a slot that a step around it holds, for ever', false],
  LoopLimitExceeded: ['A `while` or `until` wants more iterations than its `maxIterations`', false],
  CompensationFailed: ['A rollback with `compensate` was given up, since a compensation failed', false],
  JoinNotReached: [
    'All steps of a `parallel`, or all items of a `foreach`, have ended, and its `join` is not reached',
    false,
  ],
  SubWorkflowUnavailable: [
    'A `sub_workflow` names what cannot be started: there is none, it is archived or deprecated',
    false,
  ],
  SubWorkflowCancelled: ['The execution that a `sub_workflow` waits for was cancelled', false],
  SubWorkflowDepthExceeded: ['Sub-workflows nest more than 16 deep: a recursion without an end', false],
  TooManyChildren: ['An execution would have more than 1,000 live children', false],
  TooManyReceivers: ['An `emit` would send to more than 100 executions', false],
  NoReceiver: ['An `emit` with `onNobody: "fail"` found no live execution to send to', false],
  SignalsFull: ['A receiver of an `emit` holds 1,000 signals that no step has taken', false],
  ApprovalRejected: ['An `approval` with `onReject: "fail"` was rejected', false],
  PayloadTooLarge: ['An output, an input or an answer is larger than is taken', false],
  StateTooLarge: ["The execution's state would grow past its limit", false],
  ConditionNotMet: ['A condition with `onFalse: "fail"` was false', false],
  StepInterrupted: ['An at_most_once step was under way when its node died: nobody knows whether it happened', false],
  Cancelled: ['The attempt was aborted because its execution or an ancestor was cancelled', false],
  CrashLoop: ['Five nodes in a row died with the execution before it came a step further', false],
  InternalError: ['A bug, in Cairn or in an action; the log has the error id', false],
} as const satisfies Record<string, readonly [meaning: string, retryable: boolean]>

export type StepErrorType = keyof typeof stepErrors

const rows: ReadonlyMap<string, readonly [string, boolean]> = new Map(Object.entries(stepErrors))

/** Whether an error of this type is retried when nothing else says so. Types of an action's own are: a policy was asked for. */
export function retryableByDefault(type: string): boolean {
  return rows.get(type)?.[1] ?? true
}

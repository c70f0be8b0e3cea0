import { type Static, type TProperties, type TSchema, Type } from 'typebox'
import { executionStatuses, stepStatuses } from '../engine/core/state.ts'
import { errors } from '../errors.ts'

/* What leaves over REST, WebSocket and SSE alike: progress, steps, events; and the messages that carry them. */

const Uuid = Type.String({ format: 'uuid', examples: ['0199f3a8-7c1e-7d3a-9b52-0c8e4f6a1d27'] })
const Timestamp = Type.String({ format: 'date-time', examples: ['2026-11-22T21:48:05.125Z'] })
const Seq = Type.Integer({
  minimum: 0,
  description: 'Position in the execution’s journal: 1, 2, 3 … without a hole',
  examples: [17],
})
const Percentage = Type.Integer({ minimum: 0, maximum: 100, examples: [66] })
const Path = Type.String({ description: 'Where the step instance stands at run time', examples: ['fan.b'] })

const oneOf = <const T extends string>(values: readonly T[], options: object = {}) =>
  Type.Unsafe<T>({ type: 'string', enum: [...values], ...options })

const orNull = <S extends TSchema>(schema: S) => {
  const { type, enum: values, ...rest } = schema as TSchema & { type?: string; enum?: unknown[] }
  return Type.Unsafe<Static<S> | null>(
    type === undefined
      ? { anyOf: [schema, { type: 'null' }] }
      : { ...rest, type: [type, 'null'], ...(values && { enum: [...values, null] }) },
  )
}

/** A reference by $id: OpenAPI and AsyncAPI each name the schema once among their components. */
const ref = <S extends TSchema>(schema: S) => Type.Unsafe<Static<S>>({ $ref: `${(schema as { $id?: string }).$id}#` })

export const ExecutionErrorSchema = Type.Object(
  {
    type: Type.String({ description: 'The taxonomy of docs/errors.md', examples: ['TimeoutError'] }),
    message: Type.String(),
    errorId: Type.Optional(Type.String({ description: 'The log has the same id' })),
    stepPath: Type.Optional(Type.String({ description: 'The step instance that failed', examples: ['fan.b'] })),
    attempt: Type.Optional(Type.Integer()),
    retryable: Type.Optional(Type.Boolean()),
    details: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), { description: 'Facts for a program: HTTP status, SQLSTATE' }),
    ),
    cause: Type.Optional(Type.Object({ type: Type.String(), message: Type.String() })),
  },
  { $id: 'ExecutionError', description: 'Why a step or an execution failed' },
)

export const Queued = Type.Object(
  {
    scope: Type.String({ examples: ['shared:crm'] }),
    key: Type.String({ examples: ['customer-7'] }),
    since: Timestamp,
    dueAt: Type.Optional(
      Type.Unsafe<string>({ ...Timestamp, description: 'When it stops waiting and fails (`waitTimeoutMs`)' }),
    ),
  },
  { description: 'It waits for a slot of this key (see docs/concurrency.md); left out when it does not' },
)

export const StepProgress = Type.Object(
  {
    path: Path,
    id: Type.String({ examples: ['b'] }),
    name: Type.String({ examples: ['Load the second shard'] }),
    type: Type.String({ examples: ['action'] }),
    status: oneOf(stepStatuses),
    attempt: Type.Integer({ description: '1 for the first attempt; 0 before it and for steps without attempts' }),
    startedAt: orNull(Timestamp),
    completedAt: orNull(Timestamp),
    durationMs: orNull(Type.Integer({ description: 'From the first attempt’s start to the end, waits included' })),
    error: orNull(ref(ExecutionErrorSchema)),
    approvalId: Type.Optional(
      Type.Unsafe<string>({ ...Uuid, description: 'Of an approval: the one that it has asked for last' }),
    ),
    queued: Type.Optional(Queued),
  },
  { $id: 'StepProgress', description: 'One step of the definition, whether it was reached or not' },
)

export const ChildProgress = Type.Object(
  {
    path: Path,
    executionId: Uuid,
    status: oneOf(executionStatuses),
    percentage: Percentage,
    estimatedRemainingMs: orNull(Type.Integer({ description: 'As its own progress has it' })),
  },
  { $id: 'ChildProgress', description: 'An execution that a step has started, which has not ended nor been let go' },
)

export const Progress = Type.Object(
  {
    executionId: Uuid,
    status: oneOf(executionStatuses),
    requested: orNull(oneOf(['pause', 'cancel'], { description: 'Asked for, but not in effect yet' })),
    currentStep: orNull(
      Type.Object({
        id: Type.String({ examples: ['process-data'] }),
        name: Type.String({ examples: ['Process Data'] }),
        path: Path,
        number: Type.Integer({ description: 'Counted from 1 among the leaf steps', examples: [3] }),
      }),
    ),
    completedSteps: Type.Integer({
      description:
        'Those of them that were completed, one in a loop when it was for the first time; at most totalSteps, less only where steps were skipped or failed. Falls after a rollback only',
      examples: [2],
    }),
    totalSteps: Type.Integer({
      description: 'Leaf steps of the definition, each once, whatever its iterations',
      examples: [3],
    }),
    percentage: Percentage,
    estimatedRemainingMs: orNull(
      Type.Integer({ description: 'From the medians of this workflow’s own history; null while there is none' }),
    ),
    estimatedCompletionAt: orNull(Timestamp),
    steps: Type.Array(ref(StepProgress)),
    children: Type.Optional(
      Type.Array(ref(ChildProgress), {
        description:
          'Its sub-workflows: those that a step waits for count in `percentage` and the estimate as far as they have come. Of many, in several levels, the first 50 are read whole, the others by their newest event. Not in the messages of streams, where each execution speaks for itself: `percentage` is that of its own journal there, as in lists',
      }),
    ),
    queued: Type.Optional(Queued),
    startedAt: orNull(Timestamp),
    updatedAt: Timestamp,
    lastSeq: Seq,
  },
  { $id: 'Progress', description: 'How far an execution has come, as of `lastSeq`' },
)

export const Event = Type.Object(
  {
    executionId: Uuid,
    seq: Seq,
    type: Type.String({ examples: ['step.completed'] }),
    path: Type.Optional(Path),
    attempt: Type.Optional(Type.Integer()),
    at: Timestamp,
    percentage: Percentage,
    data: Type.Unknown({ description: 'What the event has to say, by its type', examples: [{ output: { rows: 3 } }] }),
  },
  { $id: 'Event', description: 'One fact of an execution’s journal' },
)

const checkpoint = {
  index: Type.Integer({ description: 'Counted from 0 in the effective history', examples: [2] }),
  seq: Seq,
  stepPath: Path,
  stepId: Type.String({ examples: ['b'] }),
  createdAt: Timestamp,
}

export const Checkpoint = Type.Object(checkpoint, {
  $id: 'Checkpoint',
  description: 'The position in the journal right after a step completed; an execution can be rolled back to it',
})

export const CheckpointView = Type.Object(
  {
    ...checkpoint,
    state: Type.Object({
      variables: Type.Record(Type.String(), Type.Unknown()),
      steps: Type.Record(
        Type.String(),
        Type.Object({
          status: oneOf(stepStatuses),
          attempt: Type.Integer(),
          output: Type.Optional(Type.Unknown()),
          error: Type.Optional(ref(ExecutionErrorSchema)),
          meta: Type.Optional(Type.Record(Type.String(), Type.Unknown(), { description: 'Status, headers, usage' })),
        }),
        { description: 'Every step that was reached, by its path' },
      ),
    }),
  },
  { $id: 'CheckpointView', description: 'A checkpoint with the complete state as it was there' },
)

/** Named schemas that the messages refer to. */
export const messageComponents = [ExecutionErrorSchema, StepProgress, ChildProgress, Progress, Event]

const message = <P extends TProperties>(type: string, properties: P, description: string) =>
  Type.Object({ type: Type.Literal(type), ...properties, at: Timestamp }, { description })

/** What the service sends, by its name in the AsyncAPI document. */
export const serverMessages = {
  snapshot: message(
    'snapshot',
    { executionId: Uuid, seq: Seq, progress: ref(Progress) },
    'Always the first message of a subscription to an execution: its progress as of `seq`.',
  ),
  event: message(
    'event',
    { executionId: Uuid, seq: Seq, percentage: Percentage, event: ref(Event) },
    'One committed event. Within a subscription seq only rises, and none is missing that no `lagged` names.',
  ),
  stepStarted: message(
    'step.started',
    { executionId: Uuid, path: Path, attempt: Type.Integer({ minimum: 1 }) },
    'An attempt began and was not over at once. A hint: it has no seq, is not replayed and may be missing.',
  ),
  lagged: message(
    'lagged',
    { executionId: Uuid, fromSeq: Seq, toSeq: Seq },
    'In place of the events `fromSeq` to `toSeq`, which the subscriber was too slow for or which were compacted away. ' +
      'Subscribe again with `after: fromSeq - 1` to have those that are still kept.',
  ),
  execution: message(
    'execution',
    { executionId: Uuid, workflowId: Uuid, seq: Seq, status: oneOf(executionStatuses), percentage: Percentage },
    'An execution of a watched workflow changed its status. Sent at least once for each change.',
  ),
  workflowLagged: message(
    'lagged',
    { workflowId: Uuid, missed: Type.Integer({ minimum: 1 }) },
    'In place of `missed` messages about a workflow’s executions, which the subscriber was too slow for.',
  ),
  subscribed: message('subscribed', { workflowId: Uuid }, 'The workflow is watched from now on.'),
  unsubscribed: message(
    'unsubscribed',
    { executionId: Type.Optional(Uuid), workflowId: Type.Optional(Uuid) },
    'Nothing more comes of this subscription.',
  ),
  pong: message('pong', {}, 'The answer to `ping`.'),
  error: message(
    'error',
    {
      code: oneOf(Object.keys(errors), { examples: ['EXECUTION_NOT_FOUND'] }),
      message: Type.String({ description: 'What happened, and what to do about it' }),
      executionId: Type.Optional(Type.String()),
      workflowId: Type.Optional(Type.String()),
      errors: Type.Optional(Type.Array(Type.Object({ pointer: Type.String(), message: Type.String() }))),
    },
    'A message could not be understood, or a subscription cannot be served (any longer). The socket stays open.',
  ),
}

const After = Type.Integer({
  minimum: 0,
  maximum: Number.MAX_SAFE_INTEGER,
  description: 'Events after this seq are sent, stored ones first; by default those after the snapshot’s',
  examples: [17],
})
const Id = Type.String({ minLength: 1, maxLength: 100 })

/** What a client may send on the multiplexed socket, by its name in the AsyncAPI document. */
export const clientMessages = {
  subscribe: Type.Object(
    {
      type: Type.Literal('subscribe'),
      executionId: Type.Optional(Id),
      workflowId: Type.Optional(Id),
      after: Type.Optional(After),
    },
    {
      additionalProperties: false,
      description:
        'Follow an execution, or all of a workflow’s. Following one that is followed already begins it anew. `after` is for executions only.',
    },
  ),
  unsubscribe: Type.Object(
    { type: Type.Literal('unsubscribe'), executionId: Type.Optional(Id), workflowId: Type.Optional(Id) },
    { additionalProperties: false, description: 'Follow it no longer.' },
  ),
  ping: Type.Object({ type: Type.Literal('ping') }, { additionalProperties: false, description: 'Ask for a `pong`.' }),
}

export type ClientMessage = {
  [Name in keyof typeof clientMessages]: Static<(typeof clientMessages)[Name]> & { type: Name }
}[keyof typeof clientMessages]

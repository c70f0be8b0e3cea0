import { type Static, Type } from 'typebox'
import { approvalStatuses } from '../engine/core/approvals.ts'
import { executionStatuses } from '../engine/core/state.ts'
import { type ErrorCode, errors } from '../errors.ts'
import { requestIdHeader } from './answer.ts'
import { nullable, oneOf, ref, Timestamp, Uuid } from './scalar.ts'

export const FaultSchema = Type.Object(
  {
    pointer: Type.String({
      description: 'RFC 6901 JSON pointer into the body, or `/name` of a query parameter or header; empty is the whole',
      examples: ['/steps/0/config/url'],
    }),
    message: Type.String({ description: 'What is wrong there, with the remedy', examples: ['is required'] }),
  },
  { $id: 'Fault', description: 'One fault of what was sent' },
)

export const Problem = Type.Object(
  {
    type: Type.String({ description: 'Where the code is documented', examples: ['/docs/errors#EXECUTION_NOT_FOUND'] }),
    title: Type.String({ description: 'The same for every occurrence of the code', examples: ['Execution not found'] }),
    status: Type.Integer({ description: 'The HTTP status', examples: [404] }),
    detail: Type.String({ description: 'What happened this time, and what to do about it' }),
    instance: Type.String({ description: 'Path of the request' }),
    code: Type.String({ description: 'What programs go by', examples: ['EXECUTION_NOT_FOUND'] }),
    errors: Type.Optional(
      Type.Array(ref(FaultSchema), { description: 'All faults at once, when what was sent is invalid' }),
    ),
    errorId: Type.Unsafe<string>({ ...Uuid, description: 'Unique to this answer; the log has it too' }),
    correlationId: nullable(Type.String({ description: 'The `x-correlation-id` of the request' })),
    executionStatus: Type.Optional(
      oneOf(executionStatuses, {
        description: 'The present status of the execution, when it forbids what was asked for',
      }),
    ),
    approvalStatus: Type.Optional(
      oneOf(approvalStatuses, { description: 'What has become of the approval that cannot be decided any more' }),
    ),
    decidedBy: Type.Optional(nullable(Type.String({ description: 'Who decided it' }))),
    comment: Type.Optional(nullable(Type.String({ description: 'Why, as they said' }))),
    closedAt: Type.Optional(
      nullable(Type.Unsafe<string>({ ...Timestamp, description: 'When it was decided, or ended' })),
    ),
    scope: Type.Optional(Type.String({ description: 'Of the concurrency key that is taken' })),
    key: Type.Optional(Type.String({ description: 'The concurrency key that is taken' })),
    limit: Type.Optional(Type.Integer({ description: 'How many may hold that key at once' })),
    holders: Type.Optional(Type.Array(Uuid, { description: 'Executions that hold it, ten at most' })),
    firstSeq: Type.Optional(
      Type.Integer({ description: 'The first event that is still kept, when earlier ones were asked for' }),
    ),
  },
  {
    $id: 'Problem',
    description: 'RFC 9457 problem details: every answer from 400 on is one. Some codes add members of their own.',
    examples: [
      {
        type: '/docs/errors#EXECUTION_STATUS_CONFLICT',
        title: 'Execution status conflict',
        status: 409,
        detail: 'Execution 0199f3a8-7c1e-7d3a-9b52-0c8e4f6a1d27 is paused: pause is not possible',
        instance: '/api/workflows/executions/0199f3a8-7c1e-7d3a-9b52-0c8e4f6a1d27',
        code: 'EXECUTION_STATUS_CONFLICT',
        errorId: '5d1c3c1e-1f0c-4f0a-9a52-6b8e1b7b9d11',
        correlationId: 'order-4711',
        executionStatus: 'paused',
      },
    ],
  },
)
export type Problem = Static<typeof Problem>

export const problemSchemas = [FaultSchema, Problem]

/** What any route may answer: an unknown query field, a node that stops, a database that is away, a bug. */
const everywhere = ['REQUEST_INVALID', 'ENGINE_STOPPING', 'DATABASE_UNAVAILABLE', 'INTERNAL'] as const

/** What a route that takes a body may answer in addition. */
export const bodyProblems = ['BODY_NOT_JSON', 'BODY_TOO_LARGE', 'MEDIA_TYPE_UNSUPPORTED'] as const

/** The problem answers of a route, by status, for its `schema.response`: named by the codes that it may answer with. */
export function problems(...codes: readonly ErrorCode[]): Record<number, object> {
  const codesByStatus = Map.groupBy(new Set([...codes, ...everywhere]), (code) => errors[code][1])
  const answers: Record<number, object> = {}
  for (const [status, sameStatus] of [...codesByStatus].sort(([a], [b]) => a - b)) {
    answers[status] = {
      description: sameStatus.map((code) => `\`${code}\``).join(', '),
      headers: requestIdHeader,
      content: { 'application/problem+json': { schema: ref(Problem) } },
    }
  }
  return answers
}

/** WORKFLOW_NOT_FOUND → "Workflow not found". */
export const titleOf = (code: ErrorCode): string => code[0] + code.slice(1).toLowerCase().replaceAll('_', ' ')

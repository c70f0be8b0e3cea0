import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type Static, Type } from 'typebox'
import type { Json } from '../definition/json.ts'
import type { Approval as ApprovalWithForm } from '../engine/approvals.ts'
import { approvalStatuses } from '../engine/core/approvals.ts'
import type { WorkflowEngine } from '../engine/engine.ts'
import type { ApprovalSummary } from '../repository/approvals.ts'
import { rfc3339 } from '../stream/resource.ts'
import { answer } from './answer.ts'
import { IdempotencyHeaders, markReplayed } from './idempotency.ts'
import { limitOf, listOf, listQuery } from './list.ts'
import { bodyProblems, problems } from './problem.ts'
import { nullable, oneOf, ref, rfc3339OrNull, Timestamp, text, Uuid } from './scalar.ts'

const People = Type.Array(Type.String(), { examples: [['ada@example.org']] })
const Approval = Type.Object(
  {
    id: Uuid,
    status: oneOf(approvalStatuses, {
      description:
        'open: it can be decided. expired: nobody did in time, and the step failed. cancelled: its step, or the execution, ended without a decision. superseded: a rollback went back behind it, and the step asks anew',
    }),
    workflowId: Uuid,
    workflowVersion: Type.Integer({ examples: [3] }),
    executionId: Uuid,
    stepPath: Type.String({ description: 'The step instance that asks', examples: ['ask'] }),
    title: Type.String({ examples: ['Refund 120 EUR for order 4711?'] }),
    description: nullable(Type.String()),
    assignees: People,
    groups: Type.Array(Type.String(), { examples: [['finance']] }),
    requestedAt: Timestamp,
    dueAt: nullable(Type.Unsafe<string>({ ...Timestamp, description: 'Its deadline' })),
    closedAt: nullable(Type.Unsafe<string>({ ...Timestamp, description: 'When it was decided, or ended otherwise' })),
    decidedBy: nullable(Type.String({ description: 'As they said; null when a deadline decided', examples: ['ada'] })),
    comment: nullable(Type.String()),
    data: Type.Optional(Type.Unknown({ description: 'What was filled in; not in lists' })),
    form: Type.Optional(
      Type.Unknown({ description: 'JSON Schema that `data` must fit; null: anything does. Not in lists' }),
    ),
  },
  {
    $id: 'Approval',
    description: 'What people are asked to decide, or were',
    examples: [
      {
        id: '0199f3a8-7c1e-7d3a-9b52-0c8e4f6a1d27',
        status: 'open',
        workflowId: '0199f3a8-7c1e-7d3a-9b52-0c8e4f6a1d27',
        workflowVersion: 3,
        executionId: '0199f3a8-7c1e-7d3a-9b52-0c8e4f6a1d27',
        stepPath: 'ask',
        title: 'Refund 120 EUR for order 4711?',
        description: null,
        assignees: [],
        groups: ['finance'],
        requestedAt: '2026-11-22T21:48:05.125Z',
        dueAt: '2026-11-23T21:48:05.125Z',
        closedAt: null,
        decidedBy: null,
        comment: null,
        data: null,
        form: { type: 'object', properties: { amount: { type: 'number' } }, required: ['amount'] },
      },
    ],
  },
)
const ApprovalList = listOf(Approval, 'ApprovalList')
const Decision = Type.Object(
  {
    decision: oneOf(['approve', 'reject']),
    data: Type.Optional(
      Type.Unsafe<Json>({
        description: 'What the form asks for; who rejects may leave it out',
        examples: [{ amount: 100 }],
      }),
    ),
    by: Type.Optional(
      text(200, { minLength: 1, description: 'Who decides: Cairn takes your word', examples: ['ada'] }),
    ),
    comment: Type.Optional(text(10_000, { examples: ['less the shipping'] })),
  },
  {
    $id: 'Decision',
    additionalProperties: false,
    examples: [{ decision: 'approve', data: { amount: 100 }, by: 'ada', comment: 'less the shipping' }],
  },
)
export const approvalSchemas = [Approval, ApprovalList, Decision]

const Params = Type.Object({ approvalId: Uuid })
const tags = ['Approvals']

/** What people are asked to decide: list it, read it with its form, decide it. */
export const approvalRoutes: FastifyPluginAsyncTypebox<{ engine: WorkflowEngine }> = async (app, { engine }) => {
  app.get(
    '/api/approvals',
    {
      schema: {
        operationId: 'listApprovals',
        summary: 'List approvals',
        description: 'Newest first, without form and data. Filters are combined with "and".',
        tags,
        querystring: Type.Object({
          ...listQuery,
          status: Type.Optional(oneOf(approvalStatuses)),
          assignee: Type.Optional(text(200, { description: 'Somebody who is asked' })),
          group: Type.Optional(text(200, { description: 'A group whose members are asked' })),
          workflowId: Type.Optional(Uuid),
          executionId: Type.Optional(Uuid),
        }),
        response: { 200: answer('One page', ref(ApprovalList)), ...problems('CURSOR_INVALID') },
      },
    },
    async ({ query }) => {
      const { limit: _limit, cursor, ...filter } = query
      const page = await engine.store.listApprovals(filter, limitOf(query), cursor)
      return { items: page.items.map(summaryOf), nextCursor: page.nextCursor }
    },
  )

  app.get(
    '/api/approvals/:approvalId',
    {
      schema: {
        operationId: 'getApproval',
        summary: 'Read an approval, with its form',
        tags,
        params: Params,
        response: { 200: answer('The approval', ref(Approval)), ...problems('APPROVAL_NOT_FOUND') },
      },
    },
    async ({ params: { approvalId } }) => resourceOf(await engine.getApproval(approvalId)),
  )

  app.post(
    '/api/approvals/:approvalId',
    {
      schema: {
        operationId: 'decideApproval',
        summary: 'Approve or reject',
        description:
          'The first decision counts; a later one is answered with what was decided. Answers once the execution has taken it, or after 5 s with 202: then it is durable and will be taken, unless another came first.',
        tags,
        params: Params,
        headers: IdempotencyHeaders,
        body: ref(Decision),
        response: {
          200: answer('Decided', ref(Approval), {
            headers: { 'idempotency-replayed': '`true` for a repeat under the same key' },
          }),
          202: answer('Taken, not in effect yet', ref(Approval)),
          ...problems(
            'APPROVAL_NOT_FOUND',
            'APPROVAL_CLOSED',
            'APPROVAL_DATA_INVALID',
            'PAYLOAD_TOO_LARGE',
            'EXECUTION_NOT_FOUND',
            'IDEMPOTENCY_KEY_REUSED',
            'ENGINE_OVERLOADED',
            ...bodyProblems,
          ),
        },
      },
    },
    async (request, reply) => {
      const { approval, effective, replayed } = await engine.decideApproval(request.params.approvalId, {
        ...request.body,
        idempotencyKey: request.headers['idempotency-key'],
      })
      markReplayed(reply, replayed)
      return reply.code(effective ? 200 : 202).send(resourceOf(approval))
    },
  )
}

const summaryOf = (approval: ApprovalSummary): Static<typeof Approval> => ({
  id: approval.id,
  status: approval.status,
  workflowId: approval.workflowId,
  workflowVersion: approval.workflowVersion,
  executionId: approval.executionId,
  stepPath: approval.path,
  title: approval.title,
  description: approval.description,
  assignees: [...approval.assignees],
  groups: [...approval.groups],
  requestedAt: rfc3339(approval.requestedAt),
  dueAt: rfc3339OrNull(approval.dueAt),
  closedAt: rfc3339OrNull(approval.closedAt),
  decidedBy: approval.by,
  comment: approval.comment,
})

const resourceOf = (approval: ApprovalWithForm): Static<typeof Approval> => ({
  ...summaryOf(approval),
  data: approval.data,
  form: approval.form,
})

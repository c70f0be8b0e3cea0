import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type Static, Type } from 'typebox'
import type { WorkflowEngine } from '../engine/engine.ts'
import type { RateLimitView } from '../repository/rate-limits.ts'
import { rfc3339 } from '../stream/resource.ts'
import { answer } from './answer.ts'
import { limitOf, listOf, listQuery } from './list.ts'
import { problems } from './problem.ts'
import { nullable, ref, rfc3339OrNull, Timestamp, text } from './scalar.ts'

const RateLimit = Type.Object(
  {
    scope: Type.String({
      description: 'Within which keys are the same: `shared:<name>`, or without one `step:<workflowId>/<stepId>`',
      examples: ['shared:crm'],
    }),
    key: Type.String({ description: 'Empty where all calls have the same', examples: ['customer-17'] }),
    limit: Type.Integer({ description: 'Calls that may begin within periodMs, evenly spread', examples: [100] }),
    periodMs: Type.Integer({ examples: [60_000] }),
    burst: Type.Integer({ description: 'Calls that may begin at once', examples: [1] }),
    nextFreeAt: Type.Unsafe<string | null>({
      ...nullable(Timestamp),
      description: 'When a call that asks now would begin, behind all that wait; null: at once',
    }),
    lastAskedAt: Timestamp,
    lastGrantedAt: nullable(Timestamp),
  },
  {
    $id: 'RateLimit',
    description: 'A key whose calls are limited, the same on all nodes',
    examples: [
      {
        scope: 'shared:crm',
        key: 'customer-17',
        limit: 100,
        periodMs: 60_000,
        burst: 1,
        nextFreeAt: '2026-11-22T21:48:35.125Z',
        lastAskedAt: '2026-11-22T21:48:05.125Z',
        lastGrantedAt: '2026-11-22T21:48:05.125Z',
      },
    ],
  },
)
const RateLimitList = listOf(RateLimit, 'RateLimitList')
export const rateLimitSchemas = [RateLimit, RateLimitList]

/** The keys of rate limits that are in use: how many calls may begin, and when the next one does. */
export const rateLimitRoutes: FastifyPluginAsyncTypebox<{ engine: WorkflowEngine }> = async (app, { engine }) => {
  app.get(
    '/api/rate-limits',
    {
      schema: {
        operationId: 'listRateLimits',
        summary: 'List rate limits',
        description:
          'By scope and key: what was asked for in the last hour, or has calls that wait. Filters are combined with "and".',
        tags: ['Rate limits'],
        querystring: Type.Object({
          ...listQuery,
          scope: Type.Optional(text(500, { description: 'As it is listed', examples: ['shared:crm'] })),
          key: Type.Optional(text(200, { examples: ['customer-17'] })),
        }),
        response: { 200: answer('One page', ref(RateLimitList)), ...problems('CURSOR_INVALID') },
      },
    },
    async ({ query }) => {
      const { scope, key, cursor } = query
      const page = await engine.store.listRateLimits({ scope, key }, limitOf(query), cursor)
      return { items: page.items.map(resourceOf), nextCursor: page.nextCursor }
    },
  )
}

const resourceOf = (view: RateLimitView): Static<typeof RateLimit> => ({
  scope: view.scope,
  key: view.key,
  limit: view.limit,
  periodMs: view.periodMs,
  burst: view.burst,
  nextFreeAt: rfc3339OrNull(view.freeAt),
  lastAskedAt: rfc3339(view.askedAt),
  lastGrantedAt: rfc3339OrNull(view.grantedAt),
})

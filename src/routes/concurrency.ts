import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type Static, Type } from 'typebox'
import { onLimits } from '../definition/slot.ts'
import type { WorkflowEngine } from '../engine/engine.ts'
import type { Line, LinePlace } from '../repository/concurrency-lines.ts'
import { rfc3339 } from '../stream/resource.ts'
import { answer } from './answer.ts'
import { limitOf, listOf, listQuery } from './list.ts'
import { problems } from './problem.ts'
import { nullable, oneOf, ref, Timestamp, text, Uuid } from './scalar.ts'

const Scope = Type.String({
  description:
    'Within which keys are the same: `shared:<scope>` as definitions name it, `workflow:<workflowId>` of executions, `step:<workflowId>/<stepId>` of a step, `mutex` of critical sections',
  examples: ['shared:crm'],
})
const Key = Type.String({ description: 'As it was rendered; empty where none is given', examples: ['emea'] })
const stepPath = nullable(
  Type.String({ description: 'The step instance; null: the execution itself', examples: ['push'] }),
)

const ConcurrencyKey = Type.Object(
  {
    scope: Scope,
    key: Key,
    limit: Type.Integer({ description: 'How many may hold it at once: as who asked last says', examples: [5] }),
    held: Type.Integer({ description: 'How many hold it', examples: [5] }),
    waiting: Type.Integer({ description: 'How many wait for it', examples: [12] }),
    holders: Type.Array(Type.Object({ executionId: Uuid, stepPath, since: Timestamp }), {
      description: 'Who holds it, ten at most',
    }),
  },
  {
    $id: 'ConcurrencyKey',
    description: 'A key of `concurrency`, or a mutex, that somebody holds or waits for',
    examples: [
      {
        scope: 'shared:crm',
        key: 'emea',
        limit: 1,
        held: 1,
        waiting: 12,
        holders: [
          {
            executionId: '0199f3a8-7c1e-7d3a-9b52-0c8e4f6a1d27',
            stepPath: 'push',
            since: '2026-11-22T21:48:05.125Z',
          },
        ],
      },
    ],
  },
)
const ConcurrencyKeyList = listOf(ConcurrencyKey, 'ConcurrencyKeyList')
const ConcurrencySlot = Type.Object(
  {
    executionId: Uuid,
    stepPath,
    state: oneOf(['held', 'waiting']),
    since: Type.Unsafe<string>({ ...Timestamp, description: 'When it was given its slot, or asked for it' }),
    onLimit: oneOf(onLimits, { description: 'What it would have when the key is taken' }),
    isLeaving: Type.Boolean({ description: 'It was asked to go, since another takes its place (`cancel_running`)' }),
  },
  {
    $id: 'ConcurrencySlot',
    description: 'Who holds a key, or waits for it',
    examples: [
      {
        executionId: '0199f3a8-7c1e-7d3a-9b52-0c8e4f6a1d27',
        stepPath: 'push',
        state: 'waiting',
        since: '2026-11-22T21:48:05.125Z',
        onLimit: 'queue',
        isLeaving: false,
      },
    ],
  },
)
const ConcurrencySlotList = listOf(ConcurrencySlot, 'ConcurrencySlotList')
export const concurrencySchemas = [ConcurrencyKey, ConcurrencyKeyList, ConcurrencySlot, ConcurrencySlotList]

const tags = ['Concurrency']
const scopeText = { minLength: 1, description: '`scope` of a key, percent-encoded', examples: ['shared:crm'] }

/** The keys of `concurrency` and the mutexes: who holds them and who waits, for operators. */
export const concurrencyRoutes: FastifyPluginAsyncTypebox<{ engine: WorkflowEngine }> = async (app, { engine }) => {
  app.get(
    '/api/concurrency',
    {
      schema: {
        operationId: 'listConcurrencyKeys',
        summary: 'List concurrency keys in use',
        description: 'By scope and key: those that somebody holds or waits for. Filters are combined with "and".',
        tags,
        querystring: Type.Object({
          ...listQuery,
          scope: Type.Optional(text(300, { ...scopeText, description: 'Keys of this scope' })),
          key: Type.Optional(text(200, { description: 'This key, in any scope' })),
          executionId: Type.Optional(
            Type.Unsafe<string>({ ...Uuid, description: 'What this execution holds or waits for' }),
          ),
        }),
        response: { 200: answer('One page', ref(ConcurrencyKeyList)), ...problems('CURSOR_INVALID') },
      },
    },
    async ({ query }) => {
      const { limit: _limit, cursor, ...filter } = query
      const page = await engine.store.listLines(filter, limitOf(query), cursor)
      return { items: page.items.map(keyOf), nextCursor: page.nextCursor }
    },
  )

  app.get(
    '/api/concurrency/:scope',
    {
      schema: {
        operationId: 'listConcurrencySlots',
        summary: 'List who holds a concurrency key and who waits for it',
        description:
          'First the holders, then the line: who stands first goes first. Empty when nobody uses the key. Pages are looks at different moments: what moves up between them may be seen twice, or not at all.',
        tags,
        params: Type.Object({ scope: text(300, scopeText) }),
        querystring: Type.Object({
          ...listQuery,
          key: Type.Optional(text(200, { description: 'Left out: the empty key', examples: ['emea'] })),
        }),
        response: { 200: answer('One page', ref(ConcurrencySlotList)), ...problems('CURSOR_INVALID') },
      },
    },
    async ({ params: { scope }, query }) => {
      const { key = '', cursor } = query
      const page = await engine.store.placesInLine({ scope, key }, limitOf(query), cursor)
      return { items: page.items.map(slotOf), nextCursor: page.nextCursor }
    },
  )
}

const holderOf = ({ executionId, path, since }: Pick<LinePlace, 'executionId' | 'path' | 'since'>) => ({
  executionId,
  stepPath: path === '' ? null : path,
  since: rfc3339(since),
})

const keyOf = ({ holders, ...line }: Line): Static<typeof ConcurrencyKey> => ({
  ...line,
  holders: holders.map((holder) => holderOf(holder)),
})

const slotOf = ({ state, onLimit, isLeaving, ...holder }: LinePlace): Static<typeof ConcurrencySlot> => ({
  ...holderOf(holder),
  state,
  onLimit,
  isLeaving,
})

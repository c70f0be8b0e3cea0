import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { WorkflowEngine } from '../engine/engine.ts'
import { CairnError } from '../errors.ts'
import { eventResource } from '../stream/resource.ts'
import { Event } from '../stream/schema.ts'
import { answer } from './answer.ts'
import { ExecutionParams } from './executions.ts'
import { cursorAfter, limitOf, listOf, listQuery, numberIn } from './list.ts'
import { problems } from './problem.ts'
import { ref } from './scalar.ts'

const EventList = listOf(Event, 'EventList')
export const eventSchemas = [Event, EventList]

/** The journal of an execution. */
export const eventRoutes: FastifyPluginAsyncTypebox<{ engine: WorkflowEngine }> = async (app, { engine }) => {
  app.get(
    '/api/workflows/executions/:executionId/events',
    {
      schema: {
        operationId: 'listEvents',
        summary: 'Read the journal',
        description:
          'All events in the order of `seq`, those that a rollback superseded included. To follow it live, use a stream.',
        tags: ['Progress'],
        params: ExecutionParams,
        querystring: Type.Object({
          ...listQuery,
          after: Type.Optional(
            Type.Integer({
              minimum: 0,
              description: 'Only events after this seq; a `cursor` goes before it',
              examples: [0],
            }),
          ),
        }),
        response: {
          200: answer('One page', ref(EventList)),
          ...problems('EXECUTION_NOT_FOUND', 'EVENTS_GONE', 'CURSOR_INVALID'),
        },
      },
    },
    async (request) => {
      const { executionId } = request.params
      const { cursor, after = 0 } = request.query
      const from = cursor === undefined ? after : numberIn(cursor)
      const limit = limitOf(request.query)
      const events = await engine.store.eventsAfter(executionId, from, limit + 1)
      await requireExecution(engine, executionId)
      if (events.length > 0 && events[0]!.seq > from + 1) throw gone(executionId, events[0]!.seq)
      const items = events.slice(0, limit)
      return {
        items: items.map(eventResource),
        nextCursor: events.length > limit ? cursorAfter(items.at(-1)!.seq) : null,
      }
    },
  )
}

async function requireExecution(engine: WorkflowEngine, executionId: string): Promise<void> {
  if ((await engine.store.missingExecutions([executionId])).length > 0)
    throw new CairnError('EXECUTION_NOT_FOUND', [executionId])
}

/** seq has no hole: what is missing before the first was compacted away. */
const gone = (executionId: string, firstSeq: number): CairnError =>
  new CairnError('EVENTS_GONE', [executionId, firstSeq], { details: { firstSeq } })

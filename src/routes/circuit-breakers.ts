import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type Static, Type } from 'typebox'
import { isStorable } from '../definition/stored-text.ts'
import type { CircuitView } from '../engine/breakers.ts'
import type { WorkflowEngine } from '../engine/engine.ts'
import { CairnError } from '../errors.ts'
import { circuitModes } from '../repository/circuit-breakers.ts'
import { cursorInvalid } from '../repository/cursor.ts'
import { rfc3339 } from '../stream/resource.ts'
import { answer } from './answer.ts'
import { IdempotencyHeaders } from './idempotency.ts'
import { limitOf, listOf, listQuery } from './list.ts'
import { bodyProblems, problems } from './problem.ts'
import { nullable, oneOf, ref, rfc3339OrNull, Timestamp, text } from './scalar.ts'

const CircuitBreaker = Type.Object(
  {
    key: Type.String({
      description:
        'What is called: `http:<host>`, `database:<data source>`, `agent:<agent>`, or the key that a step names',
      examples: ['http:api.example.com'],
    }),
    state: oneOf(['closed', 'open', 'half_open'], {
      description: 'half_open: it was open for long enough, and the next call, only one in the cluster, probes it',
    }),
    mode: oneOf(circuitModes, {
      description: "`open` and `closed` are an operator's word; `auto` goes by what calls say",
    }),
    reason: nullable(Type.String({ description: 'Why an operator set it' })),
    openedAt: nullable(Timestamp),
    openUntil: nullable(Timestamp),
    trips: Type.Integer({ description: 'How often in a row it opened, probes that failed included', examples: [2] }),
    isProbed: Type.Boolean({ description: 'A probe is under way' }),
    error: nullable(
      Type.Object(
        { type: Type.String({ examples: ['ConnectionError'] }), message: Type.String() },
        { description: 'What the call failed with that opened it last' },
      ),
    ),
    updatedAt: Timestamp,
  },
  {
    $id: 'CircuitBreaker',
    description: 'Whether a target is called, the same on all nodes',
    examples: [
      {
        key: 'http:api.example.com',
        state: 'open',
        mode: 'auto',
        reason: null,
        openedAt: '2026-11-22T21:48:05.125Z',
        openUntil: '2026-11-22T21:48:35.125Z',
        trips: 1,
        isProbed: false,
        error: { type: 'ConnectionError', message: 'GET https://api.example.com/data failed: connect ECONNREFUSED' },
        updatedAt: '2026-11-22T21:48:05.125Z',
      },
    ],
  },
)
const CircuitBreakerList = listOf(CircuitBreaker, 'CircuitBreakerList')
const SetCircuitBreaker = Type.Object(
  {
    mode: oneOf(circuitModes, {
      description:
        '`open` stops all calls, `closed` lets them through whatever they say, `auto` closes it and goes by what calls say from now on',
    }),
    reason: Type.Optional(text(1000, { description: 'For people', examples: ['maintenance of the warehouse'] })),
  },
  {
    $id: 'SetCircuitBreaker',
    additionalProperties: false,
    examples: [{ mode: 'open', reason: 'maintenance of the warehouse' }],
  },
)
export const circuitBreakerSchemas = [CircuitBreaker, CircuitBreakerList, SetCircuitBreaker]

const Params = Type.Object({ key: text(300, { minLength: 1, description: 'Percent-encoded where need be' }) })
const tags = ['Circuit breakers']

/** The circuits that all nodes share: which targets are called, which are not, and an operator's hand on them. */
export const circuitBreakerRoutes: FastifyPluginAsyncTypebox<{ engine: WorkflowEngine }> = async (app, { engine }) => {
  app.get(
    '/api/circuit-breakers',
    {
      schema: {
        operationId: 'listCircuitBreakers',
        summary: 'List circuit breakers',
        description: 'By key: of each target that a node has called in the last week or that an operator has set.',
        tags,
        querystring: Type.Object(listQuery),
        response: { 200: answer('One page', ref(CircuitBreakerList)), ...problems('CURSOR_INVALID') },
      },
    },
    async ({ query }) => {
      const limit = limitOf(query)
      const after = query.cursor === undefined ? null : keyIn(query.cursor)
      const circuits = await engine.circuitBreakers.list(limit + 1, after)
      const items = circuits.slice(0, limit).map((circuit) => resourceOf(circuit))
      return { items, nextCursor: circuits.length > limit ? cursorAfter(items.at(-1)!.key) : null }
    },
  )

  app.get(
    '/api/circuit-breakers/:key',
    {
      schema: {
        operationId: 'getCircuitBreaker',
        summary: 'Read a circuit breaker',
        tags,
        params: Params,
        response: { 200: answer('The circuit breaker', ref(CircuitBreaker)), ...problems('CIRCUIT_NOT_FOUND') },
      },
    },
    async ({ params: { key } }) => {
      const circuit = await engine.circuitBreakers.find(key)
      if (circuit === null) throw new CairnError('CIRCUIT_NOT_FOUND', [key])
      return resourceOf(circuit)
    },
  )

  app.patch(
    '/api/circuit-breakers/:key',
    {
      schema: {
        operationId: 'setCircuitBreaker',
        summary: 'Hold a circuit breaker open or closed, or let it be',
        description:
          'In force on this node at once, on the others within a second or so. Safe to repeat. Also for a target that was never called.',
        tags,
        params: Params,
        headers: IdempotencyHeaders,
        body: ref(SetCircuitBreaker),
        response: { 200: answer('As it is now', ref(CircuitBreaker)), ...problems(...bodyProblems) },
      },
    },
    async ({ params: { key }, body: { mode, reason = null } }) =>
      resourceOf(await engine.circuitBreakers.setMode(key, mode, reason)),
  )
}

const resourceOf = (circuit: CircuitView): Static<typeof CircuitBreaker> => ({
  key: circuit.key,
  state: circuit.state,
  mode: circuit.mode,
  reason: circuit.reason,
  openedAt: rfc3339OrNull(circuit.openedAt),
  openUntil: rfc3339OrNull(circuit.openUntil),
  trips: circuit.trips,
  isProbed: circuit.isProbed,
  error: circuit.error,
  updatedAt: rfc3339(circuit.updatedAt),
})

const cursorAfter = (key: string): string => Buffer.from(key).toString('base64url')

function keyIn(cursor: string): string {
  const key = Buffer.from(cursor, 'base64url').toString()
  if (!isStorable(key) || key === '' || cursorAfter(key) !== cursor) throw cursorInvalid()
  return key
}

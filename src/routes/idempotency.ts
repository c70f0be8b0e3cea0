import type { FastifyReply } from 'fastify'
import { type TSchema, Type } from 'typebox'
import { answer } from './answer.ts'
import { text } from './scalar.ts'

/** Headers of every POST and PATCH. */
export const IdempotencyHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    text(255, {
      minLength: 1,
      description:
        'Makes a repeat harmless: the same key with the same body answers 200 with the present resource and `idempotency-replayed: true`, with another body 409.',
      examples: ['order-4711'],
    }),
  ),
})

/** The 200 of a POST that was already done under its key. */
export const replayAnswer = (schema: TSchema, orElse = '') =>
  answer(`Nothing was done: the present resource of a repeat under the same Idempotency-Key${orElse}`, schema, {
    headers: { 'idempotency-replayed': '`true` for a repeat' },
  })

/** Says that the request was a repeat. */
export function markReplayed(reply: FastifyReply, replayed: boolean): void {
  if (replayed) reply.header('idempotency-replayed', 'true')
}

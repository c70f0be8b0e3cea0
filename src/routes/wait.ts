import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import type { WorkflowEngine } from '../engine/engine.ts'

/** Query field of the routes that can wait for an execution's end. */
export const waitQuery = {
  waitMs: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 60_000,
      description: 'Waits so long for the end of the execution, at most, and answers with what there is then',
      examples: [5000],
    }),
  ),
}

/** Waits for the end of an execution; less when the client goes away or the server stops. */
export async function waitForEnd(
  engine: WorkflowEngine,
  executionId: string,
  waitMs: number,
  reply: FastifyReply,
): Promise<void> {
  // Not request.signal: a request closes as soon as its body was read, an answer when it is sent or the client has gone.
  const gone = new AbortController()
  reply.raw.once('close', () => gone.abort())
  await engine.waitForEnd(executionId, waitMs, AbortSignal.any([gone.signal, reply.server.stopping]))
}

import type { JsonObject } from '../../definition/json.ts'
import type { Secrets } from '../secrets.ts'
import { ActionError } from './action.ts'
import { RefusedAnswer, UnfitAnswer } from './agent-protocol.ts'
import { codeOf, isPassing, retryAfterMs } from './http-errors.ts'

const excerptCharacters = 2_000

/** What the SDK throws for an answer or a connection that failed; told by its members, so that the SDK need not be loaded. */
interface CallError extends Error {
  readonly statusCode?: number
  readonly responseBody?: string
  readonly responseHeaders?: Record<string, string>
}

/** What went wrong between us and an agent, as a failure of the step. Bugs pass. */
export function agentFailure(thrown: unknown, agent: string, secrets: Secrets): unknown {
  if (!(thrown instanceof Error) || thrown instanceof ActionError) return thrown
  const excerpt = (text: string) => secrets.redactText(text).slice(0, excerptCharacters)
  if (thrown instanceof UnfitAnswer) {
    const faults = thrown.faults.map(({ pointer, message }) => ({ pointer, message }))
    // A model that is asked again may answer otherwise.
    return new ActionError('AgentError', `Agent ${agent}: ${thrown.message}`, {
      retryable: true,
      details: { agent, faults, text: excerpt(thrown.text) },
    })
  }
  if (thrown instanceof RefusedAnswer) {
    return new ActionError('AgentError', `Agent ${agent}: its content filter stopped the answer`, {
      details: { agent },
    })
  }
  if (!thrown.name.startsWith('AI_')) return thrown
  const { statusCode: status, responseBody, responseHeaders = {} } = thrown as CallError
  if (status === undefined) return connectionFailure(thrown, agent)
  const wait = retryAfterMs(status, responseHeaders)
  const details: JsonObject = {
    agent,
    status,
    body: excerpt(responseBody ?? ''),
    ...(wait !== undefined && { retryAfterMs: wait }),
  }
  const said =
    status < 400 ? `answered ${status} with something that is no completion` : `answered ${status}: ${thrown.message}`
  return new ActionError('AgentError', `Agent ${agent} ${secrets.redactText(said)}`, {
    retryable: isPassing(status),
    details,
  })
}

/** Without a status the call never got an answer, unless the SDK refused it before it was sent. */
function connectionFailure(thrown: Error, agent: string): ActionError {
  const cause = rootOf(thrown)
  const retryable = thrown.name === 'AI_APICallError'
  return new ActionError('AgentError', `Agent ${agent} did not answer: ${cause.message || codeOf(cause)}`, {
    retryable,
    details: { agent },
    cause,
  })
}

/** The first cause with a system code: fetch and the SDK wrap it in two errors that say less. */
function rootOf(error: Error): Error {
  if (codeOf(error) !== '' || !(error.cause instanceof Error)) return error
  return rootOf(error.cause)
}

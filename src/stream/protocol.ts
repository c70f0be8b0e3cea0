import { Compile } from 'typebox/compile'
import type { EventMessage, StreamMessage } from '../engine/stream-message.ts'
import { CairnError, type ErrorCode, type Fault } from '../errors.ts'
import { schemaFaults } from '../schema-faults.ts'
import { eventResource, progressResource, rfc3339 } from './resource.ts'
import { type ClientMessage, clientMessages } from './schema.ts'

/** What a socket sends that does not come from the feed. */
export type Reply =
  | { readonly type: 'subscribed'; readonly workflowId: string; readonly at: number }
  | { readonly type: 'unsubscribed'; readonly executionId?: string; readonly workflowId?: string; readonly at: number }
  | { readonly type: 'pong'; readonly at: number }
  | {
      readonly type: 'error'
      readonly code: ErrorCode
      readonly message: string
      readonly executionId?: string
      readonly workflowId?: string
      readonly errors?: readonly Fault[]
      readonly at: number
    }

/** One message goes to many subscribers: it becomes text once, and is forgotten with the message. */
const encoded = new WeakMap<StreamMessage, Buffer>()

/** A message of the feed as JSON in UTF-8. */
export function encode(message: StreamMessage): Buffer {
  let text = encoded.get(message)
  if (text === undefined) {
    text = Buffer.from(message.type === 'event' ? eventText(message) : JSON.stringify(wireOf(message)))
    encoded.set(message, text)
  }
  return text
}

export const encodeReply = (reply: Reply): Buffer => Buffer.from(JSON.stringify({ ...reply, at: rfc3339(reply.at) }))

/** What the journal has encoded already, and the wire shows as it is, is not encoded again. */
function eventText({ event, at, ...rest }: EventMessage): string {
  const { data, ...resource } = eventResource(event)
  const head = JSON.stringify({ ...rest, at: rfc3339(at), event: resource })
  const text = data === event.data && event.text !== undefined ? event.text : JSON.stringify(data)
  return `${head.slice(0, -'}}'.length)},"data":${text}}}`
}

function wireOf(message: Exclude<StreamMessage, EventMessage>): object {
  const { at, ...rest } = message
  const progress = rest.type === 'snapshot' ? { progress: progressResource(rest.progress) } : {}
  return { ...rest, at: rfc3339(at), ...progress }
}

const checks = {
  subscribe: Compile(clientMessages.subscribe),
  unsubscribe: Compile(clientMessages.unsubscribe),
  ping: Compile(clientMessages.ping),
}

/** Understands what a client sent; throws the CairnError that says why it cannot. */
export function decode(text: string): ClientMessage {
  const message = parse(text)
  const type = typeof message === 'object' && message !== null ? Reflect.get(message, 'type') : undefined
  const check =
    typeof type === 'string' && Object.hasOwn(checks, type) ? checks[type as ClientMessage['type']] : undefined
  if (check === undefined)
    throw invalid({ pointer: '/type', message: `must be one of ${Object.keys(checks).join(', ')}` })
  if (!check.Check(message)) throw invalid(...schemaFaults(check.Errors(message)))
  const { executionId, workflowId, after } = message as { executionId?: string; workflowId?: string; after?: number }
  if (type !== 'ping' && (executionId === undefined) === (workflowId === undefined)) {
    throw invalid({ pointer: '', message: 'must name an executionId or a workflowId, and not both' })
  }
  if (workflowId !== undefined && after !== undefined) {
    throw invalid({ pointer: '/after', message: 'is for executions only: a workflow has no seq' })
  }
  return message as ClientMessage
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new CairnError('BODY_NOT_JSON', [(error as Error).message])
  }
}

const invalid = (...faults: Fault[]): CairnError => new CairnError('REQUEST_INVALID', [], { faults })

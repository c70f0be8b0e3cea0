import { Compile } from 'typebox/compile'
import { type EventMessage, FRAME, type StartedHint, type StreamMessage } from '../engine/stream-message.ts'
import { CairnError, type ErrorCode, type Fault } from '../errors.ts'
import { schemaFaults } from '../schema-faults.ts'
import { progressResource, rfc3339, withTimes } from './resource.ts'
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

/** A message of the feed as a frame of text: made once, however many hear it. */
export function frameOf(message: StreamMessage): Buffer {
  message[FRAME] ??= textFrame(textOf(message))
  return message[FRAME]
}

/** A message of the feed as JSON in UTF-8. */
export function encode(message: StreamMessage): Buffer {
  const frame = frameOf(message)
  return frame.subarray(headerBytes(frame[1]!))
}

export const replyFrame = (reply: Reply): Buffer => textFrame(JSON.stringify({ ...reply, at: rfc3339(reply.at) }))

/**
 * RFC 6455, section 5.2: the only frame of a message, of text, not masked since a server sends it. `ws` would make one for each
 * socket, in two pieces.
 */
function textFrame(text: string): Buffer {
  const bytes = Buffer.byteLength(text)
  const mark = bytes < MARK_16 ? bytes : bytes < 65_536 ? MARK_16 : MARK_64
  const header = headerBytes(mark)
  const frame = Buffer.allocUnsafe(header + bytes)
  frame[0] = FINAL_TEXT
  frame[1] = mark
  if (mark === MARK_16) frame.writeUInt16BE(bytes, 2)
  if (mark === MARK_64) frame.writeBigUInt64BE(BigInt(bytes), 2)
  frame.write(text, header)
  return frame
}

const FINAL_TEXT = 0x81
/** In place of a length that is too large for seven bits: it follows in so many. */
const MARK_16 = 126
const MARK_64 = 127

const headerBytes = (mark: number): number => (mark < MARK_16 ? 2 : mark === MARK_16 ? 4 : 10)

function textOf(message: StreamMessage): string {
  switch (message.type) {
    case 'event':
      return eventText(message)
    case 'step.started':
      return startedText(message)
    case 'snapshot': {
      const { at, progress, ...rest } = message
      return JSON.stringify({ ...rest, at: rfc3339(at), progress: progressResource(progress) })
    }
    default: {
      const { at, ...rest } = message
      return JSON.stringify({ ...rest, at: rfc3339(at) })
    }
  }
}

/**
 * `{ type, executionId, seq, at, percentage, event: eventResource(event) }`, written out: the journal has encoded most data already,
 * and only a path may need escapes. A third of the time that JSON.stringify of the objects takes; protocol.test.ts holds it to them.
 */
function eventText({ executionId, seq, at, percentage, event }: EventMessage): string {
  const { path, attempt } = event
  const data = withTimes(event.data)
  const text = data === event.data && event.text !== undefined ? event.text : JSON.stringify(data)
  const step = path === null ? '' : `,"path":${JSON.stringify(path)}`
  const tried = attempt === null ? '' : `,"attempt":${attempt}`
  const common = `"executionId":"${executionId}","seq":${seq},"at":"${rfc3339(at)}","percentage":${percentage}`
  return `{"type":"event",${common},"event":{"type":"${event.type}",${common}${step}${tried},"data":${text}}}`
}

function startedText({ executionId, path, attempt, at }: StartedHint): string {
  const step = `"path":${JSON.stringify(path)},"attempt":${attempt}`
  return `{"type":"step.started","executionId":"${executionId}",${step},"at":"${rfc3339(at)}"}`
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

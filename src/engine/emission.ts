import type { Json, JsonObject } from '../definition/json.ts'
import type { EmitPlan } from '../definition/plan.ts'
import { MOST_RECEIVERS } from '../definition/steps/emit.ts'
import { isStorable } from '../definition/stored-text.ts'
import { CairnError } from '../errors.ts'
import type { Address, Receiver } from '../repository/receivers.ts'
import { dataOf } from './core/data.ts'
import { StepScope } from './core/scope.ts'
import type { StepState } from './core/state.ts'
import { errorFact } from './error-fact.ts'
import { stepError } from './evaluate.ts'
import { type Mailbox, NO_MAILBOX } from './history.ts'
import { type Finding, isWorthAsking, type LookUp, type Seeker } from './look-up.ts'
import { MOST_SIGNALS } from './requests.ts'

/** What one step may leave in inboxes, all receivers together, unless one payload alone may be more. */
const MOST_BYTES = 8 * 1024 * 1024
const LONGEST_NAME = 200
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** What a step is about to send, and to whom. */
interface Emission {
  readonly name: string
  readonly payload: Json
  readonly bytes: number
  readonly address: Address
}

/** What keeps a step from sending anything. */
class EmitFault extends Error {
  readonly type: string

  constructor(type: string, message: string) {
    super(message)
    this.type = type
  }
}

/**
 * Who gets the signal: answers with `step.completed`, whose append leaves it in their inboxes, or `step.failed`: ValidationError,
 * ExpressionError, PayloadTooLarge, TooManyReceivers, NoReceiver, SignalsFull. All get it or none.
 */
export const emission: LookUp<EmitPlan> = async (seeker, plan, step) => {
  try {
    const emitted = rendered(seeker, plan, step)
    const receivers = await found(seeker, emitted)
    if (receivers.length === 0 && plan.onNobody === 'fail')
      throw new EmitFault('NoReceiver', 'there is no live execution to send it to')
    return () => sentTo(seeker, step, emitted, receivers)
  } catch (thrown) {
    const error =
      thrown instanceof EmitFault ? errorFact(thrown.type, thrown.message, step.path) : stepError(thrown, step)
    return () => ({ fact: { type: 'step.failed', path: step.path, data: { error, retryAt: null } } })
  }
}

function rendered({ row, plan, services, state: present }: Seeker, emit: EmitPlan, step: StepState): Emission {
  const state = present()
  const scope = new StepScope(plan, state, step, row)
  const name = emit.signal.render(scope)
  if (typeof name !== 'string' || name === '' || name.length > LONGEST_NAME || !isStorable(name))
    throw new EmitFault('ValidationError', `signal must be a text of 1 to ${LONGEST_NAME} characters`)
  const payload = (emit.payload === null ? dataOf(plan, state, step) : emit.payload.render(scope)) ?? null
  const bytes = Buffer.byteLength(JSON.stringify(payload))
  const { maxPayloadBytes } = services.limits
  if (bytes > maxPayloadBytes)
    throw new EmitFault('PayloadTooLarge', `the payload is ${bytes} bytes; at most ${maxPayloadBytes} are taken`)
  return { name, payload, bytes, address: addressOf(emit, emit.to.render(scope) as JsonObject, row.id) }
}

/** A name that the definition gives and that comes to nothing must not widen the address: it is a fault. */
function addressOf({ addressedBy }: EmitPlan, to: JsonObject, self: string): Address {
  if (addressedBy.includes('executionId')) return { executionIds: idsOf(to.executionId) }
  const named: Record<string, string> = {}
  for (const field of addressedBy) {
    const value = to[field]
    const text = typeof value === 'number' ? String(value) : value
    if (typeof text !== 'string' || text === '' || !isStorable(text))
      throw new EmitFault('ValidationError', `to.${field} must be a text, and is ${JSON.stringify(value) ?? 'missing'}`)
    named[field] = text
  }
  return { ...named, except: self }
}

function idsOf(given: Json | undefined): string[] {
  const ids = [...new Set(Array.isArray(given) ? given : [given])]
  const bad = ids.findIndex((id) => typeof id !== 'string' || !uuid.test(id))
  if (bad < 0) return checkedCount(ids as string[])
  throw new EmitFault(
    'ValidationError',
    `to.executionId must be an id of an execution, or a list of them, and holds ${JSON.stringify(ids[bad]) ?? 'nothing'}`,
  )
}

async function found(
  { row, services }: Seeker,
  { name, payload, address, bytes }: Emission,
): Promise<readonly Receiver[]> {
  const receivers = checkedCount(await services.store.receivers(row.namespace, address, MOST_RECEIVERS + 1))
  const most = Math.max(MOST_BYTES, services.limits.maxPayloadBytes)
  if (bytes * receivers.length > most)
    throw new EmitFault('PayloadTooLarge', `${receivers.length} times ${bytes} bytes are more than ${most}`)
  for (const { id, signals } of receivers) {
    const { untaken, signalFaults } = await mailboxOf(services, id)
    const [fault] = signalFaults(name, payload)
    if (fault !== undefined)
      throw new EmitFault(
        'ValidationError',
        `no step of execution ${id} takes it: payload${fault.pointer} ${fault.message}`,
      )
    const waiting = signals + untaken
    if (waiting >= MOST_SIGNALS)
      throw new EmitFault('SignalsFull', `execution ${id} holds ${waiting} signals that no step has taken`)
  }
  return receivers
}

function checkedCount<T>(receivers: readonly T[]): T[] {
  if (receivers.length <= MOST_RECEIVERS) return [...receivers]
  throw new EmitFault('TooManyReceivers', `a signal goes to at most ${MOST_RECEIVERS} executions; narrow \`to\``)
}

/** One that is gone by now, or cannot be read, holds nothing that counts. */
async function mailboxOf({ history }: Seeker['services'], executionId: string): Promise<Mailbox> {
  try {
    return await history.mailbox(executionId)
  } catch (thrown) {
    if (thrown instanceof CairnError && !isWorthAsking(thrown)) return NO_MAILBOX
    throw thrown
  }
}

function sentTo({ services }: Seeker, { path }: StepState, emitted: Emission, receivers: readonly Receiver[]): Finding {
  const { name, payload, bytes } = emitted
  const { clock } = services
  return {
    fact: { type: 'step.completed', path, data: { output: { delivered: receivers.length } } },
    accompany(draft) {
      for (const { id: executionId } of receivers)
        draft.send({ executionId, kind: 'signal', name, payload, requestId: clock.newId(), at: clock.now() }, bytes)
    },
  }
}

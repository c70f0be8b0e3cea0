import type { Json, JsonObject } from '../definition/json.ts'
import { CairnError, type ErrorCode, errors } from '../errors.ts'
import type { ExecutionRow } from '../repository/execution-row.ts'
import type { IdempotencyKey, Keyed } from '../repository/idempotency.ts'
import type { InboxKind } from '../repository/inbox.ts'
import type { ControlAction } from './core/control.ts'
import type { JournalEvent, Refusal } from './core/event.ts'
import type { RollbackPlan } from './core/rollback-plan.ts'
import { isFinished } from './core/state.ts'
import { fingerprint } from './fingerprint.ts'
import type { Mailbox } from './history.ts'
import type { ControlPayload } from './inbox-fact.ts'
import type { NodeLife, NodeParts } from './node-life.ts'

/** What an execution is asked for from outside, and how it answers. */
export interface ControlRequest {
  readonly action: ControlAction
  readonly reason?: string | undefined
  readonly checkpointIndex?: number | undefined
  readonly resume?: boolean | undefined
  /** Takes back first what was completed after the checkpoint. */
  readonly compensate?: boolean | undefined
  /** Refused unless this is the execution's last seq. */
  readonly seq?: number | undefined
  readonly idempotencyKey?: string | undefined
}

/** What a rollback is planned by. */
export type RollbackWish = Pick<ControlPayload, 'checkpointIndex' | 'compensate' | 'seq'>

/** Something for an inbox, under an Idempotency-Key perhaps. */
export interface Post {
  readonly kind: InboxKind
  readonly name: string | null
  readonly payload: Json
  /** What the key is for. */
  readonly route: string
  readonly key: string | undefined
  /** Goes along with the payload, and is nothing that the key is for. */
  readonly beside?: JsonObject
}

export interface ControlAnswer {
  readonly execution: ExecutionRow
  /** False: it is durable and will take effect, but has not within the time that was waited. */
  readonly effective: boolean
  readonly replayed: boolean
}

/** How long a request waits for the event that answers it. */
export const ANSWER_WITHIN_MS = 5_000
/** Signals that no step has taken, of one execution; beyond it nobody may leave another. */
export const MOST_SIGNALS = 1_000

/** The way of everything that reaches an execution from outside: durably into its inbox, then to its owner. */
export class Requests {
  readonly #parts: NodeParts
  readonly #life: () => NodeLife | null

  constructor(parts: NodeParts, life: () => NodeLife | null) {
    this.#parts = parts
    this.#life = life
  }

  /**
   * Asks for a pause, resume, cancel, retry or rollback and waits up to 5 s for the event that answers it; so does a repeat
   * under the same key while the first one is unanswered.
   * EXECUTION_NOT_FOUND, EXECUTION_STATUS_CONFLICT, CHECKPOINT_NOT_FOUND, CHECKPOINT_GONE, SEQ_CONFLICT, EXECUTION_KEY_LIVE.
   */
  async control(executionId: string, request: ControlRequest): Promise<ControlAnswer> {
    const { idempotencyKey, action, ...payload } = request
    const view = await this.#find(executionId)
    await this.#checkKey(view, action)
    const posted = await this.post(executionId, {
      ...{ kind: action, name: null, payload: withoutAbsent(payload) },
      ...{ key: idempotencyKey, route: `control ${executionId}` },
      ...(view.executionKey !== null && !isFinished(view.status) && { beside: { wasLive: true } }),
    })
    const { requestId, replayed } = posted
    if (replayed && !(await this.#isUnanswered(executionId, requestId, action)))
      return { execution: await this.#find(executionId), effective: true, replayed }
    const isAnswer = (event: JournalEvent): boolean => answers(event, requestId) || (action === 'pause' && isEnd(event))
    const answer = await this.#parts.feed.waitFor(executionId, view.lastSeq, isAnswer, ANSWER_WITHIN_MS)
    const execution = await this.#find(executionId)
    // It ended before the pause could take effect.
    if (answer !== null && !answers(answer, requestId)) {
      const executionStatus = execution.status
      const parameters = [executionId, executionStatus, action]
      throw new CairnError('EXECUTION_STATUS_CONFLICT', parameters, { details: { executionStatus } })
    }
    if (answer?.type === 'control.refused') throw refusalError(answer.data as unknown as Refusal, execution.status)
    return { execution, effective: answer !== null, replayed }
  }

  /** What a rollback would do as things stand; changes nothing. As `control`. FORMAT_UNKNOWN, HISTORY_INVALID. */
  async planRollback(executionId: string, wish: RollbackWish): Promise<RollbackPlan> {
    const view = await this.#find(executionId)
    await this.#checkKey(view, 'rollback')
    const planned = await this.#parts.history.planRollback(executionId, wish)
    if ('code' in planned) throw refusalError(planned, view.status)
    return planned
  }

  /** The first request under this key is still on its way: its repeat waits for the same answer. */
  async #isUnanswered(executionId: string, requestId: string, action: ControlAction): Promise<boolean> {
    const inbox = await this.#parts.store.inboxOf([executionId])
    if (inbox.some((item) => item.requestId === requestId)) return true
    return action === 'pause' && (await this.#find(executionId)).requested === 'pause'
  }

  /** Cancels an execution for the sake of another; true when it has ended. */
  async cancelled(executionId: string, reason: string): Promise<boolean> {
    try {
      return (await this.control(executionId, { action: 'cancel', reason })).effective
    } catch (error) {
      const code = error instanceof CairnError ? error.code : null
      // It ended by itself meanwhile, and may even be removed by now.
      if (code === 'EXECUTION_STATUS_CONFLICT' || code === 'EXECUTION_NOT_FOUND') return true
      throw error
    }
  }

  /** What would make an ended execution live again must not, while another one has taken over its executionKey. */
  async #checkKey({ id, workflowId, executionKey, status }: ExecutionRow, action: ControlAction): Promise<void> {
    if (executionKey === null || !isFinished(status) || (action !== 'retry' && action !== 'rollback')) return
    const other = await this.#parts.store.findLiveUnderKey({ id, workflowId, executionKey })
    if (other === null) return
    const details = { executionId: other.id, executionStatus: other.status }
    throw new CairnError('EXECUTION_KEY_LIVE', [other.id, executionKey, other.status], { details })
  }

  /** Leaves a signal in the execution's inbox, durably. EXECUTION_NOT_FOUND, SIGNAL_INVALID, SIGNALS_FULL, PAYLOAD_TOO_LARGE. */
  async signal(
    executionId: string,
    name: string,
    payload: Json,
    idempotencyKey: string | undefined,
  ): Promise<{ replayed: boolean }> {
    const { settings } = this.#parts
    const bytes = Buffer.byteLength(JSON.stringify(payload))
    if (bytes > settings.maxPayloadBytes)
      throw new CairnError('PAYLOAD_TOO_LARGE', ['signal', bytes, settings.maxPayloadBytes])
    const post = { kind: 'signal', name, payload, route: `signal ${executionId}`, key: idempotencyKey } as const
    // A signal that was taken is repeated without being counted again.
    if ((await this.repeated(post)) !== null) return { replayed: true }
    const { signalFaults } = await this.#roomForSignal(executionId)
    const faults = signalFaults(name, payload)
    if (faults.length > 0) throw new CairnError('SIGNAL_INVALID', [name, executionId], { faults })
    return this.post(executionId, post)
  }

  /** SIGNALS_FULL. Signals go from the inbox to the mailbox meanwhile: what is counted first in one may be counted in the other again. */
  async #roomForSignal(executionId: string): Promise<Mailbox> {
    const { store, history } = this.#parts
    for (let inInbox = await store.countSignals(executionId); ; ) {
      const mailbox = await history.mailbox(executionId)
      if (mailbox.untaken + inInbox < MOST_SIGNALS) return mailbox
      inInbox = await store.countSignals(executionId)
      const waiting = mailbox.untaken + inInbox
      if (waiting >= MOST_SIGNALS) throw new CairnError('SIGNALS_FULL', [executionId, waiting])
    }
  }

  /** What was posted under its key before, or null. IDEMPOTENCY_KEY_REUSED when that was something else. */
  async repeated(post: Post): Promise<Keyed | null> {
    const key = keyOf(post, 0)
    return key === null ? null : this.#parts.store.findKey(key)
  }

  /** Leaves it in the execution's inbox, durably, and tells whoever owns that. EXECUTION_NOT_FOUND. */
  async post(executionId: string, post: Post): Promise<{ requestId: string; replayed: boolean }> {
    const { store, clock } = this.#parts
    const requestId = clock.newId()
    const { kind, name, payload, beside } = post
    const sent = beside === undefined ? payload : { ...(payload as JsonObject), ...beside }
    const item = { executionId, kind, name, payload: sent, requestId, at: clock.now() }
    const key = keyOf(post, item.at)
    if (key !== null) {
      const posted = await store.insertInboxKeyed(key, item)
      if (posted === null) throw new CairnError('EXECUTION_NOT_FOUND', [executionId])
      if (posted.replayed) return { requestId: posted.requestId ?? requestId, replayed: true }
    } else if ((await store.insertInbox(item)) === null) {
      throw new CairnError('EXECUTION_NOT_FOUND', [executionId])
    }
    this.#life()?.tellOwner(executionId)
    return { requestId, replayed: false }
  }

  async #find(executionId: string) {
    const view = await this.#parts.store.findExecutionView(executionId)
    if (view === null) throw new CairnError('EXECUTION_NOT_FOUND', [executionId])
    return view
  }

  /** Waits for the end of an execution, at most `waitMs`; the row as it is then. EXECUTION_NOT_FOUND. */
  async waitForEnd(executionId: string, waitMs: number, signal?: AbortSignal): Promise<ExecutionRow> {
    const view = await this.#find(executionId)
    if (isFinished(view.status) || waitMs <= 0 || signal?.aborted) return view
    const gone = signal && new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    await Promise.race([this.#parts.feed.waitFor(executionId, view.lastSeq, isEnd, waitMs), ...(gone ? [gone] : [])])
    return this.#find(executionId)
  }
}

function keyOf({ kind, name, payload, route, key }: Post, at: number): IdempotencyKey | null {
  if (key === undefined) return null
  return { namespace: 'default', route, key, requestHash: fingerprint([kind, name, payload]), at }
}

const isEnd = (event: JournalEvent): boolean =>
  event.type === 'execution.completed' ||
  event.type === 'execution.failed' ||
  event.type === 'execution.cancelled' ||
  event.type === 'execution.quarantined'

/** These only say that the pause, or the rollback, will come. */
const announcements: readonly string[] = ['execution.pause_requested', 'execution.compensating']

/** Whether the event answers the request. */
export const answers = (event: JournalEvent, requestId: string): boolean =>
  !announcements.includes(event.type) && (event.data as { requestId?: string }).requestId === requestId

function refusalError({ code, parameters, action }: Refusal, executionStatus: string): CairnError {
  const details = { executionStatus }
  if (Object.hasOwn(errors, code)) return new CairnError(code as ErrorCode, parameters, { details })
  // The owner is of a newer release and says why in a way that is not known here.
  return new CairnError('EXECUTION_STATUS_CONFLICT', [parameters[0], executionStatus, action], { details })
}

const withoutAbsent = (payload: object): Json =>
  Object.fromEntries(Object.entries(payload).filter(([, value]) => value !== undefined))

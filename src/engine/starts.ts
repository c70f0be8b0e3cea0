import type { Json } from '../definition/json.ts'
import type { Plan } from '../definition/plan.ts'
import { CairnError } from '../errors.ts'
import type { ConflictPolicy, ExecutionKey, KeyedStart, ReusePolicy } from '../repository/execution-keys.ts'
import type { ExecutionRow } from '../repository/execution-row.ts'
import type { IdempotencyKey } from '../repository/idempotency.ts'
import { FORMAT } from './core/state.ts'
import { executionKeyOf } from './execution-key.ts'
import { fingerprint } from './fingerprint.ts'
import type { NodeLife, NodeParts } from './node-life.ts'
import { pendingRow } from './pending-row.ts'
import { scheduled } from './scheduled.ts'
import { type SlotAtStart, slotAtStart } from './slot-at-start.ts'

/** What an execution is started with. */
export interface StartRequest {
  readonly workflowId: string
  /** The active version when left out. */
  readonly version?: number | undefined
  readonly input?: Json | undefined
  readonly triggeredBy?: string | null | undefined
  readonly correlationId?: string | null | undefined
  readonly tags?: readonly string[] | undefined
  /** Higher goes first when executions wait for a node, or for a slot; the workflow's own when left out. */
  readonly priority?: number | undefined
  /** ms since 1970: not before then. */
  readonly startAt?: number | undefined
  readonly traceparent?: string | null | undefined
  readonly idempotencyKey?: string | undefined
  /** A key of the caller's world: at most one live execution of the workflow has it. */
  readonly executionKey?: string | undefined
  /** When an execution that has ended had the key: `allow` when left out. */
  readonly reusePolicy?: ReusePolicy | undefined
  /** When a live execution has the key: `fail` when left out. */
  readonly conflictPolicy?: ConflictPolicy | undefined
}

export interface StartAnswer {
  readonly execution: ExecutionRow
  /** A repeat under its idempotency key: nothing was done. */
  readonly replayed: boolean
  /** Nothing was started: a live execution has the executionKey. */
  readonly existing?: boolean
}

/** How long a start waits to become durable. */
const START_WITHIN_MS = 10_000
/** How many that take the key one after another are cancelled for one start. */
const MOST_CANCELLED = 3

/** Starts executions: each answer means that the execution is durable. */
export class Starts {
  readonly #parts: NodeParts
  readonly #life: () => NodeLife
  readonly #lifeOrNull: () => NodeLife | null
  readonly #cancel: (executionId: string) => Promise<boolean>

  /** `life` throws when there is none that may begin anything; `cancel` tells whether the execution has ended. */
  constructor(
    parts: NodeParts,
    life: () => NodeLife,
    lifeOrNull: () => NodeLife | null,
    cancel: (executionId: string) => Promise<boolean>,
  ) {
    this.#parts = parts
    this.#life = life
    this.#lifeOrNull = lifeOrNull
    this.#cancel = cancel
  }

  /**
   * WORKFLOW_NOT_FOUND, WORKFLOW_ARCHIVED, VERSION_NOT_FOUND, VERSION_DEPRECATED, INPUT_INVALID, PAYLOAD_TOO_LARGE,
   * IDEMPOTENCY_KEY_REUSED, EXECUTION_KEY_LIVE, EXECUTION_KEY_USED, CONCURRENCY_LIMIT, ENGINE_OVERLOADED; DATABASE_UNAVAILABLE
   * at once while flushes fail, and after 10 s without an answer: then it may be done all the same, and only one with an
   * idempotency key is safe to repeat.
   */
  async start(request: StartRequest): Promise<StartAnswer> {
    const executionKey = executionKeyOf(request)
    const { version, plan } = await this.#parts.plans.forStart(request.workflowId, request.version)
    const input = this.#inputOf(plan, request.input)
    const life = this.#life()
    if (life.journal.isFull()) throw new CairnError('ENGINE_OVERLOADED')
    const trouble = life.journal.trouble()
    if (trouble !== null) throw new CairnError('DATABASE_UNAVAILABLE', [], { cause: new Error(trouble) })
    const row = this.#rowOf({ ...request, input }, version, plan)
    const slot = slotAtStart(plan, row, this.#parts.clock)
    if (executionKey !== null || slot !== null) return this.#startIfFree(row, request, executionKey, slot)
    if (request.idempotencyKey !== undefined) return this.#startKeyed(row, request, request.idempotencyKey)
    const written = this.#hasRoom(life, row) ? this.#startHere(life, row) : this.#schedule(life, row)
    return { execution: await this.#within(START_WITHIN_MS, written), replayed: false }
  }

  /** What is not durable by then may become so later; the caller is told that nobody knows. */
  async #within<Result>(ms: number, written: Promise<Result>): Promise<Result> {
    const { promise: overdue, reject } = Promise.withResolvers<never>()
    const timer = this.#parts.clock.after(ms, () => reject(new CairnError('DATABASE_UNAVAILABLE')))
    return Promise.race([written, overdue]).finally(() => timer.cancel())
  }

  /** As JSON of our own: the first steps must see what recovery will read, whatever the caller does to its value, or had in it. */
  #inputOf(plan: Plan, given: Json | undefined): Json {
    const { maxPayloadBytes } = this.#parts.settings
    const text = JSON.stringify(given) ?? 'null'
    const bytes = Buffer.byteLength(text)
    if (bytes > maxPayloadBytes) throw new CairnError('PAYLOAD_TOO_LARGE', ['input', bytes, maxPayloadBytes])
    const input = JSON.parse(text) as Json
    const faults = plan.inputFaults(input)
    if (faults.length > 0) throw new CairnError('INPUT_INVALID', [], { faults })
    return input
  }

  #hasRoom(life: NodeLife, { wakeAt }: ExecutionRow): boolean {
    return wakeAt === null && life.ownership.isAlive && life.owned.size < this.#parts.settings.maxRunning
  }

  /** The row and its first event are one append of the journal. */
  async #startHere(life: NodeLife, row: ExecutionRow): Promise<ExecutionRow> {
    try {
      return await life.owned.start({ ...row, owner: life.node })
    } catch (error) {
      // When the node died meanwhile, the start may be durable all the same: then the caller must not be told otherwise. What
      // is read counts only when a flush that is still under way can commit no more.
      if (life.ownership.isOver) await this.#parts.store.removeNode(life.node)
      const written = await this.#parts.store.findExecution(row.id)
      if (written === null) throw error
      return written
    }
  }

  /** No room, or not yet: the row waits for a node to claim it. */
  async #schedule(life: NodeLife, row: ExecutionRow): Promise<ExecutionRow> {
    const append = scheduled(row, this.#parts.clock)
    await new Promise<void>((resolve, reject) => {
      life.journal.append(append, {
        committed: () => resolve(),
        rejected: (_, error) => reject(error),
        abandoned: reject,
      })
    })
    life.ownership.claimSoon()
    if (row.wakeAt === null) life.hints?.claimable()
    return append.insert
  }

  /** The key decides who starts it; a loser answers with the winner's execution. */
  async #startKeyed(row: ExecutionRow, request: StartRequest, key: string) {
    const { store } = this.#parts
    const append = scheduled(row, this.#parts.clock)
    const { resourceId, replayed } = await store.startKeyed(idempotencyOf(row, request, key), append)
    if (replayed) return { execution: await this.#find(resourceId), replayed }
    this.#claimSoon(row)
    return { execution: append.insert, replayed }
  }

  /** The database decides who has the executionKey, and whether the slot is free that it would not wait for. */
  async #startIfFree(
    row: ExecutionRow,
    request: StartRequest,
    executionKey: ExecutionKey | null,
    slot: SlotAtStart | null,
  ): Promise<StartAnswer> {
    const { store, clock } = this.#parts
    const append = slot?.append ?? scheduled(row, clock)
    const { idempotencyKey } = request
    const key = idempotencyKey === undefined ? null : idempotencyOf(row, request, idempotencyKey)
    const start = () => store.startUnderKey(executionKey, key, append, slot?.ask)
    const outcome = await this.#vacating(executionKey?.key ?? '', start).catch((error) => {
      if (error instanceof CairnError && error.code === 'CONCURRENCY_LIMIT')
        this.#lifeOrNull()?.slotSettling.decidedAtStart(false)
      throw error
    })
    if (slot !== null && outcome.type === 'started') this.#lifeOrNull()?.slotSettling.decidedAtStart(true)
    if (outcome.type === 'started') {
      this.#claimSoon(row)
      return { execution: append.insert, replayed: false }
    }
    const execution = await this.#find(outcome.executionId)
    return { execution, replayed: outcome.type === 'replayed', existing: outcome.type === 'existing' }
  }

  /** Cancels who has the key and tries again. What has not ended by then keeps it: two are never live at once. */
  async #vacating(key: string, start: () => Promise<KeyedStart>): Promise<KeyedStart> {
    for (let cancelled = 0; ; cancelled++) {
      const outcome = await start()
      if (outcome.type !== 'occupied') return outcome
      const { executionId, status } = outcome
      if (cancelled === MOST_CANCELLED || !(await this.#cancel(executionId))) {
        const details = { executionId, executionStatus: status }
        throw new CairnError('EXECUTION_KEY_LIVE', [executionId, key, status], { details })
      }
    }
  }

  #claimSoon(row: ExecutionRow): void {
    const life = this.#lifeOrNull()
    life?.ownership.claimSoon()
    if (life !== null && row.wakeAt === null && !this.#hasRoom(life, row)) life.hints?.claimable()
  }

  async #find(executionId: string): Promise<ExecutionRow> {
    const execution = await this.#parts.store.findExecutionView(executionId)
    if (execution === null) throw new CairnError('EXECUTION_NOT_FOUND', [executionId])
    return execution
  }

  #rowOf(request: StartRequest, version: number, plan: Plan): ExecutionRow {
    const { clock } = this.#parts
    const { startAt } = request
    return pendingRow(clock, {
      namespace: 'default',
      workflowId: request.workflowId,
      workflowVersion: version,
      format: Math.max(FORMAT, plan.format),
      triggeredBy: request.triggeredBy ?? null,
      correlationId: request.correlationId ?? null,
      traceparent: request.traceparent ?? null,
      executionKey: request.executionKey ?? null,
      tags: request.tags ?? [],
      priority: request.priority ?? plan.priority,
      input: request.input ?? null,
      wakeAt: startAt !== undefined && startAt > clock.now() ? startAt : null,
    })
  }
}

/** What differs from one try to the next, because the caller's middleware makes it anew, is not what is asked for. */
function idempotencyOf(row: ExecutionRow, request: StartRequest, key: string): IdempotencyKey {
  const { idempotencyKey: _, traceparent: __, correlationId: ___, ...body } = request
  const { namespace, createdAt: at } = row
  return { namespace, route: 'POST executions', key, requestHash: fingerprint(body), at }
}

import type { Json } from '../definition/json.ts'
import type { Plan } from '../definition/plan.ts'
import { CairnError } from '../errors.ts'
import type { ExecutionRow } from '../repository/execution-row.ts'
import type { Append } from '../repository/flush.ts'
import { alreadyDue } from './clock.ts'
import { FORMAT } from './core/state.ts'
import { encode } from './encode.ts'
import { fingerprint } from './fingerprint.ts'
import type { NodeLife, NodeParts } from './node-life.ts'

/** What an execution is started with. */
export interface StartRequest {
  readonly workflowId: string
  /** The active version when left out. */
  readonly version?: number | undefined
  readonly input?: Json | undefined
  readonly triggeredBy?: string | null | undefined
  readonly correlationId?: string | null | undefined
  readonly tags?: readonly string[] | undefined
  /** Higher goes first when executions wait for a node. */
  readonly priority?: number | undefined
  /** ms since 1970: not before then. */
  readonly startAt?: number | undefined
  readonly traceparent?: string | null | undefined
  readonly idempotencyKey?: string | undefined
}

/** How long a start waits to become durable. */
const START_WITHIN_MS = 10_000

/** Starts executions: each answer means that the execution is durable. */
export class Starts {
  readonly #parts: NodeParts
  readonly #life: () => NodeLife
  readonly #lifeOrNull: () => NodeLife | null

  /** `life` throws when there is none that may begin anything. */
  constructor(parts: NodeParts, life: () => NodeLife, lifeOrNull: () => NodeLife | null) {
    this.#parts = parts
    this.#life = life
    this.#lifeOrNull = lifeOrNull
  }

  /**
   * WORKFLOW_NOT_FOUND, WORKFLOW_ARCHIVED, VERSION_NOT_FOUND, VERSION_DEPRECATED, INPUT_INVALID, PAYLOAD_TOO_LARGE,
   * IDEMPOTENCY_KEY_REUSED, ENGINE_OVERLOADED; DATABASE_UNAVAILABLE at once while flushes fail, and after 10 s without an
   * answer: then it may be done all the same, and only one with an idempotency key is safe to repeat.
   */
  async start(request: StartRequest): Promise<{ execution: ExecutionRow; replayed: boolean }> {
    const { version, plan } = await this.#parts.plans.forStart(request.workflowId, request.version)
    this.#checkInput(plan, request.input ?? null)
    const life = this.#life()
    if (life.journal.isFull()) throw new CairnError('ENGINE_OVERLOADED')
    const trouble = life.journal.trouble()
    if (trouble !== null) throw new CairnError('DATABASE_UNAVAILABLE', [], { cause: new Error(trouble) })
    const row = this.#rowOf(request, version, Math.max(FORMAT, plan.format))
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

  #checkInput(plan: Plan, input: Json): void {
    const { maxPayloadBytes } = this.#parts.settings
    const bytes = Buffer.byteLength(JSON.stringify(input))
    if (bytes > maxPayloadBytes) throw new CairnError('PAYLOAD_TOO_LARGE', ['input', bytes, maxPayloadBytes])
    const faults = plan.inputFaults(input)
    if (faults.length > 0) throw new CairnError('INPUT_INVALID', [], { faults })
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
    const append = this.#scheduled(row)
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

  #scheduled(row: ExecutionRow): Append & { readonly insert: ExecutionRow } {
    const at = this.#parts.clock.now()
    const startAt = row.wakeAt ?? at
    const event = encode(row.id, { seq: 1, at, type: 'execution.scheduled', data: { startAt } }, 0)
    return {
      executionId: row.id,
      events: [event],
      insert: { ...row, wakeAt: row.wakeAt ?? alreadyDue(this.#parts.clock), lastSeq: 1 },
      inboxKeys: [],
      bytes: event.text.length,
      statistics: [{ workflowId: row.workflowId, version: row.workflowVersion, status: { from: null, to: 'pending' } }],
    }
  }

  /** The key decides who starts it; a loser answers with the winner's execution. */
  async #startKeyed(row: ExecutionRow, request: StartRequest, key: string) {
    const { store } = this.#parts
    // What differs from one try to the next, because the caller's middleware makes it anew, is not what is asked for.
    const { idempotencyKey: _, traceparent: __, correlationId: ___, ...body } = request
    const { namespace, createdAt: at } = row
    const requestHash = fingerprint(body)
    const append = this.#scheduled(row)
    const { resourceId, replayed } = await store.startKeyed(
      { namespace, route: 'POST executions', key, requestHash, at },
      append,
    )
    if (!replayed) {
      const life = this.#lifeOrNull()
      life?.ownership.claimSoon()
      if (life !== null && row.wakeAt === null && !this.#hasRoom(life, row)) life.hints?.claimable()
      return { execution: append.insert, replayed }
    }
    const execution = await store.findExecutionView(resourceId)
    if (execution === null) throw new CairnError('EXECUTION_NOT_FOUND', [resourceId])
    return { execution, replayed }
  }

  #rowOf(request: StartRequest, version: number, format: number): ExecutionRow {
    const { clock } = this.#parts
    const now = clock.now()
    const { startAt } = request
    return {
      id: clock.newId(),
      namespace: 'default',
      workflowId: request.workflowId,
      workflowVersion: version,
      format,
      status: 'pending',
      requested: null,
      triggeredBy: request.triggeredBy ?? null,
      correlationId: request.correlationId ?? null,
      traceparent: request.traceparent ?? null,
      tags: request.tags ?? [],
      priority: request.priority ?? 0,
      input: request.input ?? null,
      output: null,
      error: null,
      owner: null,
      wakeAt: startAt !== undefined && startAt > now ? startAt : null,
      parentExecutionId: null,
      lastSeq: 0,
      createdAt: now,
      startedAt: null,
      completedAt: null,
      updatedAt: now,
    }
  }
}

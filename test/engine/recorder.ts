import { randomUUID } from 'node:crypto'
import type { Test } from 'tap'
import type { Json } from '../../src/definition/json.ts'
import type { ActionPlan, Plan, SequentialPlan, StepPlan } from '../../src/definition/plan.ts'
import { SystemClock } from '../../src/engine/clock.ts'
import type { Event, Fact, JournalEvent } from '../../src/engine/core/event.ts'
import { createState, type ExecutionState, FORMAT } from '../../src/engine/core/state.ts'
import { transition } from '../../src/engine/core/transition.ts'
import { Feed, type FeedOptions } from '../../src/engine/feed.ts'
import { History } from '../../src/engine/history.ts'
import { silentLog } from '../../src/engine/log.ts'
import { openDatabase } from '../../src/repository/connection.ts'
import type { AppendedEvent } from '../../src/repository/events.ts'
import type { ExecutionRow } from '../../src/repository/executions.ts'
import type { LaneWriter } from '../../src/repository/lane.ts'
import { createStore, type Store } from '../../src/repository/store.ts'
import { createTestDatabase } from '../harness/database.ts'

/** A plan of action steps one after the other, as the compiler would make it; nothing in it is ever evaluated. */
export function sequence(ids: readonly string[], keep = 10): Plan {
  const steps: StepPlan[] = []
  const base = {
    when: null,
    dependencies: [],
    timeoutMs: null,
    outcome: null,
    compensation: null,
    isAftermath: false,
    isRepeated: false,
    isLeaf: false,
    children: [],
    slot: null,
  }
  const root: SequentialPlan = {
    ...base,
    type: 'sequential',
    id: '',
    name: '',
    parent: null,
    position: 0,
    number: 1,
    weight: 1,
    steps,
    children: steps,
    body: null,
  }
  for (const [position, id] of ids.entries()) {
    const step = {
      ...base,
      type: 'action',
      isLeaf: true,
      id,
      name: `Step ${id}`,
      parent: root,
      position,
      number: position + 1,
      weight: 1 / ids.length,
      compensation: null,
    }
    steps.push(step as unknown as ActionPlan)
  }
  return {
    name: 'Recorded',
    format: 1,
    root,
    onFailure: null,
    slot: null,
    priority: 0,
    hasSlots: false,
    steps: new Map(steps.map((step) => [step.id, step])),
    leafCount: ids.length,
    variables: {},
    timeoutMs: null,
    checkpoints: { keep, compact: false },
    output: null,
    inputFaults: () => [],
    signalFaults: () => [],
  }
}

/** Writes facts to a real journal by hand, with the numbers, times and percentages that an executor would give them. */
export class Recorder {
  readonly plan: Plan
  readonly store: Store
  readonly workflowId = randomUUID()
  readonly #lane: LaneWriter
  readonly #states = new Map<string, ExecutionState>()
  #at = Date.now()

  constructor(plan: Plan, store: Store, lane: LaneWriter) {
    this.plan = plan
    this.store = store
    this.#lane = lane
  }

  /** A new execution whose first event is `execution.started`. */
  async begin(input: Json = null): Promise<string> {
    const id = randomUUID()
    this.#states.set(id, createState({ executionId: id, format: FORMAT, input, variables: {} }))
    await this.record(id, { type: 'execution.started', data: {} })
    return id
  }

  /** Commits facts in one append; answers the events. */
  async record(id: string, ...facts: Fact[]): Promise<JournalEvent[]> {
    const state = this.#states.get(id)!
    const isNew = state.seq === 0
    const events = facts.map((fact) => this.#fold(state, fact))
    const row = this.#rowOf(id, state)
    await this.#lane.flush(
      [{ executionId: id, events, ...(isNew ? { insert: row } : { row }), inboxKeys: [], bytes: 0, statistics: [] }],
      false,
    )
    return events
  }

  /** Completes steps, each with its id as output unless another is given. */
  complete(id: string, paths: readonly string[], output?: Json): Promise<JournalEvent[]> {
    return this.record(id, ...paths.map((path): Fact => completed(path, output ?? path)))
  }

  /** Goes back to the checkpoint at `toSeq`, as an executor does: with the state that was there. */
  async rollBack(id: string, history: History, checkpointIndex: number, toSeq: number): Promise<JournalEvent[]> {
    const present = this.#states.get(id)!
    const { state } = await history.load(id, toSeq)
    this.#states.set(id, Object.assign(state, { seq: present.seq }))
    const data = { checkpointIndex, toSeq, generation: present.generation + 1, kept: [], resume: true }
    return this.record(id, { type: 'execution.rolled_back', data })
  }

  #fold(state: ExecutionState, fact: Fact): AppendedEvent {
    this.#at += 10
    const event = { ...fact, seq: state.seq + 1, at: this.#at } as Event
    if (event.type === 'execution.quarantined')
      Object.assign(state, { seq: event.seq, status: 'failed', error: event.data.error })
    else transition(this.plan, state, event)
    return {
      executionId: state.executionId,
      seq: event.seq,
      type: event.type,
      path: 'path' in event ? (event.path ?? null) : null,
      attempt: 'attempt' in event ? (event.attempt ?? null) : null,
      at: event.at,
      percentage: state.percentage,
      data: event.data as unknown as Json,
      text: JSON.stringify(event.data),
    }
  }

  #rowOf(id: string, state: ExecutionState): ExecutionRow {
    return {
      id,
      namespace: 'default',
      workflowId: this.workflowId,
      workflowVersion: 1,
      format: FORMAT,
      status: state.status,
      requested: state.requested,
      triggeredBy: null,
      correlationId: null,
      traceparent: null,
      executionKey: null,
      tags: [],
      priority: 0,
      input: state.input,
      output: state.output,
      error: state.error,
      owner: null,
      wakeAt: Date.now() + 3_600_000,
      parentExecutionId: null,
      lastSeq: state.seq,
      createdAt: this.#at,
      startedAt: state.startedAt,
      completedAt: state.completedAt,
      updatedAt: state.at,
    }
  }
}

export const completed = (path: string, output: Json): Fact => ({
  type: 'step.completed',
  path,
  attempt: 1,
  data: { output },
})

/** A recorder on a database of the test's own. */
export async function openRecorder(t: Test, plan: Plan = sequence(['a', 'b', 'c'])): Promise<Recorder> {
  const { url } = await createTestDatabase(t)
  const database = openDatabase({ url })
  const store = createStore(database)
  const node = randomUUID()
  await store.registerNode({ id: node, host: 'test', lanes: 1, leaseMs: 3_600_000 })
  const lane = store.openLane(node, 0)
  t.teardown(async () => {
    await lane.close()
    await database.close()
  })
  return new Recorder(plan, store, lane)
}

export function openHistory(
  { store, plan }: Recorder,
  options: { store?: Partial<Store>; medians?: Map<string, number> } = {},
): History {
  return new History({
    store: { ...store, ...options.store },
    plans: { get: async () => plan },
    medians: async () => options.medians ?? new Map(),
    now: () => Date.now(),
  })
}

/** A feed that polls only when the test says so. */
export function openFeed(t: Test, recorder: Recorder, options: Partial<FeedOptions> = {}): Feed {
  const feed = new Feed({
    store: recorder.store,
    history: openHistory(recorder),
    isOwnedHere: () => true,
    clock: new SystemClock(),
    log: silentLog,
    ...options,
  })
  t.teardown(() => feed.stop())
  return feed
}

/** Collects what a listener hears; `until` resolves when enough of it has come, and the test's timeout guards it. */
export class Heard<T> {
  readonly messages: T[] = []
  #waiting: { isEnough: (messages: readonly T[]) => boolean; resolve: () => void }[] = []

  readonly listener = (message: T): void => {
    this.messages.push(message)
    this.#waiting = this.#waiting.filter(({ isEnough, resolve }) => !isEnough(this.messages) || resolve())
  }

  until(isEnough: (messages: readonly T[]) => boolean): Promise<void> {
    if (isEnough(this.messages)) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push({ isEnough, resolve }))
  }

  count(count: number): Promise<void> {
    return this.until((messages) => messages.length >= count)
  }
}

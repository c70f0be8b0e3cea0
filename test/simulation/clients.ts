import type { WorkflowEngine } from '../../src/engine/engine.ts'
import { CairnError } from '../../src/errors.ts'
import type { CircuitMode } from '../../src/repository/circuit-breakers.ts'
import type { Audit } from './audit.ts'
import { targetNames } from './effects.ts'
import type { Server } from './model/server.ts'
import type { SimulatedNode } from './node.ts'
import { People } from './people.ts'
import type { Act, Business, Timed } from './scenario.ts'
import { Subscriber } from './subscriber.ts'
import type { World } from './world.ts'

/** How often a client tries again under the same key, and how long it waits, ms. */
const TRIES = 4
const AGAIN_MS = 300

/**
 * The people and services outside: they start, control, signal and watch through whichever node is up, and hold each
 * answer against the database at the moment in which they get it.
 */
export class Clients {
  readonly executions: string[] = []
  readonly subscribers: Subscriber[] = []
  /** Whose cancel was asked for. */
  readonly cancelled = new Set<string>()
  readonly #world: World
  readonly #server: Server
  readonly #audit: Audit
  readonly #nodes: readonly SimulatedNode[]
  readonly #workflowIds: readonly string[]
  readonly #people: People
  /** Keys that somebody wanted for himself, by `workflow key`. */
  readonly #vacated = new Set<string>()
  #next = 0

  constructor(
    world: World,
    server: Server,
    audit: Audit,
    nodes: readonly SimulatedNode[],
    workflowIds: readonly string[],
  ) {
    this.#world = world
    this.#server = server
    this.#audit = audit
    this.#nodes = nodes
    this.#workflowIds = workflowIds
    this.#people = new People(world, server, audit, (node, keyed, ask) => this.#persist(node, keyed, ask))
  }

  /** Does what is to be done at this moment. Never rejects. */
  act({ node, what }: Timed<Act>): void {
    this.#world.note(`act ${JSON.stringify(what)}`)
    void this.#perform(node, what).catch((error: Error) => this.#world.note(`  ${what.type} answers ${error.message}`))
  }

  /** Brings back who was cut off. */
  reconnect(): void {
    for (const subscriber of this.subscribers) {
      const node = this.#nodeFrom(this.#world.random.below(3))
      if (!subscriber.isConnected && node !== null) subscriber.connect(node)
    }
  }

  /** Takes back every pause: whatever is paused is resumed. */
  resumeAll(): void {
    for (const { id, status } of this.#server.tables.executions.values()) {
      const engine = this.#nodeFrom(0)?.engine
      if (status === 'paused') engine?.resumeExecution(id).catch(() => {})
    }
  }

  /** Whatever waits for somebody is answered. */
  answerAll(): void {
    this.#people.answerAll()
  }

  /** Operators let go of all circuits. */
  freeAll(): void {
    for (const { key, mode } of this.#server.tables.circuits.values()) {
      if (mode !== 'auto')
        this.#nodeFrom(0)
          ?.engine?.circuitBreakers.setMode(key, 'auto', null)
          .catch(() => {})
    }
  }

  /** Whose cancel was asked for, by those too who wanted its executionKey or its slot. */
  mayBeCancelled(): ReadonlySet<string> {
    const ids = new Set([...this.cancelled, ...this.#audit.lines.cancelled()])
    for (const { id, workflowId, executionKey } of this.#audit.archive.rows.values()) {
      if (this.#vacated.has(`${workflowId} ${executionKey}`)) ids.add(id)
    }
    return ids
  }

  /** Everybody who watches has heard of all that there is. After a failover that lost commits some may have heard of more. */
  get haveHeardAll(): boolean {
    return this.subscribers.every(({ executionId, seen }) => {
      const { size } = this.#audit.archive.events.get(executionId) ?? { size: 0 }
      return size === 0 || this.#audit.archive.retired.has(executionId) || seen === size || this.#audit.hasLostCommits
    })
  }

  /** What must have come true by the end. */
  settled(): void {
    this.#people.settled()
    for (const subscriber of this.subscribers) {
      const last = this.#eventsOf(subscriber.executionId).length
      const isGone = this.#audit.archive.retired.has(subscriber.executionId)
      if (last > 0 && subscriber.seen !== last && !isGone && !this.#audit.hasLostCommits) {
        this.#audit.fault('a subscriber hears everything', `${subscriber.seen} of ${last}`)
      }
    }
  }

  async #perform(node: number, act: Act): Promise<void> {
    if (act.type === 'start') {
      const copies = act.business === null && this.#hasSlots(act.workflow) ? act.copies : 1
      for (let other = act.business?.isTwice === true ? 0 : 1; other < copies; other++) {
        this.#start(node + 1 + other, act).catch((error: Error) =>
          this.#world.note(`  another start answers ${error.message}`),
        )
      }
      return this.#start(node, act)
    }
    if (act.type === 'decide') return this.#people.decide(node, act)
    if (act.type === 'circuit') return this.#hold(node, targetNames[act.target]!, act.mode)
    const known = this.#known(act.type === 'retry')
    const executionId = known[act.execution % Math.max(1, known.length)]
    const engine = this.#nodeFrom(node)?.engine
    if (executionId === undefined || engine == null) return
    if (act.type === 'subscribe') return this.#subscribe(node, executionId, act.fromStart)
    if (act.type === 'signal') return this.#people.signal(node, executionId, 'news', act.keyed)
    if (act.type === 'progress') return void (await engine.getProgress(executionId))
    await this.#control(engine, executionId, act)
  }

  async #start(
    node: number,
    { workflow, n, keyed, delayMs, priority, correlation, business }: Extract<Act, { type: 'start' }>,
  ): Promise<void> {
    const idempotencyKey = `key ${this.#next++}`
    const workflowId = this.#idOf(workflow)
    const { execution } = await this.#persist(node, keyed, (engine, clock) =>
      engine.requestStart({
        workflowId,
        input: { n },
        triggeredBy: idempotencyKey,
        ...(priority !== 0 && { priority }),
        correlationId: `c${correlation}`,
        ...(keyed && { idempotencyKey }),
        ...(delayMs > 0 && { startAt: clock + delayMs }),
        ...(business !== null && this.#under(workflowId, business)),
      }),
    ).catch((error) => this.#refused(error, idempotencyKey, keyed))
    const isDurable = this.#audit.archive.rows.has(execution.id) && this.#eventsOf(execution.id).length > 0
    if (!isDurable && !this.#audit.hasLostCommits) {
      this.#audit.fault('an answer means that it is durable', `the start of ${execution.id}`)
    }
    this.#world.note(`  started ${execution.id.slice(-4)}`)
    if (!this.executions.includes(execution.id)) this.executions.push(execution.id)
  }

  /** Who hears that there is no slot for it has started nothing; of several tries one may have. */
  #refused(error: unknown, triggeredBy: string, keyed: boolean): never {
    const isLimit = error instanceof CairnError && error.code === 'CONCURRENCY_LIMIT'
    const rows = [...this.#server.tables.executions.values()]
    if (isLimit && !keyed && rows.some((row) => row.triggeredBy === triggeredBy))
      this.#audit.fault('a start that is refused leaves nothing behind', triggeredBy)
    throw error
  }

  #idOf(workflow: number): string {
    return this.#workflowIds[workflow % this.#workflowIds.length]!
  }

  #hasSlots(workflow: number): boolean {
    const { definition } = this.#server.tables.versions.get(`${this.#idOf(workflow)}/1`)!
    return definition.includes('"concurrency":{') || definition.includes('"critical_section"')
  }

  #under(workflowId: string, { key, reuse, conflict }: Business) {
    // Two contradict each other, and are refused.
    const conflictPolicy = reuse === 'reject' && conflict === 'cancel_existing' ? 'fail' : conflict
    if (conflictPolicy === 'cancel_existing') this.#vacated.add(`${workflowId} ${key}`)
    return { executionKey: key, reusePolicy: reuse, conflictPolicy }
  }

  /** What an operator says is in force as soon as it is answered. */
  async #hold(node: number, target: string, mode: CircuitMode): Promise<void> {
    const asked = this.#nodeFrom(node)?.engine
    if (asked == null) return
    const { updatedAt } = await asked.circuitBreakers.setMode(target, mode, null)
    const circuit = this.#server.tables.circuits.get(target)
    const isThere = circuit !== undefined && (circuit.updatedAt > updatedAt || circuit.mode === mode)
    if (!isThere && !this.#audit.hasLostCommits) {
      this.#audit.fault('an answer means that it is durable', `the circuit of ${target} is ${mode}`)
    }
  }

  async #control(
    engine: WorkflowEngine,
    executionId: string,
    act: Exclude<Act, { type: 'start' | 'subscribe' | 'signal' | 'progress' | 'circuit' | 'decide' }>,
  ): Promise<void> {
    if (act.type === 'cancel') this.cancelled.add(executionId)
    const before = this.#eventsOf(executionId).length
    if (act.type === 'rollback') {
      const checkpoints = await engine.listCheckpoints(executionId)
      const checkpoint = checkpoints[act.checkpoint % Math.max(1, checkpoints.length)]
      if (checkpoint === undefined) return
      const { resume, compensate } = act
      const options = { checkpointIndex: checkpoint.index, resume, compensate }
      return this.#effective(executionId, act.type, before, (await engine.rollback(executionId, options)).effective)
    }
    this.#effective(executionId, act.type, before, (await engine.control(executionId, act.type)).effective)
  }

  /** 200: the event that says so is committed. 202: the request is. */
  #effective(executionId: string, action: keyof typeof answerOf, before: number, effective: boolean): void {
    if (this.#audit.hasLostCommits) return
    const since = this.#eventsOf(executionId).filter(({ seq }) => seq > before)
    // A compensation that fails ends the execution instead.
    const isGivenUp = action === 'rollback' && since.some(({ text }) => text.includes('CompensationFailed'))
    if (effective && !isGivenUp && !since.some(({ type }) => type === answerOf[action])) {
      this.#audit.fault(
        'an answer means that it is durable',
        `${action}: no ${answerOf[action]} among ${since.length} events`,
      )
    }
  }

  #subscribe(node: number, executionId: string, fromStart: boolean): void {
    const subscriber = new Subscriber(this.#server, this.#audit, executionId, fromStart ? 0 : null)
    this.subscribers.push(subscriber)
    subscriber.connect(this.#nodeFrom(node)!)
  }

  /** With a key a client may try again, wherever; without one it may not. */
  async #persist<T>(
    node: number,
    keyed: boolean,
    ask: (engine: WorkflowEngine, now: number) => Promise<T>,
  ): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const asked = this.#nodeFrom(node + attempt - 1)
      try {
        if (asked?.engine == null) throw new Error('no node is up')
        // Who gets no answer from a process that is gone learns it from the connection.
        const lost = this.#world.pause(8_000).then(() => Promise.reject(new Error('no answer')))
        lost.catch(() => {})
        return await Promise.race([ask(asked.engine, this.#server.now), lost])
      } catch (error) {
        if (!keyed || attempt === TRIES) throw error
        await this.#world.pause(AGAIN_MS)
      }
    }
  }

  /** What they have started, and what that has started; of these what has failed, where anything has. */
  #known(areFailed: boolean): string[] {
    const { executions } = this.#server.tables
    const known = [...this.executions]
    for (const { id, parentExecutionId } of executions.values()) if (parentExecutionId !== null) known.push(id)
    const failed = areFailed ? known.filter((id) => executions.get(id)?.status === 'failed') : []
    return failed.length > 0 ? failed : known
  }

  #eventsOf(executionId: string) {
    return this.#audit.archive.eventsOf(executionId)
  }

  /** The first node from this one on that takes requests. */
  #nodeFrom(index: number): SimulatedNode | null {
    for (let step = 0; step < this.#nodes.length; step++) {
      const node = this.#nodes[(index + step) % this.#nodes.length]!
      if (node.isUp) return node
    }
    return null
  }
}

const answerOf = {
  pause: 'execution.paused',
  resume: 'execution.resumed',
  cancel: 'execution.cancelled',
  retry: 'execution.retried',
  rollback: 'execution.rolled_back',
} as const

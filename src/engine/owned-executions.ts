import type { Plan } from '../definition/plan.ts'
import { CairnError } from '../errors.ts'
import type { ExecutionRow } from '../repository/execution-row.ts'
import type { InboxItem } from '../repository/inbox.ts'
import { createState, type ExecutionState } from './core/state.ts'
import { Executor } from './executor.ts'
import type { Plans } from './plans.ts'
import type { Services } from './services.ts'
import { setAside } from './set-aside.ts'

/** Takeovers without a step event between them; the next one is a crash loop. */
const CRASH_LOOP = 5

/** The executions that this node owns and holds in memory. */
export class OwnedExecutions {
  readonly #services: Services
  readonly #plans: Plans
  readonly #executors = new Map<string, Executor>()
  readonly #poked = new Set<string>()
  readonly #whenEmpty: (() => void)[] = []
  #isClosed = false

  constructor(services: Services, plans: Plans) {
    this.#services = services
    this.#plans = plans
  }

  get size(): number {
    return this.#executors.size
  }

  has(executionId: string): boolean {
    return this.#executors.has(executionId)
  }

  /** Begins a new execution; its row, once that and the first event are committed. */
  async start(row: ExecutionRow): Promise<ExecutionRow> {
    const plan = await this.#plans.get(row.workflowId, row.workflowVersion)
    const { id: executionId, format, input } = row
    const state = createState({ executionId, format, input, variables: plan.variables })
    const executor = new Executor(row, plan, state, this.#services, true)
    this.#executors.set(row.id, executor)
    return executor.begin()
  }

  /**
   * Loads an execution that this node has claimed and goes on with it. `from` is the dead node that it was taken over from,
   * null when nobody owned it. What cannot be read is quarantined: it must not hurt the others. Rejects while the database
   * does not answer.
   */
  async load(row: ExecutionRow, from: string | null): Promise<void> {
    if (this.#executors.has(row.id)) return
    const replayed = await this.#replay(row)
    if (replayed === null || this.#isClosed || this.#executors.has(row.id)) return
    const { plan, state } = replayed
    const executor = new Executor(row, plan, state, this.#services, false)
    this.#executors.set(row.id, executor)
    if (from === null || state.recoveries < CRASH_LOOP) executor.resume(from)
    else executor.quarantine('CrashLoop', `${CRASH_LOOP} nodes in a row died with it before it came a step further`)
    this.poke(row.id)
  }

  get(executionId: string): Executor | undefined {
    return this.#executors.get(executionId)
  }

  /** The execution was given away. */
  forget(executor: Executor): void {
    if (this.#executors.get(executor.id) === executor) this.#executors.delete(executor.id)
    if (this.#executors.size === 0) for (const resolve of this.#whenEmpty.splice(0)) resolve()
  }

  /** Something may wait in the execution's inbox. All pokes of one turn of the event loop are read with one query. */
  poke(executionId: string): void {
    if (this.#poked.size === 0) setImmediate(() => void this.#readPoked())
    this.#poked.add(executionId)
  }

  /** The node may perform again after a time in which it might not: what was left undone is begun. */
  performAgain(): void {
    for (const executor of this.#executors.values()) executor.performAgain()
  }

  /** Hands out what was read from the inbox. */
  receive(items: readonly InboxItem[]): void {
    for (const [executionId, own] of Map.groupBy(items, (item) => item.executionId)) {
      this.#executors.get(executionId)?.receive(own)
    }
  }

  /**
   * Gives all executions away: each as soon as its attempts have ended; after `drainMs` those that may be repeated are
   * aborted, the at_most_once ones are waited for as long again at the least, and up to their own timeout.
   */
  async drain(drainMs: number): Promise<void> {
    const executors = [...this.#executors.values()]
    for (const executor of executors) executor.drain()
    if (await this.#emptyWithin(drainMs)) return
    const longest = Math.max(drainMs, ...executors.map((executor) => executor.abortRepeatable()))
    await this.#emptyWithin(longest)
  }

  /** This node is dead: forgets them all. */
  drop(error: Error): void {
    this.#isClosed = true
    for (const executor of this.#executors.values()) executor.abandoned(error)
    this.#executors.clear()
    this.#poked.clear()
    for (const resolve of this.#whenEmpty.splice(0)) resolve()
  }

  async #replay(row: ExecutionRow): Promise<{ plan: Plan; state: ExecutionState } | null> {
    try {
      return await this.#services.history.load(row.id)
    } catch (error) {
      if (!(error instanceof CairnError) || error.status >= 503) throw error
      await setAside(row, error, this.#services)
      return null
    }
  }

  #emptyWithin(ms: number): Promise<boolean> {
    if (this.#executors.size === 0) return Promise.resolve(true)
    return new Promise((resolve) => {
      const timer = this.#services.clock.after(ms, () => resolve(false))
      this.#whenEmpty.push(() => {
        timer.cancel()
        resolve(true)
      })
    })
  }

  async #readPoked(): Promise<void> {
    const ids = [...this.#poked].filter((id) => this.#executors.has(id))
    this.#poked.clear()
    if (ids.length === 0) return
    try {
      this.receive(await this.#services.store.inboxOf(ids))
    } catch (error) {
      this.#services.log.warn({ err: error, executions: ids.length }, 'inbox not read; the next poll will')
    }
  }
}

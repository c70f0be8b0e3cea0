import type { CairnError } from '../errors.ts'
import type { ExecutionRow } from '../repository/execution-row.ts'
import type { InboxItem, InboxKey } from '../repository/inbox.ts'
import { createState } from './core/state.ts'
import { Executor } from './executor.ts'
import { RecentRequests } from './fact-queue.ts'
import type { LoadedExecution } from './history.ts'
import type { Plans } from './plans.ts'
import type { Services } from './services.ts'
import { setAside } from './set-aside.ts'

/** After how long an inbox that could not be read is read again; what comes into it is polled for besides. */
const READ_AGAIN_MS = 1_000
/** Takeovers without a step event between them; the next one is a crash loop. */
const CRASH_LOOP = 5

/** The executions that this node owns and holds in memory. */
export class OwnedExecutions {
  readonly #services: Services
  readonly #plans: Plans
  readonly #executors = new Map<string, Executor>()
  /** Starts that are not acknowledged yet. */
  readonly #beginning = new Set<string>()
  readonly #poked = new Set<string>()
  readonly #answered = new RecentRequests()
  /** Reads of the inbox that were sent so far. */
  #reads = 0
  /** How many reads had been sent when an execution came here by a claim; none of them speaks of its present. */
  readonly #readsBefore = new Map<string, number>()
  readonly #whenEmpty: (() => void)[] = []
  #isDraining = false
  #isClosed = false

  constructor(services: Services, plans: Plans) {
    this.#services = services
    this.#plans = plans
  }

  get size(): number {
    return this.#executors.size
  }

  /** About what they take in memory, in bytes. */
  get heldBytes(): number {
    return this.#services.held.total
  }

  /** It is in memory, perhaps on its way out. */
  holds(executionId: string): boolean {
    return this.#executors.has(executionId)
  }

  /** It is here and stays for now; one that is being given away is not. */
  has(executionId: string): boolean {
    return this.#executors.get(executionId)?.isLeaving === false
  }

  /** Begins a new execution; its row, once that and the first event are committed. */
  async start(row: ExecutionRow): Promise<ExecutionRow> {
    const plan = await this.#plans.get(row.workflowId, row.workflowVersion)
    const { id: executionId, format, input } = row
    const state = createState({ executionId, format, input, variables: plan.variables })
    const executor = new Executor(row, plan, state, this.#services, null)
    this.#executors.set(row.id, executor)
    this.#beginning.add(row.id)
    const begun = executor.begin().finally(() => this.#beginning.delete(row.id))
    // It came while the node began to drain: it does not stay.
    if (this.#isDraining) executor.drain()
    return begun
  }

  /**
   * Goes on with an execution that this node has claimed and read. `from` is the dead node that it was taken over from, null
   * when nobody owned it, undefined when the claim's answer was lost: then the journal says whether somebody died with it.
   */
  take(read: LoadedExecution, from: string | null | undefined): void {
    const { row, plan, state, wasOwned } = read
    const isTakeover = from === undefined ? wasOwned : from !== null
    if (this.#isClosed || this.#executors.has(row.id)) return
    const executor = new Executor(row, plan, state, this.#services, read)
    this.#executors.set(row.id, executor)
    this.#readsBefore.set(row.id, this.#reads)
    if (isTakeover && plan.hasSlots) this.#services.settleSlots(row, state)
    if (!isTakeover) executor.resume()
    else if (state.recoveries < CRASH_LOOP) executor.resume({ from: from ?? null })
    else executor.quarantine('CrashLoop', `${CRASH_LOOP} nodes in a row died with it before it came a step further`)
    if (this.#isDraining) executor.drain()
    this.poke(row.id)
  }

  /** Quarantines one that cannot be read: it must not hurt the others. Rejects while the database does not answer. */
  async setAside(row: ExecutionRow, error: CairnError): Promise<void> {
    if (!this.#isClosed && !this.#executors.has(row.id)) await setAside(row, error, this.#services)
  }

  /** What is here durably and stays for now: the table must say that this node owns it. */
  idsHeld(): string[] {
    return [...this.#executors.keys()].filter((id) => this.has(id) && !this.#beginning.has(id))
  }

  get(executionId: string): Executor | undefined {
    return this.#executors.get(executionId)
  }

  /** The execution was given away. */
  forget(executor: Executor): void {
    if (this.#executors.get(executor.id) === executor) {
      this.#executors.delete(executor.id)
      this.#readsBefore.delete(executor.id)
      this.#services.held.delete(executor.id)
    }
    if (this.#executors.size === 0) for (const resolve of this.#whenEmpty.splice(0)) resolve()
  }

  /** Something may wait in the execution's inbox. All pokes of one turn of the event loop are read with one query. */
  poke(executionId: string): void {
    if (this.#poked.size === 0) this.#services.clock.soon(() => void this.#readPoked())
    this.#poked.add(executionId)
  }

  /** The node may perform again after a time in which it might not: what was left undone is begun. */
  performAgain(): void {
    for (const executor of this.#executors.values()) executor.performAgain()
  }

  /** These items of the inbox are answered, durably: a late read of them counts for nothing. */
  answered(inboxKeys: readonly InboxKey[]): void {
    this.#answered.add(inboxKeys)
  }

  /** Forgets what was answered long ago. */
  rotateAnswered(): void {
    this.#answered.rotate()
  }

  /**
   * Reads the inbox and hands out what is there; rejects as `read` does. `asked`: whose inboxes it reads to their end. An
   * execution that came here meanwhile is handed nothing: another node may have had it since the read was sent, and answered
   * what was read. Claimed, it is read anew.
   */
  async readInbox(read: () => Promise<readonly InboxItem[]>, asked: readonly string[] = []): Promise<void> {
    this.#reads += 1
    const sentAs = this.#reads
    const isOfNow = (executionId: string): boolean => sentAs > (this.#readsBefore.get(executionId) ?? 0)
    const items = await read()
    const open = items.filter((item) => !this.#answered.has(item))
    for (const [executionId, own] of Map.groupBy(open, (item) => item.executionId)) {
      if (isOfNow(executionId)) this.#executors.get(executionId)?.receive(own)
    }
    for (const executionId of asked) if (isOfNow(executionId)) this.#executors.get(executionId)?.inboxRead()
  }

  /** No attempt begins any more, in those that are taken up from now on neither. */
  beginNothingNew(): void {
    this.#isDraining = true
    for (const executor of [...this.#executors.values()]) executor.drain()
  }

  /**
   * Gives all executions away: each as soon as its attempts have ended; after `drainMs` those that may be repeated are
   * aborted, the at_most_once ones are waited for as long again at the least, and up to their own timeout.
   */
  async drain(drainMs: number): Promise<void> {
    this.beginNothingNew()
    if (await this.#emptyWithin(drainMs)) return
    const left = [...this.#executors.values()].map((executor) => executor.abortRepeatable())
    const longest = left.reduce((a, b) => Math.max(a, b), drainMs)
    await this.#emptyWithin(longest)
  }

  /** This node is dead: forgets them all. */
  drop(error: Error): void {
    this.#isClosed = true
    for (const executor of this.#executors.values()) executor.abandoned(error)
    this.#executors.clear()
    this.#readsBefore.clear()
    this.#poked.clear()
    for (const resolve of this.#whenEmpty.splice(0)) resolve()
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
      await this.readInbox(() => this.#services.store.inboxOf(ids), ids)
    } catch (error) {
      const { log, clock } = this.#services
      log.warn({ err: error, executions: ids.length }, 'inbox not read; it is read again')
      clock.after(READ_AGAIN_MS, () => {
        for (const executionId of ids) if (this.#executors.has(executionId)) this.poke(executionId)
      })
    }
  }
}

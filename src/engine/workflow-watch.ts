import { LRUCache } from 'lru-cache'
import type { ExecutionChange } from '../repository/executions.ts'
import type { ExecutionMessage, Listener, Subscription } from './stream-message.ts'

/** How many messages wait for a watcher that is not ready; beyond that it is told how many it missed. */
const MAX_WAITING = 1_000
/** How many executions it remembers to have told of; beyond that a change may be told twice. */
const MAX_TOLD = 10_000

/**
 * Who watches whole workflows. Changes reach it from this node's commits at once and from the poll of the executions table
 * for other nodes'; a change that came both ways is sent once while it is remembered, and may be sent twice.
 */
export class WorkflowWatch {
  readonly #watchers = new Map<string, Set<Watcher>>()
  /** Execution → the seq of the newest change that was told. */
  readonly #told = new LRUCache<string, number>({ max: MAX_TOLD })

  get workflowIds(): readonly string[] {
    return [...this.#watchers.keys()]
  }

  has(workflowId: string): boolean {
    return this.#watchers.has(workflowId)
  }

  subscribe(workflowId: string, listener: Listener, ready: () => boolean): Subscription {
    const watcher = new Watcher(workflowId, listener, ready)
    const watchers = this.#watchers.get(workflowId) ?? new Set()
    this.#watchers.set(workflowId, watchers.add(watcher))
    const end = (): void => {
      watchers.delete(watcher)
      if (watchers.size === 0 && this.#watchers.get(workflowId) === watchers) this.#watchers.delete(workflowId)
    }
    return Object.assign(end, { resume: () => watcher.deliver() })
  }

  /** Delivers a change; `broken` hears of listeners that throw. */
  publish(change: ExecutionChange, broken: (error: unknown) => void): void {
    const watchers = this.#watchers.get(change.workflowId)
    if (watchers === undefined || (this.#told.get(change.id) ?? 0) >= change.lastSeq) return
    this.#told.set(change.id, change.lastSeq)
    const message: ExecutionMessage = {
      type: 'execution',
      executionId: change.id,
      workflowId: change.workflowId,
      seq: change.lastSeq,
      status: change.status,
      percentage: change.percentage,
      at: change.updatedAt,
    }
    for (const watcher of watchers) {
      try {
        watcher.add(message)
      } catch (error) {
        broken(error)
      }
    }
  }

  /** The journals may have lost their ends: what was told may come again as something else. */
  forget(): void {
    this.#told.clear()
  }

  clear(): void {
    this.#watchers.clear()
    this.forget()
  }
}

class Watcher {
  readonly #workflowId: string
  readonly #listener: Listener
  readonly #ready: () => boolean
  readonly #waiting: ExecutionMessage[] = []
  #missed = 0

  constructor(workflowId: string, listener: Listener, ready: () => boolean) {
    this.#workflowId = workflowId
    this.#listener = listener
    this.#ready = ready
  }

  add(message: ExecutionMessage): void {
    this.#waiting.push(message)
    if (this.#waiting.length > MAX_WAITING) {
      this.#waiting.shift()
      this.#missed += 1
    }
    this.deliver()
  }

  deliver(): void {
    while (this.#waiting.length > 0 && this.#ready()) {
      if (this.#missed > 0) {
        const missed = this.#missed
        this.#missed = 0
        this.#listener({ type: 'lagged', workflowId: this.#workflowId, missed, at: this.#waiting[0]!.at })
        continue
      }
      this.#listener(this.#waiting.shift()!)
    }
  }
}

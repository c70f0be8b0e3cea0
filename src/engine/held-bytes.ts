/** What an execution in memory takes beside its state: executor, timers, attempts. */
const EXECUTION_BYTES = 4_000

/**
 * About how many bytes the executions in memory take, each and together: what was folded into their states. Claims are held
 * against it, so that a node which takes over or wakes more than it can hold leaves the rest in the database.
 */
export class HeldBytes {
  readonly #byExecution = new Map<string, number>()
  #total = 0

  get total(): number {
    return this.#total
  }

  of(executionId: string): number {
    return this.#byExecution.get(executionId) ?? 0
  }

  /** The execution's state takes this much now. */
  set(executionId: string, bytes: number): void {
    const before = this.#byExecution.get(executionId)
    this.#total += before === undefined ? EXECUTION_BYTES + bytes : bytes - before
    this.#byExecution.set(executionId, bytes)
  }

  /** It has left the memory. */
  delete(executionId: string): void {
    const before = this.#byExecution.get(executionId)
    if (before === undefined) return
    this.#total -= EXECUTION_BYTES + before
    this.#byExecution.delete(executionId)
  }
}

/** What an execution in memory takes beside its state: executor, timers, attempts. */
const EXECUTION_BYTES = 4_000

/** About how many bytes the state of one execution takes: what was folded into it. Changed by `HeldBytes.set`. */
export interface HeldShare {
  bytes: number
}

/**
 * About how many bytes the executions in memory take together. Claims are held against it, so that a node which takes over or
 * wakes more than it can hold leaves the rest in the database. Each event changes it: a share is at hand and not looked up.
 */
export class HeldBytes {
  readonly #byExecution = new Map<string, HeldShare>()
  #total = 0

  get total(): number {
    return this.#total
  }

  /** The share of an execution that has come into memory; it ends with `delete`. */
  open(executionId: string): HeldShare {
    const share = { bytes: 0 }
    this.delete(executionId)
    this.#byExecution.set(executionId, share)
    this.#total += EXECUTION_BYTES
    return share
  }

  /** The state takes this much now. */
  set(share: HeldShare, bytes: number): void {
    this.#total += bytes - share.bytes
    share.bytes = bytes
  }

  /** It has left the memory. */
  delete(executionId: string): void {
    const share = this.#byExecution.get(executionId)
    if (share === undefined) return
    this.#total -= EXECUTION_BYTES + share.bytes
    this.#byExecution.delete(executionId)
  }
}

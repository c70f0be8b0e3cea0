import { databaseError } from './errors.ts'

/**
 * PostgreSQL's row locks, as far as the engine uses them: FOR KEY SHARE (flushes on their lane, claims on their node), an
 * update that leaves the key alone, and whatever deletes the row or is the first to insert its key.
 */
export type LockMode = 'key_share' | 'update' | 'exclusive'

const conflicts: Record<LockMode, readonly LockMode[]> = {
  key_share: ['exclusive'],
  update: ['update', 'exclusive'],
  exclusive: ['key_share', 'update', 'exclusive'],
}

export interface LockHolder {
  readonly id: number
}

interface Waiter<Holder> {
  readonly holder: Holder
  readonly mode: LockMode
  readonly granted: () => void
}

interface Lock<Holder> {
  readonly holders: Map<Holder, LockMode[]>
  readonly waiters: Waiter<Holder>[]
}

/** Who holds and who waits for the locks on rows, by the row's name. */
export class Locks<Holder extends LockHolder> {
  readonly #locks = new Map<string, Lock<Holder>>()

  /** Takes the lock if nobody is in the way. */
  tryTake(row: string, mode: LockMode, holder: Holder): boolean {
    const lock = this.#locks.get(row)
    if (lock !== undefined && this.#blockers(lock, mode, holder).length > 0) return false
    this.#grant(row, mode, holder)
    return true
  }

  /** Waits in line; throws 40P01 when the line would be a circle. */
  wait(row: string, mode: LockMode, holder: Holder, granted: () => void): void {
    const lock = this.#locks.get(row)!
    lock.waiters.push({ holder, mode, granted })
    if (this.#isCircle(holder, holder, new Set())) {
      lock.waiters.pop()
      throw databaseError('40P01', 'deadlock detected')
    }
  }

  /** How many wait. */
  get waiting(): number {
    let count = 0
    for (const { waiters } of this.#locks.values()) count += waiters.length
    return count
  }

  /** Who is in the way of somebody who waits. */
  blockersOf(waiting: Holder): Holder[] {
    for (const lock of this.#locks.values()) {
      const waiter = lock.waiters.find(({ holder }) => holder === waiting)
      if (waiter !== undefined) return this.#blockers(lock, waiter.mode, waiting)
    }
    return []
  }

  /** Lets go of all that it holds or waits for. */
  release(holder: Holder): void {
    for (const [row, lock] of [...this.#locks]) {
      const index = lock.waiters.findIndex((waiter) => waiter.holder === holder)
      if (index >= 0) lock.waiters.splice(index, 1)
      if (!lock.holders.delete(holder) && index < 0) continue
      this.#grantWaiting(row, lock)
      if (lock.holders.size === 0 && lock.waiters.length === 0) this.#locks.delete(row)
    }
  }

  #grantWaiting(row: string, lock: Lock<Holder>): void {
    while (lock.waiters.length > 0) {
      const { holder, mode, granted } = lock.waiters[0]!
      if (this.#blockers(lock, mode, holder).length > 0) return
      lock.waiters.shift()
      this.#grant(row, mode, holder)
      granted()
    }
  }

  #grant(row: string, mode: LockMode, holder: Holder): void {
    let lock = this.#locks.get(row)
    if (lock === undefined) {
      lock = { holders: new Map(), waiters: [] }
      this.#locks.set(row, lock)
    }
    const modes = lock.holders.get(holder)
    if (modes === undefined) lock.holders.set(holder, [mode])
    else modes.push(mode)
  }

  #blockers(lock: Lock<Holder>, mode: LockMode, holder: Holder): Holder[] {
    const blockers: Holder[] = []
    for (const [other, modes] of lock.holders) {
      if (other !== holder && modes.some((held) => conflicts[mode].includes(held))) blockers.push(other)
    }
    return blockers
  }

  #isCircle(from: Holder, at: Holder, seen: Set<Holder>): boolean {
    if (seen.has(at)) return false
    seen.add(at)
    return this.blockersOf(at).some((next) => next === from || this.#isCircle(from, next, seen))
  }
}

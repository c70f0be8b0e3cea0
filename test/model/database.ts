import { Violation } from './explorer.ts'
import {
  type Claim,
  type Event,
  type Flush,
  has,
  type Id,
  isAlive,
  isSame,
  LEASE,
  type State,
  type Statement,
} from './state.ts'
import type { Weakenings } from './weakenings.ts'

/*
 * What PostgreSQL does with a statement, in the two steps that others can come between: it is evaluated, taking its locks,
 * and it commits. Its promises are checked where it commits.
 */

const isHeld = ({ phase }: Statement): boolean => phase === 'held'

/** src/repository/flush.ts: waits while another flush has inserted the same rows and not committed. */
export function mayEvaluateFlush(state: State, flush: Flush): boolean {
  return flush.phase === 'sent' && !state.statements.some((other) => other.type === 'flush' && isHeld(other))
}

export function evaluateFlush(state: State, flush: Flush, weak: Weakenings): void {
  const { db } = state
  if (!fenceStands(state, flush, weak)) {
    flush.phase = 'fenced'
    return
  }
  const areThere = db.journal.length > flush.index
  if (areThere && !flush.resend) {
    // 23505 on execution_events_pkey: src/repository/classify.ts calls it an alarm.
    flush.phase = 'alarm'
    return
  }
  flush.phase = 'held'
  flush.changes = !areThere
}

function fenceStands({ db }: State, flush: Flush, weak: Weakenings): boolean {
  if (!weak.noFence && !isAlive(db, flush.life)) return false
  if (!weak.noProof && flush.proof !== null) {
    const found = db.journal[flush.proof.index]
    if (found === undefined || (!weak.proofBySeq && !isSame(found, flush.proof.event))) return false
  }
  if (weak.claimUnproved || !flush.isFirst) return true
  // Not ours any more, and not because this very append gave it away before.
  if (isSame(db.journal[flush.index], flush.events[0])) return true
  return db.owner === flush.life && (weak.claimByOwner || isSame(db.journal[flush.index - 1], flush.after))
}

/** The `complete` part of the flush: all of it or nothing, and only if this statement inserted the events. */
export function commitFlush(state: State, flush: Flush, weak: Weakenings): void {
  const { db } = state
  flush.phase = 'committed'
  if (flush.changes) {
    const before = db.journal[flush.index - 1]
    if (!isAlive(db, flush.life)) throw new Violation(`node ${flush.life} was declared dead, and commits`)
    if (db.owner !== flush.life) throw new Violation(`node ${flush.life} commits, but the owner is ${db.owner}`)
    if (before === undefined) throw new Violation('seq has a hole')
    if (!isSame(before, flush.after))
      throw new Violation('history forks: the event before is not the one it was folded on')
    db.journal = [...db.journal, ...flush.events]
    if (has(flush.events, 's') && db.journal.filter(({ kind }) => kind === 's').length > 1)
      throw new Violation('the signal is consumed twice')
  }
  if (!flush.changes && !weak.resendChanges) return
  if (flush.gives) db.owner = 0
  if (flush.consumes && !weak.inboxApart) db.item = false
}

/** The predicate of src/repository/claim.ts, for the one execution. */
export function isClaimable({ db }: State): boolean {
  if (db.owner !== 0) return !isAlive(db, db.owner)
  return db.item || !has(db.journal, 'f')
}

/** FOR UPDATE SKIP LOCKED: passed over while somebody changes the row. */
export function mayEvaluateClaim(state: State, life: Id): boolean {
  const { db, statements } = state
  return (
    db.lives.some(({ id, age }) => id === life && age < LEASE) &&
    isClaimable(state) &&
    !statements.some((other) => isHeld(other) && (other.type === 'claim' || other.gives))
  )
}

export function evaluateClaim({ db }: State, claim: Claim): void {
  claim.phase = 'held'
  claim.from = db.owner
}

export function commitClaim({ db }: State, claim: Claim): void {
  if (!isAlive(db, claim.life)) throw new Violation(`node ${claim.life} was declared dead, and is given an execution`)
  db.owner = claim.life
  claim.phase = 'committed'
}

/** src/repository/nodes.ts, sweep. */
export function maySweep(state: State, id: Id, weak: Weakenings): boolean {
  return state.db.lives.some((life) => life.id === id && life.age >= LEASE) && mayDelete(state, id, weak)
}

/** src/repository/nodes.ts, deleteNodes: the deletion waits for the locks of what the node has running. */
export function mayDelete({ statements }: State, id: Id, weak: Weakenings): boolean {
  const blocks = (statement: Statement): boolean =>
    isHeld(statement) &&
    statement.life === id &&
    (statement.type === 'flush' ? !weak.sweepInTheMiddle : !weak.claimUnlocked)
  return !statements.some(blocks)
}

export function sweep({ db }: State, id: Id): void {
  db.lives = db.lives.filter((life) => life.id !== id)
}

/** The events that a client was told of are in the journal, until a failover loses commits. */
export function checkAcknowledged({ db, hasLost }: State, index: number, events: readonly Event[]): void {
  if (hasLost) return
  for (const [offset, event] of events.entries()) {
    if (!isSame(db.journal[index + offset], event))
      throw new Violation(`acknowledged, but not in the journal: ${event.kind}`)
  }
}

import { checkAcknowledged } from './database.ts'
import { Violation } from './explorer.ts'
import {
  type Claim,
  type Database,
  type Executor,
  type Flush,
  has,
  isGivenAway,
  type Kind,
  type Node,
  PERFORM,
  type State,
  unborn,
} from './state.ts'
import type { Weakenings } from './weakenings.ts'

/* What a node does by itself in one turn of its event loop: nobody comes between. */

/** src/engine/executor.ts, #turn: takes its facts in and hands the draft over. */
export function turn(state: State, node: Node, weak: Weakenings): void {
  const held = node.held!
  follow(held, node, weak)
  submit(state, node)
  due(held, weak)
}

/** src/engine/core/transition.ts: what follows from the state without an effect on the world. */
function follow(held: Executor, node: Node, weak: Weakenings): void {
  if (held.leaving) return
  const add = (kind: Kind): void => {
    held.events = [...held.events, { kind, by: node.id }]
  }
  if (has(held.events, 'a') && !has(held.events, 'm')) {
    add('m')
    held.marked = true
  }
  // src/engine/core/pending.ts: a mark that was found is of an attempt that nobody knows the end of.
  if (has(held.events, 'm') && !has(held.events, 'b', 'x') && !held.marked) {
    if (weak.performMarked) held.marked = true
    else add('x')
  }
  if (has(held.events, 'b', 'x') && !has(held.events, 'f')) add('f')
}

/** src/engine/execution-writer.ts, send: one append in flight at a time, the rest is the draft. */
function submit({ statements }: State, { id, held, proof }: Node): void {
  const { events, acked, sent, isFirst } = held!
  if (sent > acked || events.length === sent) return
  held!.sent = events.length
  held!.leaving = isGivenAway(events)
  statements.push({
    type: 'flush',
    life: id,
    index: acked,
    events: events.slice(acked),
    after: events[acked - 1]!,
    proof,
    isFirst,
    gives: held!.leaving,
    consumes: events.slice(acked).some(({ kind }) => kind === 's'),
    resend: false,
    phase: 'sent',
    changes: false,
    orphan: false,
  })
}

/** src/engine/executor.ts, #perform: what may be performed is what committed events ask for. */
function due(held: Executor, weak: Weakenings): void {
  if (held.leaving || held.due !== '' || held.running !== '') return
  const known = weak.performBeforeCommit ? held.events : held.events.slice(0, held.acked)
  // A takeover is on record before anything is performed again.
  const isWaiting = held.sent > held.acked && !has(known, 'a') && !weak.performBeforeCommit
  if (!has(held.events, 'a') && !isWaiting) held.due = 'A'
  if (held.marked && has(known, 'm') && !has(held.events, 'b', 'x')) held.due = 'B'
}

/** src/engine/ownership.ts, mayPerform; src/engine/attempt.ts, #begin. */
export const mayPerform = ({ belief, held }: Node, weak: Weakenings): boolean =>
  held !== null && held.due !== '' && (belief < PERFORM || weak.performPastLease === true)

export function perform(state: State, node: Node): void {
  const { db, hasLost } = state
  const held = node.held!
  const what = held.due
  held.running = what as 'A' | 'B'
  held.due = ''
  if (hasLost) return
  if (db.owner !== node.id) throw new Violation(`node ${node.id} performs ${what}, but the owner is ${db.owner}`)
  if (what === 'A' && has(db.journal, 'a')) throw new Violation('a completed step is performed again')
  if (what === 'B') {
    state.performedB += 1
    if (!has(db.journal, 'm')) throw new Violation('B is performed, but its mark is not durable')
    if (state.performedB > 1) throw new Violation('B is performed twice')
  }
}

/** src/engine/attempts.ts: the outcome of an attempt is a fact. */
export function complete(state: State, node: Node, weak: Weakenings): void {
  const held = node.held!
  held.events = [...held.events, { kind: held.running === 'A' ? 'a' : 'b', by: node.id }]
  held.running = ''
  turn(state, node, weak)
}

/** src/engine/journal.ts, #acknowledge, then src/engine/executor.ts, committed. */
export function acknowledge(state: State, node: Node, flush: Flush, weak: Weakenings): void {
  const held = node.held!
  checkAcknowledged(state, flush.index, flush.events)
  held.acked = held.sent
  held.isFirst = false
  node.proof = { index: held.acked - 1, event: held.events[held.acked - 1]! }
  if (flush.consumes) node.answered = true
  if (flush.consumes) held.took = false
  if (held.leaving) node.held = null
  else turn(state, node, weak)
}

/** src/engine/journal.ts, #flush: the identical appends go again; src/engine/claiming.ts, unsure, for a claim. */
export function unanswered(state: State, node: Node, statement: Flush | Claim, weak: Weakenings): void {
  if (statement.phase === 'sent' || statement.phase === 'held') statement.orphan = true
  else state.statements = state.statements.filter((other) => other !== statement)
  if (statement.type === 'claim') {
    node.unsure = weak.claimReadOnce === true
    return
  }
  if (weak.decideByReading && !decide(state, node)) return
  state.statements.push({ ...statement, resend: true, phase: 'sent', changes: false, orphan: false })
}

/** The forbidden way: what a read does not find was not written, and the execution is loaded anew. True: send it again. */
function decide({ db }: State, node: Node): boolean {
  if (db.journal.length > node.held!.acked) return true
  node.held = null
  node.read = { events: db.journal, owner: db.owner, from: 0 }
  return false
}

/** src/engine/owned-executions.ts, take: what was read is taken on from. */
export function take(state: State, node: Node, weak: Weakenings): void {
  const { events, owner, from } = node.read!
  node.read = null
  // Given away since; or the commit that gave it away before is not known here yet: it is tried again.
  if (owner !== node.id || node.held !== null) return
  node.held = {
    events: from === 0 ? events : [...events, { kind: 'R', by: node.id }],
    acked: events.length,
    sent: events.length,
    isFirst: true,
    took: false,
    marked: false,
    due: '',
    running: '',
    leaving: false,
  }
  // What was read of the inbox before is of another time.
  if (!weak.staleMail) node.mail = false
  turn(state, node, weak)
}

/** src/engine/node-life.ts, end: forgets everything; what is on its way may still arrive. */
export function die(state: State, node: Node): void {
  state.statements = state.statements.filter(
    ({ life, phase }) => life !== node.id || phase === 'sent' || phase === 'held',
  )
  for (const statement of state.statements) if (statement.life === node.id) statement.orphan = true
  Object.assign(node, unborn())
}

/** PostgreSQL comes back as the replica; every connection is gone and what was sent goes again. */
export function failOver(state: State, replica: Database): void {
  state.hasLost = true
  state.db = replica
  state.replica = null
  const before = state.statements.filter(({ orphan }) => !orphan)
  state.statements = []
  for (const node of state.nodes) {
    node.beat = null
    node.read = null
    node.mail = false
  }
  for (const statement of before) {
    if (statement.type === 'flush') state.statements.push({ ...statement, resend: true, phase: 'sent', changes: false })
  }
}

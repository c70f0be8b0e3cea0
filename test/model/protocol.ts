import {
  commitClaim,
  commitFlush,
  evaluateClaim,
  evaluateFlush,
  isClaimable,
  mayDelete,
  mayEvaluateClaim,
  mayEvaluateFlush,
  maySweep,
  sweep,
} from './database.ts'
import type { Model, Step } from './explorer.ts'
import { acknowledge, complete, die, failOver, mayPerform, perform, take, turn, unanswered } from './node.ts'
import {
  type Budget,
  type Claim,
  copy,
  type Flush,
  has,
  type Id,
  initialState,
  isOver,
  keyOf,
  LEASE,
  type Node,
  PERFORM,
  type State,
  type Statement,
} from './state.ts'
import type { Weakenings } from './weakenings.ts'

/*
 * Ownership and fencing of one execution by two processes over one PostgreSQL (ARCHITECTURE.md, "When things go wrong").
 * Every function below is the ways on from a state that one part of the system has. Each says which code it stands for.
 * Reading order: state.ts, then this, then database.ts and node.ts.
 */
export function protocol(budget: Budget, weak: Weakenings = {}): Model<State> {
  return {
    initial: initialState(budget),
    steps: (state) => stepsOf(state, weak),
    key: keyOf,
    faulty: inboxFault,
    isGoal: ({ db }) => has(db.journal, 'f') && db.owner === 0 && !db.item,
    describe,
  }
}

type Change = (state: State) => void
type Add = (label: string, change: Change, fault?: boolean) => void

function stepsOf(state: State, weak: Weakenings): Step<State>[] {
  const steps: Step<State>[] = []
  const add: Add = (label, change, fault = false) => {
    const to = (): State => {
      const next = copy(state)
      change(next)
      return next
    }
    steps.push({ label, fault, to })
  }
  time(state, add)
  for (const [index, statement] of state.statements.entries()) inDatabase(statement, index, weak, add, state)
  for (const [slot, node] of state.nodes.entries()) {
    if (node.id === 0) born(slot, add)
    else {
      lease(state, node, slot, weak, add)
      claiming(state, node, slot, weak, add)
      running(state, node, slot, weak, add)
      answers(state, node, slot, weak, add)
      faults(state, node, slot, weak, add)
    }
  }
  for (const { id } of state.db.lives) {
    // src/repository/nodes.ts, sweep: by any node.
    if (maySweep(state, id, weak)) add(`node ${id} is swept`, (next) => sweep(next, id))
    // src/engine/burial.ts, bury: by the process whose life it was.
    if (isOver(state, id) && mayDelete(state, id, weak)) add(`node ${id} is buried`, (next) => sweep(next, id))
  }
  world(state, add)
  return steps
}

/** A tick that lets the lease of a living process run out is a fault: it stands still, or its heartbeats are lost. */
function time({ db, nodes, budget }: State, add: Add): void {
  const expires = nodes.some(({ id }) => db.lives.some((life) => life.id === id && life.age === LEASE - 1))
  const nobodyAges =
    db.lives.every(({ age }) => age >= LEASE) &&
    nodes.every(({ id, belief, beat }) => id === 0 || (belief >= PERFORM && (beat === null || beat >= PERFORM)))
  if (nobodyAges || (expires && budget.stall === 0)) return
  const label = expires ? 'time passes; a node has not renewed its lease' : 'time passes'
  const tick: Change = (next) => {
    if (expires) next.budget.stall -= 1
    for (const database of [next.db, next.replica]) {
      for (const life of database?.lives ?? []) life.age = Math.min(LEASE, life.age + 1)
    }
    for (const node of next.nodes) {
      if (node.id === 0) continue
      node.belief = Math.min(PERFORM, node.belief + 1)
      if (node.beat !== null && node.beat >= 0) node.beat = Math.min(PERFORM, node.beat + 1)
    }
  }
  add(label, tick, expires)
}

/** Statements run on whether anybody waits for them or not. */
function inDatabase(statement: Statement, index: number, weak: Weakenings, add: Add, state: State): void {
  const { type, life, phase, orphan } = statement
  const who = `${orphan ? 'the old' : 'the'} ${type} of node ${life} (${index})`
  if (phase === 'held') {
    add(`${who} commits`, (next) => {
      const own = next.statements[index]!
      if (own.type === 'flush') commitFlush(next, own, weak)
      else commitClaim(next, own)
      if (own.orphan) next.statements.splice(index, 1)
    })
    // src/repository/nodes.ts, terminateBlockers: a sweep ends what it waits for, and so does a burial.
    const isExpired = state.db.lives.some(({ id, age }) => id === life && age >= LEASE)
    if ((isExpired || isOver(state, life)) && orphan)
      add(`${who} is terminated`, (next) => next.statements.splice(index, 1))
  }
  if (statement.type === 'flush' && mayEvaluateFlush(state, statement)) {
    add(`${who} is evaluated`, (next) => {
      const own = next.statements[index] as Flush
      evaluateFlush(next, own, weak)
      if (own.orphan && own.phase !== 'held') next.statements.splice(index, 1)
    })
  }
  if (statement.type === 'claim' && phase === 'sent' && mayEvaluateClaim(state, life)) {
    add(`${who} is evaluated`, (next) => {
      const own = next.statements[index]!
      if (own.type === 'claim') evaluateClaim(next, own)
    })
  }
}

/** src/engine/node-process.ts, #beginLife: registers under a new id. */
function born(slot: number, add: Add): void {
  add(`process ${slot} registers`, (next) => {
    const id = next.nextId++
    next.db.lives.push({ id, age: 0 })
    next.nodes[slot]!.id = id
  })
}

/** src/engine/ownership.ts, #heartbeat and #renewed; src/repository/nodes.ts, heartbeat. */
function lease({ db }: State, { id, beat, belief }: Node, slot: number, weak: Weakenings, add: Add): void {
  if (beat === null) {
    const own = db.lives.find((life) => life.id === id)
    if (own?.age === 0 && belief === 0) return
    add(`node ${id} sends a heartbeat`, (next) => {
      const row = next.db.lives.find((life) => life.id === id)
      const isAliveStill = row !== undefined && (row.age < LEASE || weak.revive === true)
      if (weak.revive && row === undefined) next.db.lives.push({ id, age: 0 })
      if (row !== undefined && isAliveStill) row.age = 0
      next.nodes[slot]!.beat = isAliveStill || weak.revive ? 0 : -1
    })
    return
  }
  add(`node ${id} hears that it ${beat < 0 ? 'is dead' : 'lives'}`, (next) => {
    const node = next.nodes[slot]!
    if (beat < 0) return die(next, node)
    node.belief = weak.leaseFromAnswer ? 0 : beat
    node.beat = null
  })
}

/** src/engine/claiming.ts, #round: one claim or load at a time. */
function claiming(state: State, node: Node, slot: number, weak: Weakenings, add: Add): void {
  const { id, read, held, unsure } = node
  if (read !== null) return add(`node ${id} takes what it has read`, (next) => take(next, next.nodes[slot]!, weak))
  if (state.statements.some(({ type, life, orphan }) => type === 'claim' && life === id && !orphan)) return
  // src/repository/claim.ts
  if (mayEvaluateClaim(state, id)) {
    add(`the claim of node ${id} is evaluated`, (next) => {
      next.statements.push({ type: 'claim', life: id, from: next.db.owner, phase: 'held', orphan: false })
    })
  }
  if (isClaimable(state) && state.budget.lost > 0) {
    const lose: Change = (next) => {
      next.budget.lost -= 1
      next.nodes[slot]!.unsure = weak.claimReadOnce === true
      next.statements.push({ type: 'claim', life: id, from: 0, phase: 'sent', orphan: true })
    }
    add(`the connection of node ${id} breaks while its claim is on its way`, lose, true)
  }
  // src/engine/claiming.ts, #findOwned
  const isFree = held === null || (weak.loadWhileLeaving === true && held.leaving)
  if (weak.claimReadOnce ? !unsure : !isFree || state.db.owner !== id) return
  add(`node ${id} looks what it owns`, (next) => {
    const own = next.nodes[slot]!
    own.unsure = false
    if (next.db.owner === id && isFree) readHistory(next, own, 0)
  })
}

/** src/engine/batch-load.ts and src/engine/replay.ts */
function readHistory({ db }: State, node: Node, from: Id): void {
  node.read = { events: db.journal, owner: db.owner, from }
}

/** src/engine/executor.ts and attempts.ts */
function running(state: State, node: Node, slot: number, weak: Weakenings, add: Add): void {
  const { id, held, mail } = node
  if (mail) {
    add(`node ${id} is told of the signal`, (next) => {
      const own = next.nodes[slot]!
      own.mail = false
      if (own.held === null || own.held.leaving || own.held.took || own.answered) return
      own.held.took = true
      own.held.events = [...own.held.events, { kind: 's', by: id }]
      turn(next, own, weak)
    })
  } else if (held !== null && state.db.item && state.db.owner === id && !node.answered) {
    // src/engine/ownership.ts, poll; src/repository/inbox.ts, inboxOfOwner
    add(`node ${id} reads the inbox`, (next) => {
      next.nodes[slot]!.mail = true
    })
  }
  if (held === null) return
  if (mayPerform(node, weak)) add(`node ${id} performs ${held.due}`, (next) => perform(next, next.nodes[slot]!))
  if (held.running !== '') {
    add(`node ${id}: ${held.running} ends`, (next) => complete(next, next.nodes[slot]!, weak))
  }
  const isQuiet = held.sent === held.acked && held.events.length === held.sent && held.running === ''
  // src/engine/parking.ts: a node that drains, or an execution that waits.
  if (state.budget.release > 0 && isQuiet && held.due !== 'B' && !has(held.events, 'f')) {
    const release: Change = (next) => {
      const own = next.nodes[slot]!
      next.budget.release -= 1
      own.held!.due = ''
      own.held!.events = [...held.events, { kind: 'p', by: id }]
      turn(next, own, weak)
    }
    add(`node ${id} releases the execution`, release, true)
  }
}

/** Answers of statements; or none, because the connection broke. */
function answers(state: State, { id }: Node, slot: number, weak: Weakenings, add: Add): void {
  for (const [index, statement] of state.statements.entries()) {
    if (statement.life !== id || statement.orphan) continue
    const { type, phase } = statement
    if (phase === 'committed') {
      add(`node ${id} hears that its ${type} has committed`, (next) => {
        const [own] = next.statements.splice(index, 1)
        const node = next.nodes[slot]!
        if (own!.type === 'flush') acknowledge(next, node, own as Flush, weak)
        // Before the commit that gave it away is known here, it is not loaded: the next look tells.
        else if (node.held === null) readHistory(next, node, (own as Claim).from)
        else node.unsure = weak.claimReadOnce === true
      })
    } else if (phase === 'fenced' || phase === 'alarm') {
      // src/engine/journal.ts, onFenced; src/engine/node-process.ts, #die
      add(`node ${id} learns that it is dead (${phase})`, (next) => {
        next.statements.splice(index, 1)
        die(next, next.nodes[slot]!)
      })
    }
    if (state.budget.lost > 0) {
      add(
        `the connection of node ${id} breaks: its ${type} (${index}) has no answer`,
        (next) => {
          next.budget.lost -= 1
          unanswered(next, next.nodes[slot]!, next.statements[index]!, weak)
        },
        true,
      )
    }
  }
}

function faults({ budget, db }: State, { id }: Node, slot: number, weak: Weakenings, add: Add): void {
  if (budget.crash > 0) {
    add(
      `process ${slot} (node ${id}) is killed`,
      (next) => {
        next.budget.crash -= 1
        die(next, next.nodes[slot]!)
      },
      true,
    )
  }
  if (weak.inboxApart && db.item && has(db.journal, 's')) {
    add('the inbox row is deleted', (next) => {
      next.db.item = false
    })
  }
}

/** What clients and operators do. */
function world({ budget, replica, db, statements }: State, add: Add): void {
  if (budget.signal > 0) {
    // src/repository/inbox.ts, insertInbox
    add('a signal arrives', (next) => {
      next.budget.signal -= 1
      next.db.item = true
      next.isSignalled = true
    })
  }
  if (budget.failover === 0) return
  if (replica === null) {
    // Earlier is not worth looking at: what it misses first is a commit that is on its way, or a sweep.
    const isWorth = statements.some(({ phase }) => phase === 'held') || db.lives.some(({ age }) => age >= LEASE)
    if (!isWorth) return
    const lag: Change = (next) => {
      next.replica = { ...db, lives: db.lives.map((life) => ({ ...life })) }
    }
    add('the replica stops following', lag, true)
  } else {
    const change: Change = (next) => {
      next.budget.failover -= 1
      failOver(next, next.replica!)
    }
    add('PostgreSQL fails over to the replica', change, true)
  }
}

/** The signal is either waiting or in the journal, never neither, never twice. */
function inboxFault({ db, isSignalled, hasLost }: State): string | null {
  if (!isSignalled || hasLost) return null
  const taken = has(db.journal, 's')
  return taken === db.item ? `the signal is ${taken ? 'consumed and still there' : 'lost'}` : null
}

function describe({ db, statements, nodes }: State): string {
  const journal = db.journal.map(({ kind, by }) => `${kind}${by === 0 ? '' : by}`).join(' ')
  const lives = db.lives.map(({ id, age }) => `${id}${age >= LEASE ? ' (expired)' : ''}`).join(', ')
  const held = nodes
    .filter((node) => node.held !== null)
    .map(({ id, held }) => `node ${id} holds ${held!.events.map(({ kind }) => kind).join('')}`)
  const sent = statements.map(({ type, life, phase, orphan }) => `${orphan ? 'old ' : ''}${type} ${life} ${phase}`)
  return [`journal: ${journal}`, `owner: ${db.owner || 'none'}`, `nodes: ${lives || 'none'}`, ...held, ...sent].join(
    ' · ',
  )
}

/*
 * What the model knows of the world: one execution, one PostgreSQL, two processes. Time is counted in ticks; a lease is two
 * of them, and a node performs only in the first (the code: two thirds of the lease).
 */

/** A life of a node; 0 is nobody. An id is never used twice. */
export type Id = number

/**
 * The journal of the one execution, whose program is: step A (at_least_once), step B (at_most_once), the end.
 *   S scheduled   R recovered   a A completed   m B started (the mark)   b B completed   x B interrupted
 *   s the signal received   p released (hand-over)   f finished
 */
export type Kind = 'S' | 'R' | 'a' | 'm' | 'b' | 'x' | 's' | 'p' | 'f'

/** An event and who wrote it: a life writes one event at a seq, so this and the seq are its identity. */
export interface Event {
  readonly kind: Kind
  readonly by: Id
}

/** What is committed. */
export interface Database {
  /** `nodes` and `node_lanes`: ticks since the last heartbeat. */
  lives: { readonly id: Id; age: number }[]
  owner: Id
  journal: readonly Event[]
  /** `execution_inbox` holds the one signal. */
  item: boolean
}

/** A row that a lane was told is committed. */
export interface Proof {
  readonly index: number
  readonly event: Event
}

/** A flush on its way. */
export interface Flush {
  readonly type: 'flush'
  readonly life: Id
  readonly index: number
  readonly events: readonly Event[]
  /** What the writer takes to be the event before. */
  readonly after: Event
  readonly proof: Proof | null
  /** The first append since the claim: it proves the claim too. */
  readonly isFirst: boolean
  readonly consumes: boolean
  /** Afterwards nobody owns the execution. */
  readonly gives: boolean
  readonly resend: boolean
  /** held: evaluated, its locks taken, not committed. changes: it inserted its events and so changes the rest. */
  phase: 'sent' | 'held' | 'committed' | 'fenced' | 'alarm'
  changes: boolean
  /** Nobody waits for its answer any more. */
  orphan: boolean
}

/** A claim on its way; `from` is whom it takes the execution from. */
export interface Claim {
  readonly type: 'claim'
  readonly life: Id
  from: Id
  phase: 'sent' | 'held' | 'committed'
  orphan: boolean
}

export type Statement = Flush | Claim

/** The execution in a node's memory. */
export interface Executor {
  /** As folded: committed, in flight and draft. */
  events: readonly Event[]
  acked: number
  sent: number
  /** No append since the claim was acknowledged yet. */
  isFirst: boolean
  /** The signal is among `events`, and not yet gone from the inbox as far as is known here. */
  took: boolean
  /** Its mark was written by this executor: it may perform B once that is committed. */
  marked: boolean
  /** What is due to be performed: its cause is committed. */
  due: '' | 'A' | 'B'
  running: '' | 'A' | 'B'
  leaving: boolean
}

/** One process. With id 0 it is about to begin a life. */
export interface Node {
  id: Id
  /** Ticks since the last heartbeat that was answered was sent. */
  belief: number
  /** A heartbeat's answer on its way: ticks since it was sent; -1: it says dead; null: none. */
  beat: number | null
  held: Executor | null
  /** What a load has read, on its way. */
  read: { readonly events: readonly Event[]; readonly owner: Id; readonly from: Id } | null
  /** A read of the inbox that saw the signal, on its way. */
  mail: boolean
  /** This life has answered the signal (RecentRequests). */
  answered: boolean
  proof: Proof | null
  /** A claim or a load ended without an answer. */
  unsure: boolean
}

/** How often the environment may still do it. */
export interface Budget {
  lost: number
  crash: number
  stall: number
  failover: number
  release: number
  signal: number
}

export interface State {
  db: Database
  /** What a replica holds that has stopped following; null while it follows. */
  replica: Database | null
  statements: Statement[]
  nodes: Node[]
  budget: Budget
  /** How often B was performed. */
  performedB: number
  /** A failover has lost commits. */
  hasLost: boolean
  /** A client was told that its signal is durable. */
  isSignalled: boolean
  nextId: Id
}

export const LEASE = 2
export const PERFORM = 1

export const unborn = (): Node => ({
  id: 0,
  belief: 0,
  beat: null,
  held: null,
  read: null,
  mail: false,
  answered: false,
  proof: null,
  unsure: false,
})

export const initialState = (budget: Budget): State => ({
  db: { lives: [], owner: 0, journal: [{ kind: 'S', by: 0 }], item: false },
  replica: null,
  statements: [],
  nodes: [unborn(), unborn()],
  budget,
  performedB: 0,
  hasLost: false,
  isSignalled: false,
  nextId: 1,
})

const copyOf = (db: Database): Database => ({ ...db, lives: db.lives.map((life) => ({ ...life })) })

/** A copy whose parts may be changed; events and what has been read are shared, being immutable. */
export const copy = (state: State): State => ({
  ...state,
  db: copyOf(state.db),
  replica: state.replica && copyOf(state.replica),
  statements: state.statements.map((statement) => ({ ...statement })),
  nodes: state.nodes.map((node) => ({ ...node, held: node.held && { ...node.held } })),
  budget: { ...state.budget },
})

export const has = (events: readonly Event[], ...kinds: Kind[]): boolean =>
  events.some(({ kind }) => kinds.includes(kind))

export const isAlive = (db: Database, id: Id): boolean => db.lives.some((life) => life.id === id)

/** The process that lived under this id has ended that life, or is gone. */
export const isOver = ({ nodes }: State, id: Id): boolean => !nodes.some((node) => node.id === id)

export const isSame = (a: Event | undefined, b: Event | undefined): boolean => a?.kind === b?.kind && a?.by === b?.by

/** What `imageOf` says: after these events nobody owns the execution. */
export const isGivenAway = (events: readonly Event[]): boolean => events.at(-1)!.kind === 'p' || has(events, 'f')

/**
 * The state as text, the same for states that differ in nothing but names: lives are renamed in the order in which they
 * are met, and the two processes stand in an order that does not depend on their names.
 */
export function keyOf(state: State): string {
  const names = new Map<Id, number>([[0, 0]])
  const name = (id: Id): number => {
    const known = names.get(id)
    if (known !== undefined) return known
    names.set(id, names.size)
    return names.size - 1
  }
  const events = (list: readonly Event[]): string => list.map(({ kind, by }) => `${kind}${name(by)}`).join('')
  const database = ({ lives, owner, journal, item }: Database): string =>
    `${events(journal)},${name(owner)}${+item}${lives
      .map(({ id, age }) => `${name(id)}:${age}`)
      .toSorted()
      .join(' ')}`
  const proof = (value: Proof | null): string => (value === null ? '' : `${value.index}${events([value.event])}`)
  const nodes = state.nodes.toSorted((a, b) => (orderOf(a, state) < orderOf(b, state) ? -1 : 1))
  const texts = nodes.map((node) => {
    const { id, belief, beat, held, read, mail, answered, unsure } = node
    const executor =
      held === null
        ? ''
        : `${events(held.events)}${held.acked}.${held.sent}${+held.isFirst}${+held.took}${+held.marked}${held.due}/${held.running}${+held.leaving}`
    const reading = read === null ? '' : `${events(read.events)}:${name(read.owner)}:${name(read.from)}`
    return `${name(id)},${belief},${beat},${executor},${reading},${+mail}${+answered}${+unsure}${proof(node.proof)}`
  })
  const statements = state.statements
    .map((statement) =>
      statement.type === 'claim'
        ? `c${name(statement.life)}${statement.phase}${name(statement.from)}${+statement.orphan}`
        : `f${name(statement.life)}${statement.index}${events(statement.events)}<${events([statement.after])}${proof(statement.proof)}${+statement.isFirst}${+statement.consumes}${+statement.gives}${+statement.resend}${statement.phase}${+statement.changes}${+statement.orphan}`,
    )
    .toSorted()
  const { lost, crash, stall, failover, release, signal } = state.budget
  return [
    database(state.db),
    state.replica === null ? '' : database(state.replica),
    ...texts,
    ...statements,
    `${lost}${crash}${stall}${failover}${release}${signal}${state.performedB}${+state.hasLost}${+state.isSignalled}`,
  ].join(';')
}

const orderOf = ({ id, belief, beat, held, read }: Node, { db }: State): string =>
  `${held?.events.length ?? 0}${held?.acked ?? 0}${db.owner === id}${id === 0}${belief}${beat}${read === null}${db.lives.find((life) => life.id === id)?.age}`

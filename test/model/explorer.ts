/*
 * An explicit-state model checker: breadth first over every interleaving, so the first counterexample is a shortest one.
 *
 *   safety     no transition throws a Violation and no state is called faulty
 *   liveness   from every reachable state a goal is reachable by transitions that are no faults
 */

/** One way on from a state. `fault`: the environment's doing, which a system that is left alone can do without. */
export interface Step<S> {
  readonly label: string
  readonly fault: boolean
  /** The state that it leads to; throws a Violation when a promise is broken on the way. */
  readonly to: () => S
}

export interface Model<S> {
  readonly initial: S
  readonly steps: (state: S) => Step<S>[]
  /** States with the same key have the same future. */
  readonly key: (state: S) => string
  /** What is wrong with a state, or null. */
  readonly faulty: (state: S) => string | null
  readonly isGoal: (state: S) => boolean
  /** One line about a state, for traces. */
  readonly describe: (state: S) => string
}

/** A promise that a transition breaks. */
export class Violation extends Error {
  override readonly name = 'Violation'
}

export interface Exploration {
  readonly states: number
  readonly transitions: number
  /** Length of the longest of the shortest ways. */
  readonly depth: number
  /** The shortest way to a broken promise, line by line; null when there is none. */
  readonly counterexample: readonly string[] | null
}

/** 53 bits of two FNV-1a hashes: among ten million states a collision has a chance of one in two hundred. */
function hash(key: string): number {
  let low = 0x811c9dc5
  let high = 0xc2b2ae35
  for (let i = 0; i < key.length; i++) {
    const code = key.charCodeAt(i)
    low = Math.imul(low ^ code, 0x01000193)
    high = Math.imul(high ^ code, 0x85ebca6b) ^ (high >>> 13)
  }
  return (low >>> 0) * 2 ** 21 + ((high >>> 0) & 0x1fffff)
}

/** Explores all that is reachable, or up to the first broken promise. Throws beyond `limit` states: the bounds are wrong. */
export function explore<S>(model: Model<S>, limit = 5_000_000): Exploration {
  const indexes = new Map<number, number>()
  const parents: number[] = []
  const labels: string[] = []
  const live: number[] = []
  const goals: number[] = []
  let transitions = 0
  let depth = 0

  const add = (state: S, parent: number, label: string): number | null => {
    const code = hash(model.key(state))
    const known = indexes.get(code)
    if (known !== undefined) {
      if (parent >= 0) last = known
      return null
    }
    const index = parents.length
    indexes.set(code, index)
    parents.push(parent)
    labels.push(label)
    if (model.isGoal(state)) goals.push(index)
    last = index
    return index
  }
  let last = 0
  const ended = (counterexample: readonly string[] | null): Exploration => ({
    states: parents.length,
    transitions,
    depth,
    counterexample,
  })
  const wayTo = (index: number): string[] => {
    const way: string[] = []
    for (let at = index; parents[at]! >= 0; at = parents[at]!) way.unshift(labels[at]!)
    return replay(model, way)
  }

  add(model.initial, -1, '')
  let frontier: [number, S][] = [[0, model.initial]]
  while (frontier.length > 0) {
    const next: [number, S][] = []
    for (const [index, state] of frontier) {
      for (const { label, fault, to } of model.steps(state)) {
        transitions += 1
        let reached: S
        try {
          reached = to()
        } catch (error) {
          if (!(error instanceof Violation)) throw error
          return ended([...wayTo(index), `${label}  ✗ ${error.message}`])
        }
        const fresh = add(reached, index, label)
        if (!fault) live.push(index, last)
        if (fresh === null) continue
        const wrong = model.faulty(reached)
        if (wrong !== null) return ended([...wayTo(fresh), `✗ ${wrong}`])
        next.push([fresh, reached])
      }
      if (parents.length > limit) throw new Error(`more than ${limit} states`)
    }
    if (next.length > 0) depth += 1
    frontier = next
  }
  const stuck = firstWithout(goals, live, parents.length)
  if (stuck === null) return ended(null)
  return ended([...wayTo(stuck), '✗ from here nothing that is no fault leads to the end'])
}

/** The first state, in the order of discovery, from which no goal can be reached. */
function firstWithout(goals: readonly number[], edges: readonly number[], count: number): number | null {
  const heads = new Int32Array(count).fill(-1)
  const nexts = new Int32Array(edges.length / 2)
  for (let edge = 0; edge < nexts.length; edge++) {
    const to = edges[edge * 2 + 1]!
    nexts[edge] = heads[to]!
    heads[to] = edge
  }
  const reaches = new Uint8Array(count)
  const stack = [...goals]
  for (const goal of goals) reaches[goal] = 1
  for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
    for (let edge = heads[at]!; edge >= 0; edge = nexts[edge]!) {
      const from = edges[edge * 2]!
      if (reaches[from] === 1) continue
      reaches[from] = 1
      stack.push(from)
    }
  }
  const first = reaches.indexOf(0)
  return first < 0 ? null : first
}

/** The way with what each step leads to. */
function replay<S>(model: Model<S>, way: readonly string[]): string[] {
  const lines = [model.describe(model.initial)]
  let state = model.initial
  for (const [index, label] of way.entries()) {
    state = model
      .steps(state)
      .find((step) => step.label === label)!
      .to()
    lines.push(`${index + 1}. ${label}`, `     ${model.describe(state)}`)
  }
  return lines
}

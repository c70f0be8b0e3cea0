/** Which of a number of things waits for which, by position. */
export class DependencyGraph {
  /** By position: what the child names. */
  readonly dependencies: readonly (readonly number[])[]
  /** By position: who names the child. */
  readonly dependants: readonly (readonly number[])[]
  readonly cycles: readonly (readonly number[])[]
  /** Positions, each after all that it waits for; the cycles' own are left out. */
  readonly #order: readonly number[]
  #closure: readonly Uint32Array[] | undefined

  constructor(dependencies: readonly (readonly number[])[]) {
    this.dependencies = dependencies
    const dependants: number[][] = dependencies.map(() => [])
    for (const [position, named] of dependencies.entries()) for (const one of named) dependants[one]?.push(position)
    this.dependants = dependants
    const { order, cycles } = sort(dependencies, dependants)
    this.#order = order
    this.cycles = cycles
  }

  /** Whether the child waits for the other, directly or through others. With cycles nobody can tell: true. */
  waitsFor(position: number, other: number): boolean {
    if (this.cycles.length > 0 || this.dependencies[position]?.includes(other)) return true
    this.#closure ??= this.#close()
    const row = this.#closure[position] as Uint32Array
    return ((row[other >>> 5] as number) & (1 << (other & 31))) !== 0
  }

  /** A row of bits a child. 10,000 children with a chain of dependencies take 12 MB and some milliseconds. */
  #close(): readonly Uint32Array[] {
    const words = (this.dependencies.length + 31) >>> 5
    const rows: Uint32Array[] = []
    for (const position of this.#order) {
      const row = new Uint32Array(words)
      for (const named of this.dependencies[position] as readonly number[]) {
        const theirs = rows[named] as Uint32Array
        for (let word = 0; word < words; word++) row[word] = (row[word] as number) | (theirs[word] as number)
        row[named >>> 5] = (row[named >>> 5] as number) | (1 << (named & 31))
      }
      rows[position] = row
    }
    return rows
  }
}

/** Kahn's topological sort. Where it stands still there is a cycle: it is noted, taken out, and the sort goes on. */
function sort(dependencies: readonly (readonly number[])[], dependants: readonly (readonly number[])[]) {
  const waiting = dependencies.map((named) => named.length)
  const done = new Uint8Array(dependencies.length)
  const order: number[] = []
  const cycles: number[][] = []
  const ready = waiting.flatMap((count, position) => (count === 0 ? [position] : []))
  const release = (position: number): void => {
    done[position] = 1
    for (const dependant of dependants[position] as readonly number[]) {
      waiting[dependant] = (waiting[dependant] as number) - 1
      if (waiting[dependant] === 0 && !done[dependant]) ready.push(dependant)
    }
  }
  for (let next = 0; next < dependencies.length; ) {
    const position = ready.pop()
    if (position !== undefined) {
      order.push(position)
      release(position)
    } else if (done[next]) next++
    else {
      const cycle = cycleFrom(next, dependencies, done)
      cycles.push(cycle)
      for (const one of cycle) done[one] = 1
      for (const one of cycle) release(one)
    }
  }
  return { order, cycles }
}

/** Follows what is not done yet, from a position that waits for ever, until it comes round. */
function cycleFrom(start: number, dependencies: readonly (readonly number[])[], done: Uint8Array): number[] {
  const seen = new Map<number, number>()
  const path: number[] = []
  let position = start
  while (!seen.has(position)) {
    seen.set(position, path.length)
    path.push(position)
    position = (dependencies[position] as readonly number[]).find((named) => !done[named]) as number
  }
  return path.slice(seen.get(position))
}
